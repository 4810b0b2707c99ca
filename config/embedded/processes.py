"""Running the servers' programs: as the right user, one starter at a time."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config.embedded.places import Places


class ServerFailed(RuntimeError):
    """An embedded server could not be started; the message ends with what it said."""


@contextmanager
def exclusively(places: Places) -> Iterator[None]:
    """One process at a time creates, starts or stops; the lock goes with the process."""
    places.make_home()
    with places.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(
    places: Places, command: Sequence[str | Path], *, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program as the servers' user, in a session of its own.

    A server that it leaves behind must survive Ctrl-C in the terminal and must not hold our
    pipes open, so its output goes to a file.
    """
    account = places.account
    said = folder / f".said-{os.getpid()}"
    with said.open("w+") as output:
        done = subprocess.run(  # noqa: S603 (our own commands)
            [str(part) for part in command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            user=account.user_id if account else None,
            group=account.group_id if account else None,
            extra_groups=[] if account else None,
        )
        output.seek(0)
        said.unlink()
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def command_of(process_id: int) -> str | None:
    """The name of the program that runs under this id; None if there is no such process.

    A process that is dead but not yet collected by its parent runs nothing.
    """
    asked = subprocess.run(  # noqa: S603 (a number)
        ["ps", "-p", str(process_id), "-o", "stat=,comm="],  # noqa: S607 (wherever ps is)
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, command = asked.stdout.strip().partition(" ")
    return None if state.startswith("Z") else Path(command.strip()).name or None


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
