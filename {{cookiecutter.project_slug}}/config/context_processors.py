"""What every template can use."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url


def site(request: HttpRequest) -> dict[str, Any]:
    """Return what templates/base.html shows on every page: the project's name, its first page, and the links."""
    return {
        "project_name": settings.PROJECT_NAME,
        "start_url": resolve_url(settings.LOGIN_REDIRECT_URL),
        "navigation": settings.NAVIGATION,
    }
