"""The programs that run beside the demo: a worker on its database, and a Stripe of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from tempfile import NamedTemporaryFile, TemporaryFile
from time import monotonic, sleep
from typing import IO, Final, NamedTuple, Protocol

import django
from django.conf import settings
from django.db import connections

from billing.demo.own_database import point_at
from config.celery import app, worker_arguments
from config.embedded import valkey
from config.environment import ROOT
from metering.background import hints

PATIENCE_SECONDS: Final = 300
"""How long a worker may take over what it was given."""

_LOOK_SECONDS: Final = 0.1
_END_SECONDS: Final = 20
_DOUBLE: Final = ROOT / "tests" / "doubles" / "stripe"
_TRIAL_KEYS: Final = ("sk_test_", "rk_test_")


class CompanionEnded(RuntimeError):
    """A program beside the demo ended, or did not come to an end; the message holds its last
    lines."""


class _Process(Protocol):
    """What is asked of a program that runs, however it was started."""

    def has_ended(self, within: float = 0) -> bool: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class _Executed:
    """A program that was executed."""

    process: subprocess.Popen[bytes]

    def has_ended(self, within: float = 0) -> bool:
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        _kill_group(self.process.pid)


@dataclass(frozen=True)
class _Forked:
    """A copy of this program that does something else."""

    process: BaseProcess

    def has_ended(self, within: float = 0) -> bool:
        self.process.join(within)
        return self.process.exitcode is not None

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        if self.process.pid is not None:
            _kill_group(self.process.pid)


@dataclass(frozen=True)
class Companion:
    """A program that runs beside this one, and what it says."""

    name: str
    process: _Process
    said: IO[bytes]

    def wait_until(self, came: Callable[[], bool]) -> None:
        """Wait for something that the program does. Raises `CompanionEnded` if it ends before,
        or takes longer than `PATIENCE_SECONDS`."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not came():
            if self.process.has_ended():
                raise CompanionEnded(f"the {self.name} has ended: {self.last_lines()}")
            if monotonic() > deadline:
                raise CompanionEnded(f"the {self.name} is still at work: {self.last_lines()}")
            sleep(_LOOK_SECONDS)

    def dismiss(self) -> None:
        """Nothing more is asked of it, and nothing it does is waited for: it need not even tidy
        up, which a worker takes its time for."""
        self.process.kill()

    def last_lines(self) -> str:
        return _so_far(self.said).decode(errors="replace")[-2_000:].strip() or "it said nothing"


class StripeAccess(NamedTuple):
    """The Stripe that the demo pushes to."""

    key: str
    base_url: str


@dataclass(frozen=True)
class Worker(Companion):
    """A Celery worker, which begins when it is told where."""

    orders: Connection

    def begin(self, database: str, stripe: StripeAccess | None) -> None:
        """Let it work on the database, with the broker that is configured and with that Stripe,
        which becomes this process's too."""
        if settings.ENVIRONMENT.embeds_redis:
            valkey.ensure_running(settings.ENVIRONMENT.embedded)
        access = stripe or StripeAccess("", settings.STRIPE_BASE_URL)
        settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL = access
        self.orders.send((database, *access))


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker that waits to be told where to begin.

    Where the system can, it is a copy of this process, because to import everything once more
    takes longer than much of what it does. So call it while this process has no other threads.
    """
    before = settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL
    heard, orders = multiprocessing.Pipe(duplex=False)
    with NamedTemporaryFile() as said:
        process = multiprocessing.Process(target=_work, args=(heard, said.name), name="worker")
        process.start()
        heard.close()
        running = _Forked(process)
        try:
            yield Worker("worker", running, said.file, orders)
        finally:
            orders.close()
            _end(running)
            settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL = before


def _work(orders: Connection, said: str) -> None:
    """The worker's own process: wait for the order, then work until it is told to end."""
    os.setsid()
    with open(said, "wb", buffering=0) as output, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - to be duplicated, not read
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    warnings.resetwarnings()  # what the copied process makes errors of (tests do) is its own
    django.setup()
    for connection in connections.all(initialized_only=True):
        # Its socket is the other process's: not a word there. The rest of it stays, since by it
        # what is done in the command's context, which was copied too, is recorded as done there.
        connection.connection = None
    try:
        database, *access = orders.recv()
    except EOFError:
        return
    settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL = access
    point_at(database)
    app.worker_main([*worker_arguments(), "--queues", hints.queue_of(database)])


@contextmanager
def stripe() -> Iterator[StripeAccess | None]:
    """Stripe's test mode where STRIPE_API_KEY is a key of it, else a double of Stripe on this
    machine; none with a live key (what the demo makes up is owed by nobody), nor in an
    installation without the double."""
    if settings.STRIPE_API_KEY:
        trial = settings.STRIPE_API_KEY.startswith(_TRIAL_KEYS)
        yield StripeAccess(settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL) if trial else None
        return
    if not _DOUBLE.is_dir():
        yield None
        return
    command = [sys.executable, "-m", "tests.doubles.stripe", "--port", "0"]
    with _running("Stripe double", command) as double:
        double.wait_until(lambda: b"STRIPE_API_KEY" in _so_far(double.said))
        given = dict(pair.split("=", 1) for pair in double.last_lines().splitlines()[-1].split())
        yield StripeAccess(given["STRIPE_API_KEY"], given["STRIPE_BASE_URL"])


@contextmanager
def _running(name: str, command: list[str]) -> Iterator[Companion]:
    with (
        TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - our own commands
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        running = _Executed(process)
        try:
            yield Companion(name, running, said)
        finally:
            _end(running)


def _end(process: _Process) -> None:
    if process.has_ended():
        return
    process.terminate()
    if not process.has_ended(_END_SECONDS):
        process.kill()


def _kill_group(pid: int) -> None:
    """Kill a process that leads a group, and all of the group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _so_far(said: IO[bytes]) -> bytes:
    """Read without moving the place at which the program writes, which is the same file's."""
    return os.pread(said.fileno(), os.fstat(said.fileno()).st_size, 0)
