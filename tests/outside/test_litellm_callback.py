"""The real LiteLLM with its `generic_api` callback, posting to a running server.

Its cache needs the libraries of its proxy, so what comes out of that is tested by its records.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering.api_keys import create
from tests.foreign_python import litellm_python
from tests.metering.api.keys import rows
from tests.serving import Server

pytestmark = pytest.mark.outside


@pytest.fixture
def python() -> Path:
    found = litellm_python()
    if found is None:
        pytest.skip("LiteLLM cannot be installed here")
    return found


def test_what_the_callback_posts_is_stored(server: Server, python: Path) -> None:
    for log_format in ("json_array", "ndjson", "single"):
        _, key = create("proxy", "ingest", source=log_format, now=datetime.now(UTC))
        child = subprocess.run(
            [python, Path(__file__).with_name("litellm_child.py"), log_format],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={
                "PATH": "",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "GENERIC_LOGGER_ENDPOINT": f"{server.url}/integrations/litellm",
                "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {key}",
            },
        )
        assert child.returncode == 0, child.stderr[-2000:]
        expect_calls(log_format)


def expect_calls(source: str) -> None:
    stored = rows(
        "SELECT model, model_executed, status, coalesce(error_code, ''), input_tokens,"
        " output_tokens, tenant, coalesce(endpoint_tag, ''), user_pseudonym IS NOT NULL, cost > 0,"
        f" external_request_id FROM usage_event WHERE source = '{source}' ORDER BY occurred_at"
    )
    assert [row[:4] for row in stored] == [
        ("gpt-4o", "gpt-4o", "success", ""),
        ("gpt-4o-mini", "gpt-4o-mini", "success", ""),
        ("fast", "gpt-4o-mini", "error", "429"),
        ("fast", "gpt-4o-mini", "error", "429"),
        ("good", "gpt-4.1", "success", ""),
    ]
    assert stored[0][4:9] == (10, 20, "acme", "summary", True)
    for row in stored:
        used = row[2] == "success"
        assert ((row[4] > 0), (row[5] > 0), row[9]) == (used, used, used)
    assert len({row[10] for row in stored[2:]}) == 1, "retries and the fallback are one request"
