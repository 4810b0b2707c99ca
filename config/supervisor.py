"""Several programs as one: started together, ended together.

Each runs in a session of its own, so that Ctrl-C reaches only the supervisor, which then asks each
to end (SIGTERM: finish what is in hand), and makes short work of those that do not. If one ends by
itself, it says which and ends the rest. If the supervisor itself is killed, a watcher, which waits
for just that, ends the programs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from types import FrameType
from typing import IO, Final

PATIENCE_SECONDS: Final = 20
"""How long a program may take to end once it was asked."""

_LOOK_SECONDS: Final = 0.2
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WATCH: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdin.read()
for group in sys.argv[1:]:
    try:
        os.killpg(int(group), signal.SIGTERM)
    except ProcessLookupError:
        pass
"""


@dataclass(frozen=True)
class Program:
    """What is started, and the name under which its lines are shown."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A program has ended by itself or because it was asked."""

    name: str
    status: int

    def __str__(self) -> str:
        if self.status < 0:
            return f"{self.name} was ended by {signal.Signals(-self.status).name}"
        return f"{self.name} ended with status {self.status}"


@dataclass(frozen=True)
class Asked:
    """Somebody wants everything to end."""


def supervise(
    programs: Sequence[Program],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str],
    is_ready: Callable[[], bool],
    on_ready: Callable[[], None],
) -> int:
    """Run the programs until one ends or a signal asks to stop; 0 if it was the signal, else 1.

    `is_ready` is asked a few times a second until it says yes; then `on_ready` is called, once.
    """
    happened: SimpleQueue[Ended | Asked] = SimpleQueue()
    running: dict[str, subprocess.Popen[str]] = {}
    with _signals_to(happened):
        try:
            for program in programs:
                running[program.name] = _start(program, folder, environment, output, happened)
            with _watched(running.values()):
                first = _first(happened, is_ready, on_ready)
                output.write(
                    f"{first}; stopping the rest\n" if isinstance(first, Ended) else "\nstopping\n"
                )
                output.flush()
                _stop(running, first, happened, output)
        finally:
            for process in running.values():
                _kill(process)
    return 1 if isinstance(first, Ended) else 0


@contextmanager
def _signals_to(happened: SimpleQueue[Ended | Asked]) -> Iterator[None]:
    def ask(_signal: int, _frame: FrameType | None) -> None:
        happened.put(Asked())

    before = {number: signal.signal(number, ask) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(
    program: Program,
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str],
    happened: SimpleQueue[Ended | Asked],
) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 (our own commands)
        program.command,
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )

    def show() -> None:
        for line in process.stdout or ():
            output.write(f"{program.name:<6} | {line}")
            output.flush()

    def wait() -> None:
        happened.put(Ended(program.name, process.wait()))

    for task in (show, wait):
        Thread(target=task, daemon=True).start()
    return process


@contextmanager
def _watched(processes: Iterable[subprocess.Popen[str]]) -> Iterator[None]:
    """The watcher holds one end of a pipe of which this process holds the other."""
    groups = [str(process.pid) for process in processes]
    with subprocess.Popen(  # noqa: S603 (our own text)
        [sys.executable, "-c", _WATCH, *groups], stdin=subprocess.PIPE, start_new_session=True
    ) as watcher:
        try:
            yield
        finally:
            watcher.kill()


def _first(
    happened: SimpleQueue[Ended | Asked], is_ready: Callable[[], bool], on_ready: Callable[[], None]
) -> Ended | Asked:
    while True:
        with suppress(Empty):
            return happened.get(timeout=_LOOK_SECONDS)
        if is_ready():
            on_ready()
            return happened.get()


def _stop(
    running: Mapping[str, subprocess.Popen[str]],
    first: Ended | Asked,
    happened: SimpleQueue[Ended | Asked],
    output: IO[str],
) -> None:
    """Ask all to end and wait for it, for as long as patience lasts or until asked again."""
    left = set(running) - {first.name if isinstance(first, Ended) else None}
    for name in left:
        running[name].terminate()
    deadline = monotonic() + PATIENCE_SECONDS
    while left:
        try:
            event = happened.get(timeout=max(0, deadline - monotonic()))
        except Empty:
            event = Asked()
        if isinstance(event, Asked):
            output.write(f"killing {', '.join(sorted(left))}\n")
            return
        left.discard(event.name)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a program: it, or children that it left behind."""
    with suppress(ProcessLookupError, PermissionError):  # gone, or (macOS) about to be
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
