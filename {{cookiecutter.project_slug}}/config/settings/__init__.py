"""Settings. What differs between machines comes from environment variables, which .env.example explains.

base         Django: apps, middleware, templates, users, mail, database, cache, files
capacity     processes, threads and replicas, and the connections to PostgreSQL that they need
celery       every CELERY_ setting
{% if cookiecutter.__use_jobs %}
jobs         the job engine
{% endif %}
{% if cookiecutter.__use_api %}
rest_api     Django REST framework and its OpenAPI description
{% endif %}
logging      log lines for people, or JSON for programs
environment  reads the environment

dev          `manage.py` on a laptop, and the development containers
test         `make test`
prod         the image's default
"""
