from __future__ import annotations

from collections.abc import Iterator

import pytest

from metering.domain.periods import Month
from metering.verification.event_verification import check_month


@pytest.fixture
def books_hold(db: None) -> Iterator[None]:
    """Whatever a test did, its month can be proved."""
    yield
    assert list(check_month(Month.parse("2026-10"))) == []
