"""The product as it is served: granian in processes of its own, on a free port of this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from tests.databases import ROOT

READY_WITHIN: Final = 60
"""Seconds after which a server that does not answer is given up."""
_PAUSE: Final = 0.05
_STARTED: Final = re.compile(rb"Started worker-\d+ runtime-1\b")


@dataclass(frozen=True)
class Server:
    """A running server: its address (`http://127.0.0.1:port`, no slash at the end), the database
    that it works on, and the file that it logs to."""

    url: str
    database: str
    log: Path


def child_environment(database: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child (a server, a worker) that works on `database`."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HTTPS": "off",
        "LOG_FORMAT": "plain",
    }
    if settings.ENVIRONMENT.embeds_postgres:
        environment["APPORTION_DATABASE"] = database
    else:
        for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL"):
            if environment.get(name):
                environment[name] = urlsplit(environment[name])._replace(path=database).geturl()
    return {**environment, **(extra or {})}


@contextmanager
def serving(
    database: str, *, workers: int = 1, extra: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`config.rsgi` served by granian on that database, from when it answers until the end of
    the block, by so many processes. `extra` are further environment variables."""
    port = _free_port()
    arguments = ["--interface", "rsgi", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--workers", str(workers), "config.rsgi:application"]
    with TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "granian", *arguments],
                cwd=ROOT,
                env=child_environment(database, extra),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_it_answers(process, port, log, workers)
            yield Server(f"http://127.0.0.1:{port}", database, log)
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], port: int, log: Path, workers: int
) -> None:
    """Until all of its processes do: connections go to those only that are there."""
    deadline = monotonic() + READY_WITHIN
    while monotonic() < deadline:
        if len(_STARTED.findall(log.read_bytes())) >= workers:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        try:
            process.wait(_PAUSE)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers: asked first, then without asking."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
