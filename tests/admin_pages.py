"""Admin pages for tests: who asks, which pages there are, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from config import urls
from metering import people
from metering.admin.bases import ModelAdmin
from metering.models import UserIdentity


def person(username: str, *roles: str) -> User:
    """A user of the admin with these roles; `superuser` is everything."""
    if roles == ("superuser",):
        return User.objects.create_superuser(username)
    user, _ = people.add(username, roles)
    return user


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def registered() -> Iterator[tuple[str, type[Model], ModelAdmin]]:
    """Every model of the admin by the name that its URLs begin with."""
    assert urls.urlpatterns, "the admin's pages are found when the routes are loaded"
    for model, model_admin in admin.site._registry.items():
        meta = model._meta
        yield f"{meta.app_label}_{meta.model_name}", model, model_admin


def key_of(row: Any) -> Any:
    """What a row's page is found by: users by their pseudonym, all else by the primary key."""
    return row.pseudonym if isinstance(row, UserIdentity) else row.pk


def page_of(row: Model) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[key_of(row)])


def told(response: Any) -> str:
    """The messages that the answered page shows."""
    request = response.wsgi_request
    return " ".join(str(message) for message in get_messages(request))


def text(response: Any) -> str:
    return str(response.content.decode())
