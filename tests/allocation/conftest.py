"""A month that is ready to close, one that is closed, and one that is only said to be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocation import allocation_run, period_close
from allocation.models import PeriodClose
from metering.domain.digests import digest_of
from tests.allocation import october
from tests.allocation.month_of_usage import MonthOfUsage
from tests.allocation.october import CONTROLLER, NOW, OCTOBER


@pytest.fixture
def ready(db: None, tmp_path: Path) -> None:
    """Bill in, reconciled, allocated by the analyst."""
    october.company(tmp_path)
    october.usage_and_bill()
    october.reconcile()
    october.run()


@pytest.fixture
def closed(ready: None) -> PeriodClose:
    return period_close.close(OCTOBER, by=CONTROLLER, now=NOW)


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> MonthOfUsage:
    month = MonthOfUsage()
    monkeypatch.setattr(allocation_run, "bill_lines", month.bill_lines)
    monkeypatch.setattr(allocation_run, "metered_cells", lambda _: month.cells)
    monkeypatch.setattr(allocation_run, "usage_digest", lambda _: digest_of(month.cells))
    monkeypatch.setattr(allocation_run, "reading", lambda _month, _query: month.drivers)
    return month
