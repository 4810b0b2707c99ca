"""Events written out: exactly as they are stored, whatever their usage objects hold."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from metering.domain.periods import Month
from metering.usage_export import usage_lines
from tests.metering.api.keys import post, secret, sent

pytestmark = pytest.mark.usefixtures("db", "lasting_horizon")


def exported() -> list[dict[str, Any]]:
    lines = usage_lines(Month(2026, 10).period)
    return [json.loads(line, parse_float=Decimal) for line in lines]


def test_figures_that_are_no_whole_numbers_are_written_as_they_are_stored() -> None:
    """Groq tells its times beside its counts."""
    usage = (
        b'{"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,'
        b' "queue_time": 0.0625, "total_time": 1.047857}'
    )
    plain = json.dumps(sent(units={"seconds": "DECIMAL"}, latencyMs=None)).encode()
    plain = plain.replace(b'"DECIMAL"', b"1.50").replace(b'"latencyMs": null', b'"usage": ' + usage)
    for name in (b'"inputTokens": 1000, ', b'"outputTokens": 200, '):
        plain = plain.replace(name, b"")
    assert post(secret(), plain).json()["accepted"] == 1
    (event,) = exported()
    assert event["usage"]["queue_time"] == Decimal("0.0625")
    assert event["usage"]["total_time"] == Decimal("1.047857")
    assert event["units"] == {"seconds": "1.5"}
    assert (event["tags"], event["shares"]) == (None, None)


def test_tags_and_shares_are_written_as_they_were_sent() -> None:
    told = sent(tags={"team": "growth"}, shares=[{"tenantId": "globex", "inputTokens": 300}])
    assert post(secret(), told).json()["accepted"] == 1
    (event,) = exported()
    assert event["tags"] == {"team": "growth"}
    assert event["shares"] == [{"tenantId": "globex", "inputTokens": 300, "outputTokens": 0}]
