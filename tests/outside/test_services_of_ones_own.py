"""PostgreSQL and Redis that the operator runs: over TCP, with passwords, two roles, and nothing
that the embedded ones would bring along."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psycopg
import pytest
import redis

from config.embedded import processes
from config.embedded.binaries import postgres_programs, valkey_program
from config.embedded.places import Places
from config.environment import ROOT, VARIABLES

pytestmark = pytest.mark.outside
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
START_SECONDS = 60


@dataclass(frozen=True)
class Operator:
    """Who runs the servers, and what they put into the environment."""

    places: Places
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path) -> str:
        done = processes.run(self.places, command, folder=self.places.home)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def manage(self, *arguments: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**inherited, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def programs() -> Sequence[object]:
    """Our own PostgreSQL, and the oldest that the machine has."""
    return [
        pytest.param(None, id="the wheel's"),
        *(pytest.param(folder, id=f"PostgreSQL {folder.parent.name}") for folder in DEBIAN[:1]),
    ]


@pytest.fixture(params=programs())
def operator(request: pytest.FixtureRequest) -> Iterator[Operator]:
    with tempfile.TemporaryDirectory(prefix="apportion-") as folder:
        Path(folder).chmod(0o711)
        running = Operator(Places.under(Path(folder) / "servers"))
        running.places.own_folder(running.places.home / "postgres")
        data = running.places.home / "postgres" / "data"
        binaries = request.param or postgres_programs(running.places).folder
        try:
            running.variables.update(start_postgres(running, binaries, data))
            running.variables.update(start_valkey(running))
            running.variables.update(
                SECRET_KEY="s" * 60, IDENTITY_HASH_KEY="i" * 60, APPORTION_VAR=f"{folder}/var"
            )
            yield running
        finally:
            if (data / "postmaster.pid").exists():
                running.run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
            if "REDIS_URL" in running.variables:
                with redis.Redis.from_url(running.variables["REDIS_URL"]) as client:
                    client.shutdown(nosave=True)
            shutil.rmtree(running.places.home, ignore_errors=True)


def start_postgres(operator: Operator, binaries: Path, data: Path) -> dict[str, str]:
    password = data.parent / "password"
    password.write_text("of the superuser")
    password.chmod(0o644)
    operator.run(
        *(binaries / "initdb", "-D", data, "--username=root", "--auth=scram-sha-256"),
        *(f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
    )
    port = free_port()
    listening = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    log = data.parent / "log"
    operator.run(binaries / "pg_ctl", "-D", data, "-l", log, "-w", "-o", listening, "start")
    with psycopg.connect(
        host="127.0.0.1",
        port=port,
        user="root",
        password="of the superuser",
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute("CREATE ROLE migrating LOGIN PASSWORD 'own:s/it'")
        connection.execute("CREATE ROLE working LOGIN PASSWORD 'uses@it'")
        connection.execute("CREATE DATABASE books OWNER migrating")
    return {
        "DATABASE_URL": f"postgres://working:uses%40it@127.0.0.1:{port}/books",
        "MIGRATION_DATABASE_URL": f"postgres://migrating:own%3As%2Fit@127.0.0.1:{port}/books",
    }


def start_valkey(operator: Operator) -> dict[str, str]:
    port = free_port()
    folder = operator.places.own_folder(operator.places.home / "valkey")
    operator.run(
        *(valkey_program(operator.places), "--port", str(port), "--bind", "127.0.0.1"),
        *("--requirepass", "hidden", "--daemonize", "yes", "--dir", folder, "--save", ""),
    )
    url = f"redis://:hidden@127.0.0.1:{port}/0"
    deadline = monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert monotonic() < deadline
            else:
                return {"REDIS_URL": url}


def events(count: int) -> str:
    """A native usage file."""
    return "".join(
        json.dumps(
            {
                "externalRequestId": f"req-{number}",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "occurredAt": f"2026-10-{number % 28 + 1:02}T12:00:00Z",
                "inputTokens": 100 + number,
                "outputTokens": 10,
                "tenantId": "acme",
            }
        )
        + "\n"
        for number in range(count)
    )


READY = "from config.health import readiness as r; print(r().status_code, r().content.decode())"


def test_a_month_on_services_of_ones_own(operator: Operator, tmp_path: Path) -> None:
    usage = tmp_path / "usage.jsonl"
    usage.write_text(events(500))

    operator.manage("migrate", "--verbosity", "0")
    imported = json.loads(operator.manage("import_usage", str(usage), "--json"))
    again = json.loads(operator.manage("import_usage", str(usage), "--json"))
    operator.manage("verify", "2026-10")

    assert (imported["accepted"], again["accepted"], again["duplicates"]) == (500, 0, 500)
    assert operator.manage("shell", "--no-imports", "-c", READY).startswith("200 ")
    assert not (Path(operator.variables["APPORTION_VAR"])).exists()
    with (
        psycopg.connect(operator.variables["DATABASE_URL"]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM usage_event")
