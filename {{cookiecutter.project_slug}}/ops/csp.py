"""The header Content-Security-Policy: what a page may load, and from where."""

from django.conf import settings


class ContentSecurityPolicyMiddleware:
    """Sends SECURE_CSP with every answer that has no policy of its own.

    Django 6.0 brings this middleware, and reads the same setting: take its own then.
    https://docs.djangoproject.com/en/6.0/ref/csp/
    """

    def __init__(self, get_response):
        self.get_response = get_response
        self.policy = "; ".join(" ".join([directive, *sources]) for directive, sources in settings.SECURE_CSP.items())

    def __call__(self, request):
        response = self.get_response(request)
        # Django's own pages about an error, which only development sees, have their style and script in them.
        if not (settings.DEBUG and response.status_code in {404, 500}):
            response.headers.setdefault("Content-Security-Policy", self.policy)
        return response
