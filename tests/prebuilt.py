"""States that many tests start from, each built once by a test process, in a database of its own.

What a test does there is rolled back, so every test meets the state as it was built. A connection
to each such database stays open: going there costs a transaction, not a month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend

from tests.databases import TestDatabases

Build = Callable[[Path], None]
"""Brings a migrated database to a state and commits it; the folder is for files on the way."""


class Prebuilt:
    """The prebuilt states of one test process, by what builds them."""

    def __init__(self, databases: TestDatabases) -> None:
        self._databases = databases
        self._connections: dict[Build, BaseDatabaseWrapper] = {}

    @contextmanager
    def at(self, build: Build) -> Iterator[None]:
        """Until the end of the block `django.db.connection` meets the state, in a transaction
        that is rolled back then.

        It is for tests in a transaction (`db`) that have stored nothing yet: what is stored
        before is in another database. Rows that `build` made are read anew by each test.
        """
        outer = connections[DEFAULT_DB_ALIAS]
        if outer in self._connections.values():
            raise RuntimeError("a test starts from one prebuilt state")
        if build not in self._connections:
            self._connections[build] = self._built(build)
        with meeting(self._connections[build]):
            rolled_back = transaction.atomic()
            rolled_back._from_testcase = True  # type: ignore[attr-defined]  # as Django's TestCase
            with rolled_back:
                yield
                transaction.set_rollback(True)

    def close(self) -> None:
        for found in self._connections.values():
            found.close()
            self._databases.drop(str(found.settings_dict["NAME"]))

    def _built(self, build: Build) -> BaseDatabaseWrapper:
        settings = {**connections.settings[DEFAULT_DB_ALIAS], "NAME": self._databases.clone()}
        backend = load_backend(settings["ENGINE"])
        made: BaseDatabaseWrapper = backend.DatabaseWrapper(settings, DEFAULT_DB_ALIAS)
        with meeting(made), _threads_meeting(settings["NAME"]), TemporaryDirectory() as folder:
            build(Path(folder))
        return made


@contextmanager
def _threads_meeting(database: str) -> Iterator[None]:
    """Connections that other threads open now go there."""
    settings = connections.settings[DEFAULT_DB_ALIAS]
    before = settings["NAME"]
    settings["NAME"] = database
    try:
        yield
    finally:
        settings["NAME"] = before


@contextmanager
def meeting(other: BaseDatabaseWrapper) -> Iterator[None]:
    before = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = other
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = before
