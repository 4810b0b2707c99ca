"""The embedded PostgreSQL's settings, sized to the machine."""

from __future__ import annotations

import os
import shutil

from config.embedded.places import Places

MEBIBYTE = 1024 * 1024


def server_settings(places: Places, *, statistics: bool) -> str:
    """The text of `apportion.conf`, written anew before every start.

    `fsync`, `synchronous_commit` and `full_page_writes` are named although they are the defaults:
    an answer of success means that it is on disk, here as in production. The keys of events are
    hashes, so the indexes are written at random: many checkpoints would each write most pages
    anew, hence few of them and a long log, as far as the disk has room. Autovacuum looks less often
    than it would: on two cores it takes a good part of what a first import has.
    """
    settings: dict[str, str | int] = {
        "listen_addresses": "",
        "unix_socket_directories": str(places.sockets),
        "unix_socket_permissions": "0700",
        "port": 5432,
        "max_connections": 200,
        "max_locks_per_transaction": 256,
        "shared_buffers": f"{_shared_buffers_mib()}MB",
        "maintenance_work_mem": "256MB",
        "work_mem": "32MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_wal_size": f"{_longest_log_mib(places)}MB",
        "checkpoint_timeout": "30min",
        "random_page_cost": "1.1",
        "autovacuum_naptime": "5min",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "shared_preload_libraries": "pg_stat_statements" if statistics else "",
    }
    return "".join(f"{name} = '{_quoted(value)}'\n" for name, value in settings.items())


def _quoted(value: str | int) -> str:
    return str(value).replace("'", "''")


def _shared_buffers_mib() -> int:
    """A quarter of the memory, between 128 MiB and 2 GiB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(2048, memory // 4 // MEBIBYTE))


def _longest_log_mib(places: Places) -> int:
    """8 GiB of write-ahead log between checkpoints, or a fifth of the free disk."""
    free = shutil.disk_usage(places.home).free
    return max(1024, min(8192, free // 5 // MEBIBYTE))
