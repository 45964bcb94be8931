"""What every environment shares. What differs between machines comes from environment variables: .env.example."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.settings.capacity import *
from config.settings.celery import *
from config.settings.environment import env, url_with_password
{% if cookiecutter.__use_jobs %}
from config.settings.jobs import *
{% endif %}
from config.settings.logging import *
{% if cookiecutter.__use_api %}
from config.settings.rest_api import *
{% endif %}

BASE_DIR = Path(__file__).resolve().parents[2]

PROJECT_NAME = "{{ cookiecutter.__quoted_project_name }}"

SECRET_KEY = env("SECRET_KEY", default="")
# Keys that sign nothing any more, but whose signatures are still accepted. To rotate the key, move the old SECRET_KEY
# here for two weeks, which is how long a session lasts.
# https://docs.djangoproject.com/en/5.2/ref/settings/#secret-key-fallbacks
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])

# --- Apps and middleware -----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
{% if cookiecutter.beat %}
    "django_celery_beat",
{% endif %}
{% if cookiecutter.result_backend == "django-db" %}
    "django_celery_results",
{% endif %}
{% if cookiecutter.__use_api %}
    "django_filters",
    "drf_spectacular",
    "rest_framework",
    "rest_framework.authtoken",
{% endif %}
    "accounts",
    "example",
{% if cookiecutter.__use_jobs %}
    "django_htmx",
    "jobs",
{% endif %}
    "ops",
]

# An admin at an address of its own is not found by those who try passwords at /admin/ on every site.
ADMIN_PATH = env("ADMIN_PATH", default="admin/")
if ADMIN_PATH.startswith("/") or not ADMIN_PATH.endswith("/"):
    raise ImproperlyConfigured(f"ADMIN_PATH={ADMIN_PATH} must end with a / and not begin with one, such as admin/")

MIDDLEWARE = [
    # First, so that every log line and every response has the request's id.
    "ops.web.middleware.RequestIdMiddleware",
    # Before Django's middleware, so that a health check needs no valid Host header, no TLS and no session.
    "ops.web.health.HealthMiddleware",
    "ops.web.middleware.BodyLimitMiddleware",
    "ops.web.middleware.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
{% if cookiecutter.__use_jobs %}
    "django_htmx.middleware.HtmxMiddleware",
{% endif %}
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

# --- Pages -------------------------------------------------------------------------------------------------------

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context_processors.site",
            ]
        },
    }
]

NAVIGATION = [
    # The links at the top of each page for users who are logged in: the name of a URL, and what the link says.
{% if cookiecutter.__use_jobs %}
    ("jobs:list", "Jobs"),
{% endif %}
    ("example:home", "Sample task"),
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "{{ cookiecutter.timezone }}"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]

# What a page may load: only files of this site, and no script or style inside the HTML. So text that becomes HTML by
# mistake can't run as a script. Nobody may put a page into a frame. The policy is the same in development, which shows
# early what production would refuse. A page of a package that needs inline scripts does not work; a view can set the
# header itself: ops/web/middleware.py. https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
SECURE_CSP = {
    "default-src": ["'self'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "form-action": ["'self'"],
}

# The largest body of a request, files included: ops/web/middleware.py. Looking at Content-Length is enough, because
# Django does not read a body without one.
{% if cookiecutter.web_proxy == "nginx" %}
# nginx has the same limit: deploy/nginx/nginx.conf and errors/413.html.
{% endif %}
MAX_BODY_BYTES = 10 * 2**20

# --- Users and mail ----------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LOGIN_URL = "login"
{% if cookiecutter.__use_jobs %}
LOGIN_REDIRECT_URL = "jobs:list"
{% else %}
LOGIN_REDIRECT_URL = "/"
{% endif %}
LOGOUT_REDIRECT_URL = "login"

# smtp+tls://user@host:587 sends mail. Without EMAIL_URL, development prints mails to the console, and production
# refuses to start, because a reset of a password would seem to work. dummymail:// says that this site sends no mail:
# the login page then offers no reset. https://django-environ.readthedocs.io/en/latest/types.html#environ-env-email-url
vars().update(env.email_url_config(url_with_password("EMAIL_URL", "EMAIL_PASSWORD") or "consolemail://"))
# Seconds until a mail server that does not answer is an error. Django's default waits for ever.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("DEFAULT_FROM_EMAIL", default="noreply@{{ cookiecutter.domain_name }}")

# --- Database and cache ------------------------------------------------------------------------------------------

# Without DATABASE_URL: SQLite, for work without Docker. Web and worker write to the same file, so a writer waits for
# the lock (timeout, in seconds) and takes it at the start of its transaction, because later it could not wait.
# https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-notes
if DATABASE_URL := url_with_password("DATABASE_URL", "POSTGRES_PASSWORD"):
    DATABASES = {"default": env.db_url_config(DATABASE_URL)}
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # A server that is cut off becomes an error: after 5 seconds for a connect, after about 20 for a query. Without
        # these limits a request or a task hangs for minutes. They cost a small packet every 10 seconds.
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
        limits = {
            "connect_timeout": 5,  # seconds, like the keepalives
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": 20_000,  # milliseconds
        }
        DATABASES["default"]["OPTIONS"] = limits | DATABASES["default"].get("OPTIONS", {})
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": BASE_DIR / "var" / "db.sqlite3",
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The cache is a server of its own, because `cache.clear()` empties a whole Redis database, and because a cache evicts
# what a broker must keep.
CACHES = {"default": env.cache_url_config(url_with_password("CACHE_URL", "CACHE_PASSWORD") or "locmemcache://")}
if CACHES["default"]["BACKEND"].endswith("RedisCache"):
    # How long (seconds) each access waits for a cache that does not answer. By default it waits five seconds.
    CACHES["default"]["OPTIONS"] = {"socket_connect_timeout": 1, "socket_timeout": 1}

# --- Files -------------------------------------------------------------------------------------------------------

# Files that people upload and workers write. Web and workers share this folder. None of its files has a URL of its own:
# a view checks who asks before it sends one.
MEDIA_ROOT = env("MEDIA_ROOT", default=BASE_DIR / "var" / "media")

# An internal location of nginx that serves MEDIA_ROOT, such as /internal/media/. Django checks who asks and nginx sends
# the file, so a slow download does not block a thread of web. If it is empty, Django sends the file itself.
# https://nginx.org/en/docs/http/ngx_http_core_module.html#internal
ACCEL_LOCATION = env("ACCEL_LOCATION", default="")
