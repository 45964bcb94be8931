"""Development: `manage.py` on a laptop, `make local`, and the containers of compose.override.yaml.

It differs from production in what a developer sees (errors, reloads), and it needs no services: without their URLs in
the environment it uses SQLite and files under var/. Tasks run in real worker processes all the same.
"""

from pathlib import Path

from config.settings.environment import env, exit_on_misconfiguration

with exit_on_misconfiguration():
    # Reading .env gives manage.py the same values that honcho gives to `make local`, such as SECRET_KEY. A variable
    # that is set already stays as it is. A container gets what compose passes on, as in production, and must not find
    # more in the mounted source.
    if env.bool("READ_DOTENV", default=True):
        env.read_env(Path(__file__).resolve().parents[2] / ".env")

    from config.settings.base import *

DEBUG = True
SECRET_KEY = SECRET_KEY or "insecure-and-only-for-development"
ALLOWED_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]", *ALLOWED_HOSTS]

if not CELERY_BROKER_URL:
    # Celery's filesystem broker: real messages between real processes, with nothing to install. It loses the messages
    # of a worker that is killed, so it is for development only. https://docs.celeryq.dev/projects/kombu/en/stable/
    _folder = BASE_DIR / "var" / "broker"
    for _name in ("messages", "control"):
        (_folder / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "filesystem://localhost"  # without a host name, Celery warns about it
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_folder / "messages"),
        "data_folder_out": str(_folder / "messages"),
        "control_folder": str(_folder / "control"),
        "polling_interval": 0.1,
    }
{% if cookiecutter.result_backend == "redis" %}

if not CELERY_RESULT_BACKEND:
    (BASE_DIR / "var" / "results").mkdir(parents=True, exist_ok=True)
    CELERY_RESULT_BACKEND = f"file://{BASE_DIR / 'var' / 'results'}"
{% endif %}
