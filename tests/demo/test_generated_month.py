"""The made-up month: the same bytes every time, everything in it, and bills that add up."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import islice

import msgspec
import pytest

from billing.demo import planted
from billing.demo.bill_documents import CSV_COLUMNS
from billing.demo.billed_usage import ProviderLog
from billing.demo.bills import MadeBills, make_bills
from billing.demo.month import Call, calls
from billing.demo.traffic import (
    CONVERSATION_INPUT,
    ENDPOINTS,
    TENANTS,
    calls_by_hour,
    length,
    prompt_version,
)

EVENTS = 5_000
Payload = dict[str, object]


@pytest.fixture(scope="module")
def month() -> list[Call]:
    return list(calls(EVENTS))


@pytest.fixture(scope="module")
def bills(month: list[Call]) -> MadeBills:
    log = ProviderLog()
    log.add(month)
    return make_bills(log.cells())


def test_two_generations_give_the_same_bytes(month: list[Call]) -> None:
    def digest(made: list[Call]) -> str:
        lines = b"\n".join(msgspec.json.encode(call.payload) for call in made)
        return hashlib.sha256(lines).hexdigest()

    assert digest(month) == digest(list(calls(EVENTS)))
    assert digest(month) != digest(list(calls(EVENTS, seed=1)))


def test_the_number_of_calls_is_asked_for_exactly_and_the_lines_come_on_top(
    month: list[Call],
) -> None:
    requests = {call.payload["externalRequestId"] for call in month} - {"req_malformed"}
    assert len(requests) == EVENTS
    assert EVENTS < len(month) < EVENTS * 1.1


@pytest.mark.parametrize(
    "kind",
    [
        "plain", "shared", "batch", "tier", "tool", "named_cost_centre", "test", "retry",
        "failure", "cut_off", "fallback", "caller_cache", "refused", "resend", "conflict",
        "malformed",
    ],
)  # fmt: skip
def test_every_ingredient_is_there(month: list[Call], kind: str) -> None:
    assert Counter(call.kind for call in month)[kind] > 0


HOLDS: dict[str, Callable[[Payload], bool]] = {
    "cached tokens": lambda p: bool(p.get("cachedInputTokens")),
    "cache-written tokens": lambda p: bool(p.get("cacheWriteTokens")),
    "tokens cached for an hour": lambda p: bool(p.get("cacheWrite1hTokens")),
    "reasoning": lambda p: bool(p.get("reasoningTokens")),
    "a failure with tokens": lambda p: p.get("status") == "error" and bool(p["inputTokens"]),
    "a failure without": lambda p: p.get("status") == "error" and not p["inputTokens"],
    "an unknown user": lambda p: not {"userId", "anonId"} & p.keys(),
    "an anonymous user": lambda p: "anonId" in p,
    "a service account": lambda p: p.get("userId") == "svc-reviewer",
    "a third attempt": lambda p: p.get("attempt") == 3,
    "an unpriced model": lambda p: p["model"] == planted.PREVIEW_MODEL,
    "the operator's own server": lambda p: p["provider"] == "vllm",
    "a long context": lambda p: int(str(p["inputTokens"])) > 272_000,
    "nobody's call": lambda p: "tenantId" not in p,
}


@pytest.mark.parametrize("ingredient", HOLDS)
def test_every_shade_is_there(ingredient: str) -> None:
    payloads = (call.payload for call in calls(20_000) if call.kind != "malformed")
    assert any(HOLDS[ingredient](payload) for payload in payloads)


def test_counts_within_a_call_agree(month: list[Call]) -> None:
    for call in month:
        if call.kind == "malformed":
            continue
        get = call.payload.get
        written = get("cacheWriteTokens", 0)
        assert get("cacheWrite1hTokens", 0) <= written
        assert get("cachedInputTokens", 0) + written <= call.payload["inputTokens"]
        assert get("reasoningTokens", 0) <= call.payload["outputTokens"]
        shares = get("shares", [])
        assert sum(share["inputTokens"] for share in shares) <= call.payload["inputTokens"]


def test_tenants_are_skewed_and_all_are_heard(month: list[Call]) -> None:
    heard = Counter(str(call.payload.get("tenantId", "")) for call in month)
    assert set(heard) >= {tenant.key for tenant in TENANTS}
    assert heard["acme"] > 20 * heard["lumen-solar"] > 0


def test_hours_sum_to_the_total_and_nights_are_quiet() -> None:
    by_hour = dict(calls_by_hour(10_007))
    assert sum(by_hour.values()) == 10_007
    by_clock = Counter[int]()
    for hour, count in by_hour.items():
        by_clock[hour.hour] += count
    assert by_clock[15] > 5 * by_clock[3]


def test_lengths_follow_the_table_between_its_points() -> None:
    assert length(CONVERSATION_INPUT, 0.0) == 2
    assert length(CONVERSATION_INPUT, 0.5) == 1020
    assert 2735 <= length(CONVERSATION_INPUT, 0.92) <= 4083
    assert length(CONVERSATION_INPUT, 0.999999) <= 14050


def test_prompt_versions_change_within_the_month() -> None:
    changed = [tag for tag in ENDPOINTS if prompt_version(tag, 1) != prompt_version(tag, 31)]
    assert len(changed) >= 4


def test_the_bills_are_the_metered_cost_and_what_was_planted_exactly(bills: MadeBills) -> None:
    for provider, total in bills.totals.items():
        differences = sum((p.amount for p in bills.planted if p.provider == provider), Decimal(0))
        assert total == bills.metered[provider] + differences


def test_every_cause_is_planted_with_an_amount(bills: MadeBills) -> None:
    amounts = {difference.cause: difference.amount for difference in bills.planted}
    assert set(amounts) == set(planted.STORIES)
    assert all(amounts.values())
    assert amounts["metered_not_billed"] < 0 < amounts["unmetered"]
    assert abs(amounts["rounding"]) < Decimal("0.01")


def test_the_documents_sum_to_the_totals(bills: MadeBills) -> None:
    page = json.loads(bills.openai_costs, parse_float=Decimal)
    values = [result["amount"]["value"] for bucket in page["data"] for result in bucket["results"]]
    assert sum(map(Decimal, values)) == bills.totals["openai"]
    assert {type(value) for value in values} >= {str, Decimal}
    rows = csv.DictReader(io.StringIO(bills.anthropic_csv.decode()))
    paid = sum(Decimal(row[CSV_COLUMNS["amount"]]) for row in rows)
    assert paid == bills.totals["anthropic"]


def test_the_bill_counts_what_the_calls_report(month: list[Call], bills: MadeBills) -> None:
    """Another route to one total: tokens straight from the payloads against the document."""
    model = "text-embedding-3-small"
    sent = sum(
        call.payload["inputTokens"]
        for call in month
        if call.payload["model"] == model and call.kind == "shared"
    )
    page = json.loads(bills.openai_costs)
    counted = sum(
        result["quantity"]
        for bucket in page["data"]
        for result in bucket["results"]
        if result["line_item"] == f"{model}, input"
    )
    assert counted == sent > 0


def test_a_shorter_month_is_as_whole() -> None:
    first = list(islice(calls(200), 50))
    assert len(first) == 50
