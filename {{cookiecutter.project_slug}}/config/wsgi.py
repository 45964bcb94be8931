"""The WSGI application that gunicorn serves. gunicorn's options are in config/gunicorn.py."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

application = get_wsgi_application()
