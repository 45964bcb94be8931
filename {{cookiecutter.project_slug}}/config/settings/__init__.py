"""Settings by environment.

base    what every environment shares
celery  every CELERY_ setting
dev     `manage.py` on a laptop and the development containers
test    `make test`
prod    the image's default
"""
