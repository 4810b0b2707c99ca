"""A database of the demo's own, on the server that is configured, made anew each time.

Nothing that somebody else made is ever dropped: what the demo makes carries a mark (a comment on
the database), and only a database with that mark is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from config.history import of_command

NAME: Final = "apportion_demo"
MARK: Final = "made by manage.py demo, which may replace it"

_ALIASES: Final = ("default", "migrator")
_DEMO_LOCK: Final = 0x64656D6F


class DatabaseRefused(RuntimeError):
    """The demo cannot have its database; the message says why and what to do."""


@contextmanager
def demo_database(name: str = NAME) -> Iterator[str]:
    """Point all of Django's connections at a fresh, empty database until the block ends; it stays
    behind to be looked at. Raises `DatabaseRefused`.
    """
    before = {alias: connections[alias].settings_dict["NAME"] for alias in _ALIASES}
    connections["migrator"].ensure_connection()  # starts the embedded server
    with _home() as home:
        _claim(home)
        _replace(home, name)
        try:
            point_at(name)
            yield name
        finally:
            for alias in _ALIASES:
                _point(alias, before[alias])


@contextmanager
def migrating() -> Iterator[Callable[[], None]]:
    """Migrate the database in a thread, while the programs beside the demo start. The block is
    given what waits for it, and raises what it raised."""
    pool = ThreadPoolExecutor(1, "migrate")
    migrated = pool.submit(_migrate)

    def wait() -> None:
        migrated.result()
        pool.shutdown()

    try:
        yield wait
    finally:
        pool.shutdown()


def _migrate() -> None:
    try:
        with of_command(sys.argv):
            call_command("migrate", verbosity=0)
    finally:
        connections.close_all()  # of this thread


def _home() -> psycopg.Connection[Any]:
    """The migrator's own connection to the configured database, in autocommit."""
    parameters: dict[str, Any] = connections["migrator"].get_connection_params()
    for key in ("cursor_factory", "context", "isolation_level", "prepare_threshold"):
        parameters.pop(key, None)
    return psycopg.connect(**parameters, autocommit=True)


def _claim(home: psycopg.Connection[Any]) -> None:
    row = home.execute("SELECT pg_try_advisory_lock(%s)", [_DEMO_LOCK]).fetchone()
    if row is None or row[0] is False:
        raise DatabaseRefused("another demo is running on this server; wait until it has ended")


def _replace(home: psycopg.Connection[Any], name: str) -> None:
    row = home.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    if row is not None and row[0] != MARK:
        raise DatabaseRefused(
            f"there is a database {name!r} that no demo has made, so it is left alone; "
            "rename it, or point DATABASE_URL at another server"
        )
    identifier = sql.Identifier(name)
    try:
        if row is not None:
            home.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
        home.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        home.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(identifier, MARK))
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseRefused(
            f"the role of MIGRATION_DATABASE_URL may not create the database {name!r}: "
            "ALTER ROLE … CREATEDB, or unset DATABASE_URL for the embedded server"
        ) from error


def point_at(name: str) -> None:
    """From now on all of this process's connections meet that database."""
    for alias in _ALIASES:
        _point(alias, name)


def _point(alias: str, name: str) -> None:
    connections[alias].close()
    connections[alias].settings_dict["NAME"] = name
