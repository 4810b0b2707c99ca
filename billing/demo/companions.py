"""The programs that run beside the demo: a worker on its database, and a Stripe of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import IO, Final, NamedTuple

from django.conf import settings

from config.celery import worker_command
from config.embedded import valkey
from config.environment import ROOT

PATIENCE_SECONDS: Final = 300
"""How long a worker may take over what it was given."""

_LOOK_SECONDS: Final = 0.1
_END_SECONDS: Final = 20
_DOUBLE: Final = ROOT / "tests" / "doubles" / "stripe"
_TRIAL_KEYS: Final = ("sk_test_", "rk_test_")


class CompanionEnded(RuntimeError):
    """A program beside the demo ended, or did not come to an end; the message holds its last
    lines."""


@dataclass(frozen=True)
class Companion:
    """A program that runs beside this one, and what it says."""

    name: str
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def wait_until(self, came: Callable[[], bool]) -> None:
        """Wait for something that the program does. Raises `CompanionEnded` if it ends before,
        or takes longer than `PATIENCE_SECONDS`."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not came():
            if self.process.poll() is not None:
                raise CompanionEnded(f"the {self.name} has ended: {self.last_lines()}")
            if monotonic() > deadline:
                raise CompanionEnded(f"the {self.name} is still at work: {self.last_lines()}")
            sleep(_LOOK_SECONDS)

    def dismiss(self) -> None:
        """Nothing more is asked of it: it may end while this process goes on."""
        self.process.terminate()

    def last_lines(self) -> str:
        return _so_far(self.said).decode(errors="replace")[-2_000:].strip() or "it said nothing"


class StripeAccess(NamedTuple):
    """The Stripe that the demo pushes to."""

    key: str
    base_url: str


@contextmanager
def worker(database: str, stripe: StripeAccess | None) -> Iterator[Companion]:
    """A Celery worker on the database, with the broker that is configured and with that Stripe,
    which becomes this process's too."""
    if settings.ENVIRONMENT.embeds_redis:
        valkey.ensure_running(settings.ENVIRONMENT.embedded)
    before = settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL
    key, base_url = stripe or StripeAccess("", settings.STRIPE_BASE_URL)
    environment = {
        "APPORTION_DATABASE": database,
        "STRIPE_API_KEY": key,
        "STRIPE_BASE_URL": base_url,
    }
    try:
        settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL = key, base_url
        with _running("worker", worker_command(), environment) as companion:
            yield companion
    finally:
        settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL = before


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
    with _running("Stripe double", command, {}) as double:
        double.wait_until(lambda: b"STRIPE_API_KEY" in _so_far(double.said))
        given = dict(pair.split("=", 1) for pair in double.last_lines().splitlines()[-1].split())
        yield StripeAccess(given["STRIPE_API_KEY"], given["STRIPE_BASE_URL"])


@contextmanager
def _running(name: str, command: list[str], extra: dict[str, str]) -> Iterator[Companion]:
    with (
        TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - our own commands
            command,
            cwd=ROOT,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Companion(name, process, said)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # of a process that has ended or was dismissed it asks nothing more
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _so_far(said: IO[bytes]) -> bytes:
    """Read without moving the place at which the program writes, which is the same file's."""
    return os.pread(said.fileno(), os.fstat(said.fileno()).st_size, 0)
