"""LangSmith's runs for tests: a call beneath a chain and a root, posted and patched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from metering.domain.call_reports import CallReport
from metering.formats.langsmith.runs import parse_batch

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT, CHAIN, CALL = (f"0000000{n}-0000-7000-8000-00000000000{n}" for n in range(3))
ORDER = f"20261120T120000000000Z{ROOT}.20261120T120000100000Z{CHAIN}.20261120T120000200000Z{CALL}"
USED = {"input_tokens": 13, "output_tokens": 4, "total_tokens": 17}


def run(**different: Any) -> dict[str, Any]:
    return {
        "id": CALL,
        "trace_id": ROOT,
        "parent_run_id": CHAIN,
        "dotted_order": ORDER,
        "name": "ChatOpenAI",
        "run_type": "llm",
        "session_name": "shop",
        "start_time": "2026-11-20T12:00:00.200000+00:00",
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}},
        **different,
    }


def posted(*runs: dict[str, Any], patch: list[dict[str, Any]] | None = None) -> list[CallReport]:
    body = json.dumps({"post": runs, "patch": patch or []}).encode()
    found = parse_batch(body, received_at=NOW)
    assert all(isinstance(item, CallReport) for item in found), found
    return [item for item in found if isinstance(item, CallReport)]


POST = run(inputs={"messages": [{"role": "user", "content": "How many tokens has this?"}]})
PATCH = {
    "id": CALL,
    "trace_id": ROOT,
    "parent_run_id": CHAIN,
    "dotted_order": ORDER,
    "end_time": "2026-11-20T12:00:01.200000+00:00",
    "outputs": {"choices": [{"message": {"content": "Quite a few."}}], "usage_metadata": USED},
}
