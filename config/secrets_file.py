"""Random keys of the development setup, generated once and then read for ever."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def stable_secret(path: Path, random_bytes: int = 48) -> str:
    """The secret in the file, which is created (readable by its owner only) if it is missing.

    Whoever comes first decides: two processes that start at once end with the same secret, and
    a process that is killed half-way leaves no half-written one.
    """
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-") as draft:
        draft.write(secrets.token_urlsafe(random_bytes))
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):  # another process was first: its secret is the one
            path.hardlink_to(draft.name)
    return path.read_text()
