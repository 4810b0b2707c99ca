"""What is sent by HTTP is received by the real clock."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _whenever_it_is_run(lasting_horizon: None) -> None:
    """The events' months are those of other tests, which stay where they are."""
