"""Limits how many requests each user may send. The rates are in config/settings/rest_api.py."""

import logging

from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class UserThrottle(UserRateThrottle):
    """Counts each user's requests in the cache."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether the request may proceed. While the cache is down, every request may."""
        try:
            return super().allow_request(request, view)
        except (RedisError, OSError) as error:
            logger.warning("the cache does not answer, requests are not counted: %r", error)
            return True


class SubmitThrottle(UserThrottle):
    """Counts each user's requests to submit a job."""

    scope = "submit"
