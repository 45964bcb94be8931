"""What both peers need of Django."""

import os
from pathlib import Path

SECRET_KEY = "insecure-and-only-for-benchmarks"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "db",
        "NAME": os.environ["POSTGRES_DB"],
        "USER": os.environ["POSTGRES_USER"],
        "PASSWORD": Path("/run/secrets/postgres_password").read_text(),
    }
}
