"""What every environment shares. Values that differ by machine come from environment variables (.env.example)."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.settings.celery import *
from config.settings.environment import address, env

BASE_DIR = Path(__file__).resolve().parents[2]

PROJECT_NAME = "{{ cookiecutter.__quoted_project_name }}"

SECRET_KEY = env("SECRET_KEY", default="")
# Keys that sign nothing any more, but whose signatures still count. To rotate: the new key becomes SECRET_KEY, and the
# old one stands here for the two weeks that a session lasts.
# https://docs.djangoproject.com/en/5.2/ref/settings/#secret-key-fallbacks
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])

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
{% if cookiecutter.rest_api %}
    "django_filters",
    "drf_spectacular",
    "rest_framework",
    "rest_framework.authtoken",
{% endif %}
    # Brings htmx, as a static file.
    "django_htmx",
    "jobs",
    "ops",
]

# Where the admin is. At an address of its own it is not found by those who try passwords at /admin/ everywhere.
ADMIN_PATH = env("ADMIN_PATH", default="admin/")
if ADMIN_PATH.startswith("/") or not ADMIN_PATH.endswith("/"):
    raise ImproperlyConfigured(f"ADMIN_PATH={ADMIN_PATH} must end with a / and not begin with one, such as admin/")

MIDDLEWARE = [
    # The first one, so that every line and every answer has the request's id.
    "ops.logs.RequestIdMiddleware",
    # Before all others, so that a probe needs no valid Host header, no TLS and no session.
    "ops.health.HealthMiddleware",
    "ops.limits.BodyLimitMiddleware",
    "ops.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# No DATABASE_URL: SQLite, for work without Docker. Web and worker write to the same file, so a writer waits for the
# lock (timeout, seconds) and takes it at the start of its transaction, where waiting is possible.
# https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-notes
if DATABASE_URL := address("DATABASE_URL", "POSTGRES_PASSWORD"):
    DATABASES = {"default": env.db_url_config(DATABASE_URL)}
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # A network or a server that is cut off is an error, after 5 seconds for a connect and about 20 for a query.
        # Without these a request or a task hangs for minutes. Price: a small packet every 10 seconds.
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
        limits = {
            "connect_timeout": 5,  # seconds, as the keepalives are
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

# A server of its own: `cache.clear()` empties the whole server's database, and a cache evicts what a broker must keep.
CACHES = {"default": env.cache_url_config(address("CACHE_URL", "CACHE_PASSWORD") or "locmemcache://")}
if CACHES["default"]["BACKEND"].endswith("RedisCache"):
    # Seconds that a request waits for a cache that does not answer. Without them: for ever.
    CACHES["default"]["OPTIONS"] = {"socket_connect_timeout": 1, "socket_timeout": 1}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "jobs"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "{{ cookiecutter.timezone }}"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"

# What people upload and jobs write. Web and workers share this folder; nothing in it has an address of its own, each
# view that sends a file checks first who asks.
MEDIA_ROOT = env("MEDIA_ROOT", default=BASE_DIR / "var" / "media")

# An internal location of nginx with MEDIA_ROOT behind it, such as /internal/media/: Django checks who asks, nginx sends
# the file, and no process of web is kept by a slow download. Empty: Django sends it.
# https://nginx.org/en/docs/http/ngx_http_core_module.html#internal
ACCEL_LOCATION = env("ACCEL_LOCATION", default="")

# What a page may load: nothing that is not the site's own, no script inside HTML, and nobody may frame it. So text that
# becomes HTML by mistake can't run as a script. In development too, which shows what production would refuse. A view
# that needs more sets the header itself: ops/csp.py. https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
# Price: the page of a package does without the scripts and the style in its HTML.
SECURE_CSP = {
    "default-src": ["'self'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "form-action": ["'self'"],
}

# What a request may carry, files included: ops/limits.py. (A body without a length is empty for a WSGI server.)
MAX_BODY_BYTES = 10 * 2**20

# --- Processes: ops/checks.py adds up the connections to PostgreSQL that they need -------------------------------

# A process of gunicorn for each CPU that web may use. At least two: when one hangs or is replaced, the other goes on.
WEB_PROCESSES = max(2, env.int("WEB_CPUS", default=1))
# Requests that one process works on at the same time, so that a slow client does not hold it. More would only share
# its CPU. Each thread has a connection to the database of its own.
WEB_THREADS = 4
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=2)
WORKER_REPLICAS = env.int("WORKER_REPLICAS", default=1)
POSTGRES_MAX_CONNECTIONS = env.int("POSTGRES_MAX_CONNECTIONS", default=100)

# --- Jobs: jobs/ledger.py and jobs/sweep.py ----------------------------------------------------------------------

# A worker says three times in this time that it still has its job. One that does not has died, and another one gets the
# job. Shorter: back at work sooner. Longer: a worker that hung for a moment keeps its job.
JOBS_LEASE_SECONDS = 60
# A job that has waited this long after it was published, without a message for it in the broker, is published again.
JOBS_MESSAGE_GRACE_SECONDS = 30
{% if cookiecutter.beat %}
# Beat has jobs deleted, with their files, this long after their end.
JOBS_KEEP_DAYS = 7
{% endif %}

{% if cookiecutter.rest_api %}
# --- REST API: jobs/api.py ---------------------------------------------------------------------------------------

# https://www.django-rest-framework.org/api-guide/settings/
REST_FRAMEWORK = {
    # Programs send a token (manage.py drf_create_token, or the admin), browsers their session. The first one decides
    # how a request without either is answered: 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # For each user: a program that asks in a loop, or submits in one, must not take web or the workers from the others.
    # Price: a batch of more jobs waits, or submits one job for all. Counted in the cache, so a few more may pass.
    "DEFAULT_THROTTLE_RATES": {"user": "600/min", "submit": "120/min"},
}
# https://drf-spectacular.readthedocs.io/en/latest/settings.html
SPECTACULAR_SETTINGS = {
    "TITLE": PROJECT_NAME,
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}

{% endif %}
LOG_LEVEL = env("LOG_LEVEL", default="INFO")
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    raise ImproperlyConfigured(f"LOG_LEVEL={LOG_LEVEL} must be DEBUG, INFO, WARNING or ERROR")

# Lines for people; settings/prod.py makes objects of them.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Without Django's own handlers, which would write each line a second time in development.
    "loggers": {"django": {"handlers": []}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
