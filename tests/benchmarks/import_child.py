"""A process that imports one file into a named database and prints its peak memory in KiB."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import django

from tests.benchmarks.peak import peak_kib


def main(database: str, path: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from metering.files.file_ingestion import ingest_file
    from metering.files.usage_files import open_usage
    from tests.databases import pointed_at

    now = datetime(2026, 11, 2, tzinfo=UTC)
    with pointed_at(database):
        usage = open_usage(Path(path), source="bench", received_at=now)
        ingest_file(usage, now=now, workers=1)
    print(peak_kib())


main(*sys.argv[1:])
