"""Databases for tests, on a real server: one migrated template, cloned wherever one is needed.

Many test processes may use one server at once, of one checkout or of several. Each holds advisory
locks on one idle connection while it lives: on its template (shared) and on its own token. A
database whose lock can be had belongs to nobody any more, and is dropped by the next process.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

if TYPE_CHECKING:
    from metering.domain.price_book import PriceBook

    Prices = dict[str | None, tuple[tuple[int, int], PriceBook]]

ROOT = Path(__file__).resolve().parent.parent
APPS = ("metering", "allocation", "billing")
TEMPLATE = "apportion_template_"
CLONE = "apportion_test_"
REDIS_NUMBERS = range(1, 16)
REDIS_NUMBERS_EMBEDDED = range(1, 256)
BUILDING = 0x6170706F


def migrations_digest() -> str:
    """Names a template by everything that decides what is in it."""
    metering = ROOT / "metering"
    paths = [ROOT / "requirements" / "base.txt", ROOT / "config" / "roles.py"]
    paths += [metering / "privileges.py"]
    paths += [
        metering / "pricing" / "catalogue.py",
        metering / "pricing" / "price_imports.py",
        metering / "pricing" / "public_lists.py",
        metering / "management" / "commands" / "migrate.py",
    ]
    paths += sorted((metering / "pricelists").glob("*.py"))
    for app in APPS:
        paths += sorted((ROOT / app / "migrations").rglob("*.py"))
        paths += sorted((ROOT / app).rglob("*.sql"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


class TestDatabases:
    """The databases of one test process. `lease` is the connection that holds its locks.

    Reading the list prices takes half a second. With `shares_prices` this process reads them in
    the first clone, untouched, and knows them in every later one.
    """

    __test__ = False

    def __init__(self, *, shares_prices: bool = False) -> None:
        self._shares_prices = shares_prices
        self.token = secrets.token_hex(4)
        self.template = TEMPLATE + migrations_digest()
        self._count = 0
        self._prices: Prices | None = None
        migrator = connections["migrator"]
        self._home: str = migrator.settings_dict["NAME"]
        migrator.ensure_connection()  # starts the embedded server
        migrator.close()
        self.lease = self.connect("migrator", self._home)

    def prepare(self) -> None:
        """Have a template that fits the migrations, and sweep what dead processes left."""
        self._lock("pg_advisory_lock", self.token)
        self._lock("pg_advisory_lock_shared", self.template)
        self._drop_orphans()
        self._build_template()

    def connect(self, alias: str, database: str) -> psycopg.Connection:
        """A connection of its own, in autocommit, as the role of that alias."""
        parameters: dict[str, Any] = connections[alias].get_connection_params()
        for name in ("cursor_factory", "context", "isolation_level", "prepare_threshold"):
            parameters.pop(name, None)
        return psycopg.connect(**{**parameters, "dbname": database}, autocommit=True)

    def clone(self, of: str | None = None) -> str:
        """A new database, equal to that one, to which nobody is connected, or else to the
        migrated template."""
        self._count += 1
        name = f"{CLONE}{self.token}_{self._count}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, of or self.template)
        if self._shares_prices and of is None:
            self._tell_prices(name)
        return name

    def _tell_prices(self, name: str) -> None:
        from metering.pricing import catalogue

        if self._prices is None:
            with pointed_at(name):
                catalogue.load_book()
            read = catalogue._books.items()
            self._prices = {book: known for (place, book), known in read if place == name}
        for book, known in self._prices.items():
            catalogue._books[name, book] = known

    def drop(self, name: str) -> None:
        """Drop it, cutting off whatever a test left open.

        Not WITH (FORCE): the migrator may end neither the application's connections nor an
        autovacuum worker. So each role ends its own, and the plain DROP waits for the workers.
        """
        ending = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user AND backend_type = 'client backend'"
        )
        self.lease.execute(ending, [name])
        with self.connect("default", self._home) as application:
            application.execute(ending, [name])
        self._run("DROP DATABASE IF EXISTS {}", name)
        if self._shares_prices:
            self._forget(name)

    def _forget(self, name: str) -> None:
        """What this process remembers of a database that is no more."""
        from metering import owners
        from metering.pricing import catalogue

        owners._books.pop(name, None)
        for place in [place for place in catalogue._books if place[0] == name]:
            del catalogue._books[place]

    def claim_redis_number(self, *, embedded: bool) -> int:
        """A numbered Redis database that no other test process uses while this one lives."""
        for number in REDIS_NUMBERS_EMBEDDED if embedded else REDIS_NUMBERS:
            if self._lock("pg_try_advisory_lock", f"redis {number}"):
                return number
        raise RuntimeError("every numbered Redis database is in use by another test process")

    def close(self) -> None:
        self.lease.close()

    def _build_template(self) -> None:
        self.lease.execute("SELECT pg_advisory_lock(%s)", [BUILDING])
        try:
            if self._exists(self.template):
                return
            draft = f"{CLONE}{self.token}_draft"
            self.drop(draft)
            self._run("CREATE DATABASE {}", draft)
            with pointed_at(draft):
                call_command("migrate", verbosity=0)
            self._run("ALTER DATABASE {} RENAME TO {}", draft, self.template)
        finally:
            self.lease.execute("SELECT pg_advisory_unlock(%s)", [BUILDING])

    def _drop_orphans(self) -> None:
        found = self.lease.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s OR datname LIKE %s",
            [f"{TEMPLATE}%", f"{CLONE}%"],
        )
        for (name,) in found.fetchall():
            key = name if name.startswith(TEMPLATE) else name.removeprefix(CLONE).split("_")[0]
            if key in (self.template, self.token):
                continue
            if self._lock("pg_try_advisory_lock", key):
                self.drop(name)
                self._lock("pg_advisory_unlock", key)

    def _exists(self, name: str) -> bool:
        found = self.lease.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return found.fetchone() is not None

    def _lock(self, function: str, key: str) -> bool:
        number = zlib.crc32(key.encode()) - 2**31
        row = self.lease.execute(f"SELECT {function}(%s, %s)", [BUILDING, number]).fetchone()
        return row is not None and row[0] is not False

    def _run(self, statement: str, *names: str) -> None:
        query = sql.SQL(statement).format(*map(sql.Identifier, names))
        self.lease.execute(query)


@contextmanager
def pointed_at(database: str) -> Iterator[None]:
    """Django's connections, of every thread that opens one now, meet this database."""
    aliases = ("default", "migrator")
    before = {alias: connections[alias].settings_dict["NAME"] for alias in aliases}
    try:
        for alias in aliases:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = database
        yield
    finally:
        for alias in aliases:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = before[alias]
