"""Flows that only the test knows."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from metering.background import flows
from tests.metering.background.made_work import three_steps


@pytest.fixture
def test_flow() -> Iterator[None]:
    """The flow `test`, of three steps; what the test registers beside it is forgotten after it."""
    with mock.patch.dict(flows._FLOWS):
        three_steps()
        yield
