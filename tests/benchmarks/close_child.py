"""A process that approves and closes the demo's month in a named database and prints its peak
memory in KiB."""

from __future__ import annotations

import os
import sys

import django

from tests.benchmarks.peak import peak_kib


def main(database: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from allocation import period_close
    from allocation.run_book import current_run
    from billing.demo.journey import ACCEPTED, APPROVER
    from billing.demo.run import MONTH_END_WORK
    from metering.domain.periods import Month
    from tests.databases import pointed_at

    month = Month.of(MONTH_END_WORK).previous()
    with pointed_at(database):
        period_close.approve(current_run(month), by=APPROVER, now=MONTH_END_WORK)
        period_close.close(month, by=APPROVER, now=MONTH_END_WORK, accept_unexplained=ACCEPTED)
    print(peak_kib())


main(*sys.argv[1:])
