"""The user model. Code refers to it as settings.AUTH_USER_MODEL or by get_user_model()."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who can log in. So far it has the same fields as Django's own user; add yours here.

    The project has its own model from the first migration on, because Django can't switch to one later.
    https://docs.djangoproject.com/en/5.2/topics/auth/customizing/#using-a-custom-user-model-when-starting-a-project
    """
