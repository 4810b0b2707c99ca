"""A database of a benchmark's own, like a test's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.databases import TestDatabases, pointed_at


@contextmanager
def own_database() -> Iterator[str]:
    """Django's connections meet a fresh, migrated database, as the application's role."""
    with closing(TestDatabases()) as databases:
        databases.prepare()
        name = databases.clone()
        try:
            with pointed_at(name):
                yield name
        finally:
            databases.drop(name)
