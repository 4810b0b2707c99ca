"""What supervisors ask: alive without anybody else, ready only with all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import Client
from pytest_django import Settings

from tests.databases import pointed_at

STRANGER = {"host": "10.1.2.3:8000"}
"""A probe from inside a cluster: no host name of ours, no TLS."""


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: dict[str, Any]


def ask(path: str) -> Answer:
    answer = Client(headers=STRANGER).get(path)
    return Answer(answer.status_code, answer["Content-Type"], json.loads(answer.content))


@contextmanager
def silent_server() -> Iterator[int]:
    """Accepts connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


def test_alive_needs_no_database(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pointed_at("there_is_no_such_database"):
        answer = ask("/healthz")
    assert (answer.status, answer.body) == (200, {"status": "alive"})


def test_ready_with_a_migrated_database_and_redis(
    fresh_db: str, redis_url: str, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.REDIS_URL = redis_url
    answer = ask("/readyz")
    assert (answer.status, answer.body) == (200, {"status": "ready"})


@pytest.mark.parametrize("said", ["nothing listens", "it says nothing", "no such socket"])
def test_redis_that_does_not_answer_is_named(
    fresh_db: str, settings: Settings, said: str, tmp_path: Path
) -> None:
    with silent_server() as port:
        settings.REDIS_URL = {
            "nothing listens": "redis://:hidden@127.0.0.1:1/0",
            "it says nothing": f"redis://:hidden@127.0.0.1:{port}/0",
            "no such socket": f"unix://{tmp_path}/none.sock?db=0",
        }[said]
        answer = ask("/readyz")
    assert answer.status == 503
    assert answer.kind == "application/problem+json"
    assert answer.body["type"] == "urn:apportion:problem:not-ready"
    assert answer.body["amiss"] == {"redis": "Redis cannot be reached"}
    assert "hidden" not in str(answer.body)


def test_a_database_that_does_not_answer_is_named(redis_url: str, settings: Settings) -> None:
    settings.REDIS_URL = redis_url
    with pointed_at("there_is_no_such_database"):
        answer = ask("/readyz")
    assert answer.status == 503
    assert answer.body["amiss"] == {"database": "the database cannot be reached"}
    assert "there_is_no_such_database" not in str(answer.body)


def test_a_migration_that_is_missing_is_counted(
    fresh_db: str, redis_url: str, owner_connection: psycopg.Connection, settings: Settings
) -> None:
    settings.REDIS_URL = redis_url
    owner_connection.execute(
        "DELETE FROM django_migrations WHERE id = "
        "(SELECT max(id) FROM django_migrations WHERE app = 'metering')"
    )
    answer = ask("/readyz")
    assert answer.status == 503
    assert answer.body["amiss"]["database"].startswith("1 migration is not applied")


def test_a_database_that_was_never_set_up_is_told_what_to_do(
    fresh_db: str, redis_url: str, owner_connection: psycopg.Connection, settings: Settings
) -> None:
    settings.REDIS_URL = redis_url
    owner_connection.execute("ALTER TABLE django_migrations RENAME TO elsewhere")
    assert "run manage.py migrate" in ask("/readyz").body["amiss"]["database"]
