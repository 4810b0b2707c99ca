"""From the body that a provider sent to its cost, by its own usage object: thousand bodies that
were published with their price, recorded traffic, and answers that several models made."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from genai_prices.data import providers

from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating
from metering.domain.usage import UsageEvent
from metering.formats import native
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricing.rated_events import rated
from tests.metering.domain.test_rating_vectors import published

NOVEMBER = datetime(2026, 11, 22, 5, tzinfo=UTC)
AUGUST = datetime(2026, 8, 20, 5, tzinfo=UTC)
DIFFERENCES: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parents[1] / "pricing" / "pricing_differences.toml").read_text()
)
PROVIDER_OF_FILE = ("groq", "mistral", "openrouter", "huggingface", "cerebras", "deepseek", "zai")
OPENAIS = re.compile(r"gpt-(?!oss)|o\d|text-embedding|computer-use")
MODEL_OF_PATH = re.compile(r"/model/(.+)/")


@cache
def book() -> PriceBook:
    listed = parse_genai_prices(providers, source="genai-prices", effective_at=AUGUST)
    return PriceBook(listed.prices, [listed.rules])


def sent(usage: object, provider: str, model: str, **more: object) -> UsageEvent:
    payload = {
        "externalRequestId": "r",
        "provider": provider,
        "model": model,
        "occurredAt": "2026-08-20T05:00:00Z",
        "usage": usage,
        **more,
    }
    event = native.parse(json.dumps(payload).encode(), place="p", source="s", received_at=AUGUST)
    assert isinstance(event, UsageEvent), event
    return event


def tokens_of(rating: Rating) -> Decimal | None:
    """The cost of the tokens: searches are not in the published figures."""
    if rating.cost is None:
        return None
    return sum(
        (
            line.amount
            for line in rating.lines
            if line.token_class not in ("web_search", "requests")
        ),
        Decimal(0),
    )


def own_provider(row: Mapping[str, Any]) -> str:
    """Whose answer the body is: by the model that only one provider has, else by its file."""
    body, model = row["body"], row["model"]
    if OPENAIS.match(model):
        return "openai"
    if "modelVersion" in body:
        return "google"
    if model.startswith("claude-") and "cache_read_input_tokens" in body["usage"]:
        return "anthropic"
    if model.startswith("openai."):
        return "aws"
    return next((name for name in PROVIDER_OF_FILE if name in body["file"].lower()), "unknown")


def test_every_published_body_costs_what_its_own_providers_entry_says(shared_data: Path) -> None:
    old = published(shared_data)
    prices = PriceBook(old.prices, [old.rules])
    rows = json.loads((shared_data / "genai-prices-vectors" / "usages.json").read_text())
    seen: Counter[str] = Counter()
    differing: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if "model" not in row:
            seen["no model"] += 1  # published without a price
            continue
        provider, body = own_provider(row), row["body"]
        usage = body.get("usage") or body.get("usageMetadata")
        rating = rated(sent(usage, provider, row["model"], serviceTier="standard"), prices)
        said = {
            Decimal(entry["input_price"]) + Decimal(entry["output_price"])
            for extraction in row["extracted"]
            for entry in extraction["extractors"]
            if entry["provider_id"] == provider and "input_price" in entry
        }
        cost = tokens_of(rating)
        if not said:
            assert (rating.pricing, cost) == ("unpriced", None), (provider, row["model"])
            seen["no price published"] += 1
        elif cost in said:
            seen["same"] += 1
        else:
            answer = str(rating.reason if cost is None else cost)
            differing[provider, row["model"], answer] += 1
    assert seen == {"same": 786, "no model": 186, "no price published": 29}
    assert differing == {
        (each["provider"], each["model"], each["ours"]): each["calls"]
        for each in DIFFERENCES["usages"]
    }
    assert sum(seen.values()) + sum(differing.values()) == len(rows) == 1008


def recorded(row: Mapping[str, str]) -> UsageEvent:
    model = row["model_response"] or row["model_requested"]
    if not model:
        found = MODEL_OF_PATH.search(row["endpoint"])
        model = unquote(found[1]) if found else "unknown"
    provider = {"openrouter.ai": "openrouter"}.get(row["provider"], row["provider"])
    tier = {"serviceTier": row["service_tier"]} if row["service_tier"] else {}
    return sent(json.loads(row["usage_json"]), provider, model, **tier)


def test_every_recorded_answer_is_priced_as_published_or_for_a_stated_reason(
    shared_data: Path,
) -> None:
    with (shared_data / "cassettes" / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["usage_json"]]
    stated = {each["file"]: each["ours"] for each in DIFFERENCES["cassettes"]}
    met: set[str] = set()
    same = priced = 0
    for row in rows:
        rating = rated(recorded(row), book())
        cost, name = tokens_of(rating), row["file"].rpartition("/")[2]
        figure = row["expected_input_price_usd"]
        wanted = Decimal(figure) + Decimal(row["expected_output_price_usd"]) if figure else None
        if rating.reason is None and wanted in (None, cost):
            assert rating.cost is not None
            same += wanted is not None
            priced += 1
            continue
        answer = {str(cost), str(rating.reason), f"{cost} {rating.reason}"}
        assert stated.get(name) in answer, (name, answer)
        met.add(name)
    assert met == stated.keys()
    assert len(rows) == 79
    assert (priced, same) == (69, 28)


def test_what_a_recorded_answer_would_cost_in_all_today_differs_for_a_stated_reason_only(
    shared_data: Path,
) -> None:
    """Searches included, at the prices of November: the whole figure that a call is given."""
    with (shared_data / "cassettes" / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["expected_input_price_usd"]]
    differing = {}
    for row in rows:
        cost = rated(msgspec.structs.replace(recorded(row), occurred_at=NOVEMBER), book()).cost
        wanted = Decimal(row["expected_input_price_usd"]) + Decimal(
            row["expected_output_price_usd"]
        )
        if cost != wanted:
            name = row["file"].rpartition("/")[2]
            differing[name, int(row["interaction"])] = (str(wanted), str(cost))
    assert differing == {
        (each["file"], each["interaction"]): (each["published"], each["ours"])
        for each in DIFFERENCES["cassettes_in_november"]
    }


def test_an_advisor_is_priced_as_its_own_model(shared_data: Path) -> None:
    with (shared_data / "cassettes" / "index.csv").open(encoding="utf-8") as file:
        [row] = [r for r in csv.DictReader(file) if "advisor_tool" in r["file"]]
    event = recorded(row)
    rating = rated(event, book())
    assert [(line.token_class, line.quantity, line.amount) for line in rating.lines] == [
        ("input", 2390, Decimal("0.00478")),
        ("output", 121, Decimal("0.00121")),
        ("input@claude-opus-4-8", 2518, Decimal("0.01259")),
        ("output@claude-opus-4-8", 22, Decimal("0.00055")),
    ]
    assert rating.cost == Decimal("0.01913")
    assert (event.input_tokens, event.output_tokens) == (2390, 121)
    assert rated(event, book(), model="claude-haiku-4-5").cost == Decimal("0.016135")


def step(kind: str, into: int, out: int, model: str | None = None) -> dict[str, object]:
    named = {} if model is None else {"model": model}
    return {"type": kind, "input_tokens": into, "output_tokens": out, **named}


def test_an_attempt_that_was_declined_is_billed_beside_the_answer() -> None:
    usage = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "iterations": [
            step("message", 1000, 2),
            step("fallback_message", 1000, 100, "claude-sonnet-4-5"),
        ],
    }
    event = sent(usage, "anthropic", "claude-opus-4-7")
    assert event.model_executed == "claude-sonnet-4-5"
    rating = rated(event, book())
    assert {line.token_class: line.amount for line in rating.lines} == {
        "input": Decimal("0.003"),
        "output": Decimal("0.0015"),
        "input@claude-opus-4-7": Decimal("0.005"),
        "output@claude-opus-4-7": Decimal("0.00005"),
    }
    # What was asked for is charged once: that it was declined at first is not the asker's affair.
    assert rated(event, book(), model="claude-opus-4-7").cost == Decimal("0.0075")


def test_each_step_has_its_own_context_length() -> None:
    """Two requests of 150,000 tokens are no request of 300,000."""
    steps = [step("message", 150_000, 100), step("message", 150_000, 100)]
    usage = {"input_tokens": 300_000, "output_tokens": 200, "iterations": steps}
    rating = rated(sent(usage, "anthropic", "claude-sonnet-4-5"), book())
    assert rating.cost == Decimal("0.903")
    whole = {"input_tokens": 300_000, "output_tokens": 200}
    assert rated(sent(whole, "anthropic", "claude-sonnet-4-5"), book()).cost == Decimal("1.8045")


def test_a_compaction_is_billed() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "server_tool_use": {"web_search_requests": 1},
        "iterations": [step("compaction", 5000, 300), step("message", 100, 10)],
    }
    rating = rated(sent(usage, "anthropic", "claude-sonnet-4-5"), book())
    assert rating.cost == Decimal("0.01995") + Decimal("0.01")
    assert {line.token_class: int(line.quantity) for line in rating.lines} == {
        "input": 5100,
        "output": 310,
        "web_search": 1,
    }


COMPOUND = [
    ("llama-3.3-70b-versatile", 138, 4),
    ("meta-llama/llama-4-scout-17b-16e-instruct", 495, 106),
    ("meta-llama/llama-4-scout-17b-16e-instruct", 2378, 55),
    ("llama-3.3-70b-versatile", 2285, 222),
]


def test_a_compound_system_costs_what_its_models_do() -> None:
    models = [
        {"model": model, "usage": {"prompt_tokens": into, "completion_tokens": out}}
        for model, into, out in COMPOUND
    ]
    usage = {
        "prompt_tokens": 5296,
        "completion_tokens": 387,
        "total_tokens": 5683,
        "usage_breakdown": {"models": models},
    }
    event = sent(usage, "groq", "groq/compound")
    rating = rated(event, book())
    assert (rating.pricing, rating.reason) == ("priced", None)
    separately = [
        rated(sent(each["usage"], "groq", str(each["model"])), book()).cost for each in models
    ]
    assert rating.cost == sum(cost for cost in separately if cost)
    assert [int(line.quantity) for line in rating.lines] == [2423, 226, 2873, 161]


@pytest.mark.parametrize(
    ("advisor", "reason"),
    [("claude-zzz-9", "unknown_model@claude-zzz-9"), (None, "unknown_model@")],
)
def test_where_a_part_has_no_price_the_whole_has_none(advisor: str | None, reason: str) -> None:
    steps = [step("message", 10, 1), step("advisor_message", 10, 1, advisor)]
    usage = {"input_tokens": 10, "output_tokens": 1, "iterations": steps}
    rating = rated(sent(usage, "anthropic", "claude-sonnet-4-5"), book())
    assert (rating.pricing, rating.cost, rating.reason) == ("unpriced", None, reason)


def test_ones_own_cache_costs_nothing_whoever_worked_on_the_answer() -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "iterations": [step("advisor_message", 9, 9)]}
    event = sent(usage, "anthropic", "claude-sonnet-4-5", servedFrom="caller_cache")
    assert rated(event, book()).reason == "caller_cache"


def test_vertex_capacity_is_free_by_the_piece() -> None:
    usage = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "trafficType": "PROVISIONED_THROUGHPUT",
    }
    rating = rated(sent(usage, "vertex_ai", "gemini-2.5-flash"), book())
    assert (rating.pricing, rating.reason) == ("free", "provisioned_throughput")


def test_cached_sound_has_a_price_of_its_own() -> None:
    usage = {
        "promptTokenCount": 1000,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 400}],
        "cachedContentTokenCount": 500,
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 300}],
        "candidatesTokenCount": 0,
        "totalTokenCount": 1000,
    }
    rating = rated(sent(usage, "gemini", "gemini-2.5-flash"), book())
    assert {line.token_class: int(line.quantity) for line in rating.lines} == {
        "input": 400,
        "cache_read": 200,
        "input_audio": 100,
        "cache_audio_read": 300,
    }
