"""Where the embedded services live, and as whom they run.

Everything is under one folder, `var`. Two things can force parts of it elsewhere:

- PostgreSQL refuses to run as root. When we are root it runs as an unprivileged account, and that
  account must be able to reach its data. Where a parent of `var` is closed to it (a checkout under
  /root), the data live under `/var/lib/apportion-<hash of var>`; no parent's permissions change.
- A unix socket's path may have 103 bytes (macOS; 107 on Linux). Where `var` is too deep, the
  sockets live under `/tmp/apportion-<hash of var>`, in a folder that only its owner can enter.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_SOCKET_PATH: Final = 103
POSTGRES_SOCKET: Final = ".s.PGSQL.5432"


class UnsafeFolder(RuntimeError):
    """A folder that must be ours belongs to another user or is open to others."""


@dataclass(frozen=True)
class Account:
    """The unprivileged operating-system user that the servers run as when we are root."""

    name: str
    user_id: int
    group_id: int

    def can_reach(self, path: Path) -> bool:
        """Whether every folder above `path`, as far as it exists, lets this account through."""
        return all(self._may_enter(folder) for folder in path.absolute().parents)

    def _may_enter(self, folder: Path) -> bool:
        try:
            found = folder.stat()
        except FileNotFoundError:
            return True
        if found.st_uid == self.user_id:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.group_id:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


@dataclass(frozen=True)
class Places:
    """The folders of one embedded setup. Building this value touches nothing."""

    var: Path
    home: Path
    """Data of the servers, their logs and the lock: `var`, or elsewhere when that is closed."""
    sockets: Path
    account: Account | None

    @classmethod
    def under(cls, var: Path) -> Places:
        var = var.expanduser().absolute()
        mark = hashlib.sha256(os.fsencode(var)).hexdigest()[:10]
        account = unprivileged_account() if os.geteuid() == 0 else None
        home = var
        if account is not None and not account.can_reach(var / "postgres"):
            home = Path("/var/lib") / f"apportion-{mark}"
        sockets = home / "run"
        if len(os.fsencode(sockets / POSTGRES_SOCKET)) > LONGEST_SOCKET_PATH:
            sockets = Path("/tmp") / f"apportion-{mark}"  # noqa: S108 (its owner is verified)
        return cls(var=var, home=home, sockets=sockets, account=account)

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    def make_home(self) -> None:
        """Make the home folder, which the servers' account must be able to pass through."""
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
            if self.account is not None:
                self.home.chmod(0o711)

    def own_folder(self, folder: Path) -> Path:
        """Make a folder that only the servers' user can enter, or make sure that it is one."""
        self.make_home()
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        owner = os.geteuid() if self.account is None else self.account.user_id
        if self.account is not None and found.st_uid == 0:
            os.chown(folder, self.account.user_id, self.account.group_id)
            found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise UnsafeFolder(
                f"{folder} must be a folder of user {owner} that nobody else can enter: remove it, "
                "or choose another place with APPORTION_VAR"
            )
        return folder


def unprivileged_account() -> Account:
    """`postgres` where the machine has that user, else `nobody`."""
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise UnsafeFolder(
        "PostgreSQL refuses to run as root and there is neither a user postgres nor nobody: "
        "run as an ordinary user, or set DATABASE_URL"
    )
