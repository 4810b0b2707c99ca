"""Reports of calls for tests: a trace's messages, and what a test says is different about one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from metering.domain.call_reports import CallReport
from tests.metering.events import NOON

MODEL: dict[str, Any] = {"provider": "openai", "model": "gpt-4o-mini"}
USED: dict[str, Any] = {"input_tokens": 1000, "cached_input_tokens": 300, "output_tokens": 200}


def report(
    span_id: str = "s1",
    *,
    fields: dict[str, Any] | None = None,
    after: int = 0,
    **different: Any,
) -> CallReport:
    """A message about a span of trace `t1`, `after` so many seconds past noon; a call, over, with
    model, time and usage, unless said otherwise."""
    plain: dict[str, Any] = {
        "trace_id": "t1",
        "span_id": span_id,
        "parent_span_id": None,
        "is_call": True,
        "said_at": NOON + timedelta(seconds=after),
        "ended": True,
        "fields": {**MODEL, **USED, "occurred_at": NOON.isoformat()} if fields is None else fields,
    }
    return CallReport(**{**plain, **different})
