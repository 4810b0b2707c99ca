"""The supervisor of the embedded servers, with real processes in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import postgres, valkey
from config.embedded.__main__ import main
from config.embedded.places import Places
from config.environment import ROOT

pytestmark = pytest.mark.outside
START = "import sys; from pathlib import Path; from config.embedded import postgres; "
START += "from config.embedded.places import Places; "
START += "postgres.ensure_running(Places.under(Path(sys.argv[1])))"


@pytest.fixture
def places() -> Iterator[Places]:
    """Not under tmp_path: its parents are closed to the servers' account."""
    with tempfile.TemporaryDirectory(prefix="apportion-") as folder:
        Path(folder).chmod(0o711)
        found = Places.under(Path(folder) / "var")
        yield found
        postgres.stop(found)
        valkey.stop(found)
        shutil.rmtree(found.home, ignore_errors=True)
        shutil.rmtree(found.sockets, ignore_errors=True)


def owner(places: Places) -> psycopg.Connection:
    return psycopg.connect(
        host=str(places.sockets), user="apportion_owner", dbname="apportion", autocommit=True
    )


def test_a_server_starts_once_and_is_durable(places: Places) -> None:
    postgres.ensure_running(places)
    first = postgres.server_process(places)
    postgres.ensure_running(places)
    assert postgres.server_process(places) == first
    with owner(places) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_what_was_committed_survives_a_kill(places: Places) -> None:
    postgres.ensure_running(places)
    with owner(places) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    killed = postgres.server_process(places)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    postgres.ensure_running(places)

    assert postgres.server_process(places) not in (None, killed)
    with owner(places) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_a_stale_number_that_another_process_has_got_is_no_server(places: Places) -> None:
    postgres.ensure_running(places)
    postgres.stop(places)
    data = next(places.home.glob("postgres-[0-9]*"))
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    postgres.ensure_running(places)
    assert postgres.answers(places)


def test_many_starting_at_once_start_one(places: Places) -> None:
    command = [sys.executable, "-c", START, str(places.var)]
    starters = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [starter.wait(timeout=120) for starter in starters] == [0, 0, 0, 0]
    assert postgres.answers(places)


def test_valkey_keeps_what_it_was_told_over_a_kill(places: Places) -> None:
    valkey.ensure_running(places)
    with valkey.client(places) as client:
        client.set("kept", "7")
        client.execute_command("WAITAOF", 1, 0, 5000)
        os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
    valkey.ensure_running(places)
    with valkey.client(places) as client:
        assert client.get("kept") == b"7"


def test_nothing_is_removed_under_an_open_connection(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPORTION_VAR", str(places.var))
    postgres.ensure_running(places)
    with owner(places):
        assert main(["remove"]) == 1
        assert postgres.answers(places)
    assert main(["remove"]) == 0
    assert not places.home.exists()
