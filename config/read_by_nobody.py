"""What a command does whose reader has gone, as of `manage.py audit | head`."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDED_BY_SIGPIPE: Final = 128 + 13
"""What a shell reports of a program that the signal ended, like that of `yes | head`."""


@contextmanager
def quietly() -> Iterator[None]:
    """Around a command: once nobody reads its output any more, it ends without a word, with a code
    that is no success. A pipe that breaks elsewhere, as to a database, is a failure like others.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # not left to the interpreter, whose complaint nobody could catch
    except BrokenPipeError:
        if not _nobody_reads(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ENDED_BY_SIGPIPE)


def _nobody_reads(output: int) -> bool:
    """Whether the reader of this descriptor has closed its end."""
    asked = select.poll()
    asked.register(output, select.POLLOUT)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in asked.poll(0))
