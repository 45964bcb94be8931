"""A foreign app, written as the tutorials of Celery and Django teach it. It knows nothing of the project.

https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
https://docs.djangoproject.com/en/5.2/intro/tutorial01/
"""
