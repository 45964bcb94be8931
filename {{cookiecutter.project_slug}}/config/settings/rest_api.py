"""Settings of the REST API (jobs/api/)."""

# https://www.django-rest-framework.org/api-guide/settings/
REST_FRAMEWORK = {
    # Programs send a token (manage.py drf_create_token, or the admin), browsers their session cookie. The first class
    # decides which status a request without either gets: 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # Limits for each user, so that a program that asks or submits in a loop leaves web and the workers free for others.
    # Requests are counted in the cache without a lock, so a few more than these may pass. A program that has more jobs
    # to submit must wait, or put the work into one job.
    "DEFAULT_THROTTLE_RATES": {"user": "600/min", "submit": "120/min"},
}
# https://drf-spectacular.readthedocs.io/en/latest/settings.html
SPECTACULAR_SETTINGS = {
    "TITLE": "{{ cookiecutter.__quoted_project_name }}",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}
