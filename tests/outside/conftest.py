"""What tests with software from outside may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.serving import Server, serving

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
"""`make test-outside` installs what they import; other targets leave them out."""


@pytest.fixture
def server(fresh_db: str) -> Iterator[Server]:
    """The whole product, served by granian on a database of the test's own.

    `server.url` is its address. The test's own Django connections meet the same database (as with
    `fresh_db`), so what it sets up (keys, tenants, users) must be committed, which it is outside
    a transaction. For other environment variables or more workers, take `fresh_db` and use
    `with serving(fresh_db, workers=2, extra={…}) as server:` from `tests.serving`; for another
    process on the same database (a Celery worker), `child_environment(fresh_db)` from there.
    """
    with serving(fresh_db) as running:
        yield running
