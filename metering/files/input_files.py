"""Files that a command is given: looked at before they are opened, read whole where they are small.

Only regular files are taken: a device never ends, and a pipe cannot be looked at twice.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 256 << 20
"""Of a file that is read whole: owners, drivers, rules, plans, bills."""

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder; name a file in it"),
    (stat.S_ISFIFO, "is a pipe; write it to a file and name that"),
    (stat.S_ISSOCK, "is a socket; name a file"),
    (stat.S_ISCHR, "is a device; name a file"),
    (stat.S_ISBLK, "is a device; name a file"),
)


class UnreadableInput(ValueError):
    """The file cannot be read; the message names it and the remedy."""


def regular_size(path: Path) -> int:
    """The size in bytes of a regular file; raises `UnreadableInput` for anything else."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a path with NUL raises ValueError here, as below
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise UnreadableInput(f"{str(path)!r} is no path of a file: {error}") from error
    for is_kind, what in _KINDS:
        if is_kind(found.st_mode):
            raise UnreadableInput(f"{path} {what}")
    return found.st_size


def content_of(path: Path) -> bytes:
    """All of a regular file that is not empty, and not larger than `MAX_BYTES`."""
    size = regular_size(path)
    if size == 0:
        raise UnreadableInput(f"{path} is empty; there is nothing to import")
    if size > MAX_BYTES:
        raise UnreadableInput(
            f"{path} is larger than {MAX_BYTES >> 20} MiB; is it the right file? If so, split it"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def text_of(path: Path) -> str:
    """`content_of` as UTF-8 text, without a byte order mark."""
    try:
        return content_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableInput(f"{path} is not UTF-8 ({error}); save it as UTF-8") from error


def _unreadable(path: Path, error: OSError) -> UnreadableInput:
    return UnreadableInput(f"{path} cannot be read: {error.strerror or error}")
