"""The user model: accounts/models.py, accounts/admin.py."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.urls import reverse

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_the_user_model_is_our_own_so_that_fields_can_be_added():
    assert get_user_model() is User
    assert issubclass(User, AbstractUser)


def test_the_admin_adds_and_finds_users(admin_client):
    answer = admin_client.post(
        reverse("admin:accounts_user_add"),
        {"username": "ada", "usable_password": "true", "password1": "let me in 1", "password2": "let me in 1"},
    )

    assert answer.status_code == 302
    assert User.objects.get(username="ada").check_password("let me in 1")
    assert "ada" in admin_client.get(reverse("admin:accounts_user_changelist"), {"q": "ada"}).content.decode()
