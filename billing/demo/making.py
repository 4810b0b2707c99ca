"""The month is made up by a process of its own, which begins before this one is ready for it.

What it takes to make a month up is imported over there, so beginning costs next to nothing here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from billing.demo.documents import MadeMonth, MonthFiles

_LOOK_SECONDS: Final = 0.5


class MakingFailed(RuntimeError):
    """The month was not made up; the message says what is known of why."""


@dataclass(frozen=True)
class Making:
    """A month that is being made up. What was agreed before it is written first, then what it
    brought: asked for in this order."""

    events: int
    _process: BaseProcess
    _told: Connection
    _made: list[MadeMonth] = field(default_factory=list)

    def files(self) -> MonthFiles:
        """Where the files are, once owners, seats, rule and plans are written. Raises the
        `OSError` that held it up, or `MakingFailed`."""
        files: MonthFiles = self._hear()
        return files

    def made(self) -> MadeMonth:
        """The month, once usage and bills are written too; what is raised is as of `files`."""
        if not self._made:
            self._made.append(self._hear())
        return self._made[0]

    def wait(self) -> None:
        """Until `made`."""
        self.made()

    def _hear(self) -> Any:
        try:
            heard = self._told.recv()
        except EOFError:
            self._process.join()
            raise MakingFailed(
                "the process that makes up the month ended before it was done, with code"
                f" {self._process.exitcode}; what it said of it stands above"
            ) from None
        if isinstance(heard, OSError):
            raise heard
        return heard


@contextmanager
def month_of(events: int, folder: Path) -> Iterator[Making]:
    """Begin to make up a month of so many calls, and to write its files into the folder (made if
    need be). The process ends with the block, or with this process, at the latest.

    Where the system can, it is a copy of this process. So call it while this process has neither
    threads nor connections.
    """
    told, tells = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(
        target=_make, args=(tells, os.getpid(), events, folder), name="month", daemon=True
    )
    process.start()
    tells.close()
    try:
        yield Making(events, process, told)
    finally:
        process.terminate()
        process.join()
        told.close()


def _make(tells: Connection, parent: int, events: int, folder: Path) -> None:
    """The process's own work: write the files, and tell of it twice."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends this one
    Thread(target=end_without, args=(parent,), daemon=True).start()
    from billing.demo.documents import write_terms, write_traffic  # takes half a second

    try:
        files = write_terms(folder)
        tells.send(files)
        tells.send(write_traffic(files, events))
    except OSError as error:
        tells.send(error)


def end_without(parent: int) -> None:
    """End this process once its parent, the process of that number, has gone.

    A pipe from the parent would not tell: what the parent has started since holds it open too.
    """
    while os.getppid() == parent:
        sleep(_LOOK_SECONDS)
    os._exit(1)
