"""Before `make serve` serves: the database is chosen and migrated, and somebody may log in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from billing.demo.own_database import MARK
from billing.demo.own_database import NAME as DEMO
from config import secrets_file
from config.embedded import valkey

LOGIN: Final = "admin"
_PASSWORD_BYTES: Final = 9
_ALIASES: Final = ("default", "migrator")


@dataclass(frozen=True)
class Chosen:
    """The database that is served, and why it."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"serving the database {self.name}: {self.why}"


@dataclass(frozen=True)
class Login:
    """Who can log in: the local superuser with this password, or somebody else."""

    username: str | None
    password: str | None

    def __str__(self) -> str:
        if self.username is None:
            return "log in with an account of yours (manage.py changepassword mends a password)"
        if self.password is None:
            return f"log in as {self.username} with the password that you gave it"
        return f"log in as {self.username}, password {self.password}"


def prepare() -> tuple[Chosen, Login]:
    """Choose the database, migrate it and have a login for it; start the embedded Redis."""
    chosen = _choose()
    for alias in _ALIASES:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = chosen.name
    call_command("migrate", verbosity=0)
    if settings.ENVIRONMENT.embeds_redis:
        valkey.ensure_running(settings.ENVIRONMENT.embedded)
    return chosen, _login()


def _choose() -> Chosen:
    """The ordinary database, unless it is still empty and the demo's month stands beside it."""
    name = connections["default"].settings_dict["NAME"]
    if settings.ENVIRONMENT.names_database:
        return Chosen(name, "APPORTION_DATABASE names it")
    if _has_usage() or not _demo_stands():
        return Chosen(name, "the ordinary one")
    return Chosen(
        DEMO,
        f"{name} has no usage yet, and make demo has left its month.\n"
        f"Commands meet it with APPORTION_DATABASE={DEMO} ./manage.py …; "
        f"the empty one is served by APPORTION_DATABASE={name} make serve",
    )


def _has_usage() -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('usage_event') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return False
        cursor.execute("SELECT EXISTS (SELECT FROM usage_event)")
        return bool(cursor.fetchone() == (True,))


def _demo_stands() -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s"
            " AND shobj_description(oid, 'pg_database') = %s)",
            [DEMO, MARK],
        )
        return bool(cursor.fetchone() == (True,))


def _login() -> Login:
    """The local superuser, made where the database has none yet. Its password is random, the same
    for every database of this machine, and in a file that only its owner can read."""
    users = get_user_model()._default_manager  # noqa: SLF001 (Django's public name for it)
    environment = settings.ENVIRONMENT
    password = secrets_file.stable_secret(
        environment.embedded.var / "admin_password", _PASSWORD_BYTES
    )
    user = users.filter(username=LOGIN).first()
    if user is None:
        if users.filter(is_superuser=True).exists():
            return Login(None, None)
        user = users.create_superuser(LOGIN, password=password)
    return Login(LOGIN, password if user.check_password(password) else None)
