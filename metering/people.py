"""Who acts: a name becomes a user with the right to do what is asked, or is refused with a remedy.

Only people act here. A program (an API key, a schedule) may prepare; it never approves.
"""

from __future__ import annotations

from collections.abc import Iterable

import pghistory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import transaction

from config.roles import ROLES, roles_with


class NotAllowed(PermissionDenied):
    """The person may not do this; the message names who, which right is missing, which role has
    it, and the command that gives it."""


class UnknownRole(ValueError):
    """A role that is not in `config.roles`; the message lists those that are."""


def acting(username: str, permission: str) -> User:
    """The active user of this name, if they have the permission (`app.codename`). From then on
    they stand in the history of what is changed.

    Raises `NotAllowed` for no name, a name that no active user has, and a missing right.
    """
    if not username.strip():
        raise NotAllowed("this is done by a person: name one with --as USER")
    users = get_user_model()._default_manager  # noqa: SLF001 - Django's public name for it
    user = users.filter(username=username).first()
    giving = f"manage.py add_person {username}" + _as_role(permission)
    if user is None:
        raise NotAllowed(f"no active user {username!r}; make one with: {giving}")
    if not user.is_active:
        raise NotAllowed(f"no active user {username!r} any more: name another person")
    if not user.has_perm(permission):
        roles = " or ".join(roles_with(permission)) or "no role, only a superuser"
        raise NotAllowed(
            f"{username} lacks the right {permission}, which {roles} has; give it with: {giving}"
        )
    pghistory.context(user=user.pk, by=user.username)
    return user


def author(username: str, permission: str) -> str:
    """The name to record as the author of what a command makes: of a person who may, or `""` for
    the program, where none is named. Raises `NotAllowed`."""
    return acting(username, permission).username if username else ""


def _as_role(permission: str) -> str:
    return "".join(f" --role {name}" for name in roles_with(permission)[:1])


def add(username: str, roles: Iterable[str]) -> tuple[User, bool]:
    """Make a user with these roles, or give them to the one there is (roles are only added).

    A new user has no password until one is set, and may log in to the admin. Gives the user, and
    whether it is new. Raises `UnknownRole`.
    """
    wanted = sorted(set(roles))
    unknown = [name for name in wanted if name not in ROLES]
    if unknown:
        raise UnknownRole(f"no role {unknown[0]!r}; there are: {', '.join(ROLES)}")
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username, defaults={"is_staff": True})
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        user.groups.add(*Group.objects.filter(name__in=wanted))
    return user, created
