"""A month that is ready to close, and one that is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocation import period_close
from allocation.models import PeriodClose
from tests.allocation import october
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
