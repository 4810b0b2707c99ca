"""The people whom invoices are approved by."""

from __future__ import annotations

import pytest

from tests.billing.billed import staff


@pytest.fixture(name="staff")
def _staff(db: None) -> None:
    staff()
