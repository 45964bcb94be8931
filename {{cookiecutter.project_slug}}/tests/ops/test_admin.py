"""Rows that only code writes: ops/admin.py."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model

from ops.admin import ReadOnlyAdmin


@pytest.mark.django_db
def test_people_may_look_at_rows_and_delete_them_but_not_add_or_change_them(rf):
    users = get_user_model()
    request = rf.get("/")
    request.user = users.objects.create_superuser("staff")

    permissions = ReadOnlyAdmin(users, admin.site).get_model_perms(request)

    assert permissions == {"add": False, "change": False, "delete": True, "view": True}
