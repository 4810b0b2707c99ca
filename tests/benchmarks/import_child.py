"""A process that imports one file into a named database and prints its peak memory in KiB.

Its own mark, from /proc: what the system tells its parent counts the parent's memory as well,
from the moment of the fork.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import django


def main(database: str, path: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from metering.file_ingestion import ingest_file
    from metering.usage_files import open_usage
    from tests.databases import pointed_at

    now = datetime(2026, 11, 2, tzinfo=UTC)
    with pointed_at(database):
        usage = open_usage(Path(path), source="bench", received_at=now)
        ingest_file(usage, now=now, workers=1)
    marks = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(marks["VmHWM"].split()[0])


main(*sys.argv[1:])
