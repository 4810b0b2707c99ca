"""What every test may ask for: a database, Redis, third-party data."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connections
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

from config.celery import app as celery
from config.embedded import valkey
from tests.databases import ROOT, TestDatabases, pointed_at
from tests.prebuilt import Prebuilt

hypothesis_settings.register_profile("default", max_examples=50, deadline=None)
hypothesis_settings.register_profile(
    "ci", max_examples=200, deadline=None, derandomize=True, print_blob=True
)
hypothesis_settings.register_profile(
    "soak", max_examples=int(os.environ.get("EXAMPLES", "5000")), deadline=None, print_blob=True
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_finish() -> None:
    """All that was imported lives to the end: the collector need not look at it again and again,
    and of what tests make most is soon gone."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _hints_stay_here(django_test_environment: None) -> None:
    """Celery's messages stay in this process; a test that starts a worker gives it a broker."""
    celery.conf["broker_url"] = "memory://"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Third-party data, read in place: `APPORTION_DATA`, else `shared/data` beside the checkout."""
    folder = Path(os.environ.get("APPORTION_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no third-party data at {folder}: set APPORTION_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def test_databases(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[TestDatabases]:
    """This process's databases: clones of one migrated template.

    Connections to them do not age: a long run of tests is no reason to be replaced.
    """
    for alias in ("default", "migrator"):
        connections[alias].settings_dict["CONN_MAX_AGE"] = None
    with django_db_blocker.unblock(), closing(TestDatabases(shares_prices=True)) as databases:
        databases.prepare()
        with django_db_blocker.block():
            yield databases


@pytest.fixture(scope="session")
def django_db_setup(
    test_databases: TestDatabases, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """pytest-django's `db` meets this process's clone, as the application's role.

    Each test is rolled back. The application may not TRUNCATE, so a test that needs to commit
    takes `fresh_db` instead of a transactional case.
    """
    with django_db_blocker.unblock():
        name = test_databases.clone()
        with pointed_at(name), django_db_blocker.block():
            yield
        test_databases.drop(name)


@pytest.fixture(scope="session")
def prebuilt(
    test_databases: TestDatabases, django_db_blocker: DjangoDbBlocker
) -> Iterator[Prebuilt]:
    """States that many tests start from: `with prebuilt.at(build):`, in a test with `db`."""
    states = Prebuilt(test_databases)
    yield states
    with django_db_blocker.unblock():
        states.close()


@pytest.fixture
def fresh_db(test_databases: TestDatabases, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database of the test's own, for commits, threads and several connections; its name.

    Connected as the application's role. Threads close their connections themselves; what is left
    open is cut off when the database is dropped.
    """
    with django_db_blocker.unblock():
        name = test_databases.clone()
        with pointed_at(name):
            yield name
        test_databases.drop(name)


@pytest.fixture
def owner_connection(
    request: pytest.FixtureRequest, test_databases: TestDatabases
) -> Iterator[psycopg.Connection]:
    """The migrator's connection (autocommit) to the test's database: who can tamper.

    It sees what is committed, so a test usually takes it together with `fresh_db`.
    """
    if "fresh_db" not in request.fixturenames:
        request.getfixturevalue("db")
    else:
        request.getfixturevalue("fresh_db")
    name = connections["default"].settings_dict["NAME"]
    with test_databases.connect("migrator", name) as connection:
        yield connection


@pytest.fixture(scope="session")
def redis_number(test_databases: TestDatabases) -> int:
    return test_databases.claim_redis_number(embedded=settings.ENVIRONMENT.embeds_redis)


@pytest.fixture
def lasting_horizon(settings: Settings) -> None:
    """Events of autumn 2026 are within the ledger's horizon, whenever the test is run: for tests
    that send such events to what asks the real clock."""
    since = datetime.now(UTC) - datetime(2026, 11, 1, tzinfo=UTC)
    settings.LEDGER_HORIZON_DAYS += max(since.days, 0)


@pytest.fixture
def redis_url(redis_number: int) -> Iterator[str]:
    """An empty Redis database of this process's own."""
    environment = settings.ENVIRONMENT
    if environment.embeds_redis:
        valkey.ensure_running(environment.embedded)
        url = f"unix://{environment.embedded.valkey_socket}?db={redis_number}"
    else:
        url = f"{environment.redis_url.rpartition('/')[0]}/{redis_number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()
