"""Senders that never give up, through kills of the server and crashes of PostgreSQL: every event
that was answered with success is there, once.

The servers are the test's own, since it makes short work of them. What is killed when hangs on how
many requests have been answered, not on a clock. `KILLS` sets how many there are.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
import pytest

from config.embedded.__main__ import connection_variables
from config.embedded.places import Places
from config.environment import ROOT, VARIABLES
from tests.metering.formats.otlp.requests import a_span, as_protobuf, export

pytestmark = pytest.mark.outside
KILLS: Final = int(os.environ.get("KILLS", "8"))
CLIENTS: Final = 8
REQUESTS: Final = 60 * KILLS
"""Of all clients together; a quarter of them are batches, which a second committer stores, and a
third tell of their calls as spans, which a third one does."""
BATCH: Final = 60
WITHIN_SECONDS: Final = 240
NOON: Final = datetime(2026, 10, 10, 12, tzinfo=UTC)


@dataclass
class Progress:
    """How many requests have been answered with success, for whoever waits for so many."""

    answered: int = 0
    changed: Condition = field(default_factory=Condition)

    def one_more(self) -> None:
        with self.changed:
            self.answered += 1
            self.changed.notify_all()

    def reach(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.answered >= number, WITHIN_SECONDS)


@dataclass
class Company:
    """An installation of its own: how to run its programs, and where its server listens."""

    environment: dict[str, str]
    port: int
    secret: str = ""
    server: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def serve(self) -> None:
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "granian", "--interface", "rsgi", "--host", "127.0.0.1"),
                *("--port", str(self.port), "--workers", "2"),
                "config.rsgi:application",
            ],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill_server(self) -> None:
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.environment["MIGRATION_DATABASE_URL"]) as connection:
            yield connection

    def crash_postgres(self) -> None:
        """Kill a connection's process: PostgreSQL takes all others down and recovers, as after a
        crash of its own."""
        with self.database() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'apportion' LIMIT 1"
            ).fetchone()
        if found is not None:
            with suppress(ProcessLookupError):
                os.kill(int(found[0]), signal.SIGKILL)


@pytest.fixture
def company() -> Iterator[Company]:
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with tempfile.TemporaryDirectory(prefix="apportion-kills-") as folder, socket.socket() as probe:
        Path(folder).chmod(0o711)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        settings = {**inherited, "APPORTION_VAR": f"{folder}/var", "HTTPS": "off"}
        services = [sys.executable, "-m", "config.embedded"]
        subprocess.run([*services, "start"], cwd=ROOT, env=settings, check=True)
        probe.close()
        named = connection_variables(Places.under(Path(folder) / "var"))
        keys = {"SECRET_KEY": "s" * 60, "IDENTITY_HASH_KEY": "i" * 60}
        running = Company({**settings, **named, **keys}, port)
        try:
            running.manage("migrate")
            made = running.manage("create_api_key", "s", "--scope", "ingest", "--json")
            running.secret = json.loads(made)["secret"]
            running.serve()
            yield running
        finally:
            if running.server is not None:
                running.kill_server()
            subprocess.run([*services, "remove"], cwd=ROOT, env=settings, check=False)


def event(number: int) -> dict[str, Any]:
    return {
        "externalRequestId": f"req-{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurredAt": (NOON + timedelta(seconds=number)).isoformat(),
        "inputTokens": 100 + number % 7,
        "outputTokens": 10,
        "tenantId": f"tenant-{number % 5}",
        "userId": f"user-{number % 12}",
    }


def trace(number: int) -> list[dict[str, Any]]:
    """The same call as the spans of an agent and of the call that it made, of the same usage."""
    at = int((NOON + timedelta(seconds=number)).timestamp()) * 1_000_000_000
    said = event(number)
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": said["provider"],
        "gen_ai.request.model": said["model"],
        "gen_ai.usage.input_tokens": said["inputTokens"],
        "gen_ai.usage.output_tokens": said["outputTokens"],
        "user.id": said["userId"],
    }
    agent = {**call, "gen_ai.operation.name": "invoke_agent"}
    ids = {"traceId": f"{number + 1:032x}", "startTimeUnixNano": str(at)}
    return [
        a_span(agent, id=f"{number + 1:015x}a", **ids),
        a_span(call, id=f"{number + 1:015x}c", parent=f"{number + 1:015x}a", **ids),
    ]


class Message(NamedTuple):
    """A request: where it goes, what it is, and how many events it brings."""

    path: str
    kind: str
    body: bytes
    events: int

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Message:
        """A third of the messages, always the same ones, tell of their calls as spans."""
        if numbers[0] % 3 == 1:
            spans = [span for number in numbers for span in trace(number)]
            body = as_protobuf(export(*spans))
            return cls("/v1/traces", "application/x-protobuf", body, len(numbers))
        body = json.dumps([event(number) for number in numbers]).encode()
        return cls("/api/v1/usage", "application/json", body, len(numbers))

    def is_taken(self, said: bytes) -> bool:
        """Whether an answer of success says so of all of it."""
        if self.path == "/v1/traces":
            return said == b""  # a partial success would say what was not
        counts = json.loads(said)
        return bool(counts["accepted"] + counts["duplicates"] == self.events)


def requests() -> list[list[int]]:
    """The numbers of the events of each request: single ones, batches, and every sixth request a
    repetition of an earlier one, which another client may be sending at the same time."""
    draw = random.Random(7)
    made: list[list[int]] = []
    following = 0
    for place in range(REQUESTS):
        if place % 6 == 5:
            made.append(made[draw.randrange(max(0, place - CLIENTS), place)])
            continue
        size = BATCH if place % 4 == 0 else 1
        made.append(list(range(following, following + size)))
        following += size
    return made


def send_until_taken(company: Company, numbers: Sequence[int], draw: random.Random) -> None:
    """Send the events until the answer says that all of them are there. Now and then the answer
    is not waited for: it is lost, and the same is sent again."""
    message = Message.of(numbers)
    headers = {"Authorization": f"Bearer {company.secret}", "Content-Type": message.kind}
    deadline = monotonic() + WITHIN_SECONDS
    while monotonic() < deadline:
        link = HTTPConnection("127.0.0.1", company.port, timeout=30)
        try:
            link.request("POST", message.path, message.body, headers)
            if draw.random() < 0.1:
                continue
            answer = link.getresponse()
            said = answer.read()
        except (OSError, HTTPException):
            continue
        finally:
            link.close()
        if answer.status == 200:
            assert message.is_taken(said), said
            return
        assert answer.status in (500, 503), said
    raise AssertionError("the server did not come back")


def test_what_was_answered_with_success_is_there_once(company: Company) -> None:
    plan = requests()
    waiting = iter(enumerate(plan))
    progress = Progress()

    def client(number: int) -> None:
        draw = random.Random(number)
        for _, numbers in waiting:
            send_until_taken(company, numbers, draw)
            progress.one_more()

    def disturb() -> None:
        draw = random.Random(99)
        for kill in range(KILLS):
            progress.reach(len(plan) * (kill + 1) // (KILLS + 2) + draw.randrange(20))
            if kill % 3 == 2:
                company.crash_postgres()
            else:
                company.kill_server()
                company.serve()

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        done = [pool.submit(client, number) for number in range(CLIENTS)]
        done.append(pool.submit(disturb))
        for future in done:
            future.result()

    sent = sum(len(numbers) for numbers in {tuple(numbers) for numbers in plan})
    with company.database() as connection:
        assert single(connection, "SELECT count(*) FROM event_ledger") == sent
        assert single(connection, "SELECT count(*) FROM usage_event") == sent
        names = "SELECT count(DISTINCT external_request_id) FROM usage_event"
        assert single(connection, names) == sent
        tail = "SELECT coalesce(sum(events), 0) FROM usage_rollup_tail"
        folded = "SELECT coalesce(sum(events), 0) FROM usage_rollup"
        assert single(connection, tail) + single(connection, folded) == sent
    assert json.loads(company.manage("verify", "2026-10", "--json"))["holds"] is True


def single(connection: psycopg.Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
