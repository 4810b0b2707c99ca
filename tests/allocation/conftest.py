"""A month that is ready to close, one that is closed, and one that is only said to be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from allocation import allocation_run, period_close
from allocation.models import PeriodClose
from metering.domain.digests import digest_of
from metering.readings import MeteredUsage
from tests.allocation import october
from tests.allocation.month_of_usage import MonthOfUsage
from tests.allocation.october import CONTROLLER, NOW, OCTOBER
from tests.prebuilt import Prebuilt


@pytest.fixture
def ready(db: None, prebuilt: Prebuilt) -> Iterator[None]:
    """Bill in, reconciled, allocated by the analyst."""
    with prebuilt.at(october.ready):
        yield


@pytest.fixture
def closed(ready: None) -> PeriodClose:
    return period_close.close(OCTOBER, by=CONTROLLER, now=NOW)


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> MonthOfUsage:
    month = MonthOfUsage()
    monkeypatch.setattr(allocation_run, "bill_lines", month.bill_lines)
    monkeypatch.setattr(
        allocation_run,
        "metered_usage",
        lambda _: MeteredUsage(month.cells, digest_of(month.cells)),
    )
    monkeypatch.setattr(
        allocation_run, "readings", lambda _month, queries: dict.fromkeys(queries, month.drivers)
    )
    return month
