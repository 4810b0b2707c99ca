"""`make serve` as a newcomer meets it: one command, a login that works, a clean end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from billing.demo.own_database import MARK, NAME
from config.embedded import postgres, valkey
from config.embedded.places import Places
from config.environment import APPLICATION, OWNER, ROOT, VARIABLES

pytestmark = pytest.mark.outside


@dataclass(frozen=True)
class Newcomer:
    """A machine on which nothing has been done yet."""

    places: Places

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        return {**inherited, "APPORTION_VAR": str(self.places.var)}

    def owner(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.places.sockets), user=OWNER, dbname=database, autocommit=True
        )


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    """Servers of its own, in a short folder that the servers' account can enter."""
    with tempfile.TemporaryDirectory(prefix="apportion-") as folder:
        Path(folder).chmod(0o711)
        places = Places.under(Path(folder) / "var")
        yield Newcomer(places)
        postgres.stop(places)
        valkey.stop(places)
        shutil.rmtree(places.sockets, ignore_errors=True)


@dataclass(frozen=True)
class Serving:
    process: subprocess.Popen[str]
    url: str
    username: str
    password: str
    said: list[str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve(newcomer: Newcomer, port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "config.serve", "--port", str(port)],
        cwd=ROOT,
        env=newcomer.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> tuple[re.Match[str], list[str]]:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found, said
    raise AssertionError(f"never said {pattern}, but:\n{''.join(said)}")


def started(process: subprocess.Popen[str]) -> Serving:
    pattern = r"Apportion is at (\S+)/ : log in as (\w+), password (\S+)"
    found, said = read_until(process, pattern)
    return Serving(process, found[1], found[2], found[3], said)


def log_in(serving: Serving) -> str:
    """The start page, as the printed login sees it."""
    with httpx.Client(base_url=serving.url, follow_redirects=True) as browser:
        browser.get("/admin/login/")
        answer = browser.post(
            "/admin/login/?next=/admin/",
            data={
                "username": serving.username,
                "password": serving.password,
                "csrfmiddlewaretoken": browser.cookies["csrftoken"],
            },
        )
        assert answer.status_code == 200
        assert answer.url.path == "/admin/"
        stylesheet = re.search(r'href="(/static/unfold/[^"]+\.css[^"]*)"', answer.text)
        assert stylesheet
        assert browser.get(stylesheet[1]).status_code == 200
        return answer.text


def worker_of(process: subprocess.Popen[str]) -> int:
    """The process id of the worker that this supervisor has started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, command = line.split(None, 2)
        if int(parent) == process.pid and "celery" in command and " worker" in command:
            return int(pid)
    raise AssertionError("there is no worker")


def test_one_command_a_login_and_a_clean_end(newcomer: Newcomer) -> None:
    port = free_port()
    with serve(newcomer, port) as process:
        serving = started(process)
        assert f"serving the database {APPLICATION}" in serving.said[0]
        password = newcomer.places.var / "admin_password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        assert password.read_text() == serving.password
        assert "admin" in log_in(serving)
        assert httpx.get(f"{serving.url}/readyz").json() == {"status": "ready"}

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    with closing(socket.create_server(("127.0.0.1", port))):
        pass  # nothing listens there any more


def test_a_dead_worker_is_named_and_ends_the_rest(newcomer: Newcomer) -> None:
    with serve(newcomer, free_port()) as process:
        started(process)
        os.kill(worker_of(process), signal.SIGKILL)
        read_until(process, "worker was ended by SIGKILL; stopping the rest")
        process.communicate(timeout=60)
        assert process.returncode == 1


def test_a_busy_port_is_named_with_the_remedy(newcomer: Newcomer) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with serve(newcomer, port) as process:
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith(f"port {port} is in use by another program")
    assert f"make serve PORT={port + 1}" in said


def test_the_month_that_the_demo_left_is_shown_while_the_ordinary_database_is_empty(
    newcomer: Newcomer,
) -> None:
    postgres.ensure_running(newcomer.places)
    with newcomer.owner(APPLICATION) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
        connection.execute(f"COMMENT ON DATABASE {NAME} IS '{MARK}'")
    with serve(newcomer, free_port()) as process:
        serving = started(process)
        assert f"serving the database {NAME}" in serving.said[0]
        log_in(serving)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
