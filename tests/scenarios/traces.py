"""Third-party traces as usage events: what is real in them, and what had to be added.

Real: the lengths and the order of arrival of the requests (Azure 2023, Mooncake), how much of a
prompt had been seen before (Mooncake), and how heavy clients are beside each other (ServeGen).
Added, because no public trace carries it: the month, the model, the tenant of each request (drawn
by the clients' rates, by largest remainder and then in turn), and the bill.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from billing.demo.month import Call
from metering.domain.attribution import PROJECT_TAG

START = datetime(2026, 10, 1, tzinfo=UTC)
STRETCH = 700
"""One second of a trace is 700 of the month: an hour of Azure's becomes 29 days."""

BLOCK = 512
"""Tokens in one of Mooncake's hashed blocks."""

Payload = dict[str, Any]


def azure(folder: Path, service: str, model: str, rows: int) -> Iterator[Payload]:
    """Every k-th request of one Azure service, so that `rows` of them span the whole hour."""
    path = folder / "azure-llm-traces" / f"AzureLLMInferenceTrace_{service}.csv"
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    every = len(found) // rows
    chosen = found[::every][:rows]
    first = _azure_time(chosen[0]["TIMESTAMP"])
    for row in chosen:
        yield {
            **_named(f"azure-{service}", model),
            "occurredAt": _in_month(_azure_time(row["TIMESTAMP"]) - first),
            "inputTokens": int(row["ContextTokens"]),
            "outputTokens": int(row["GeneratedTokens"]),
        }


def mooncake(folder: Path, model: str, rows: int) -> Iterator[Payload]:
    """The first requests of Mooncake's trace; cached are the leading blocks seen before, 512
    tokens each, and no more than the prompt has (blocks are learned in the file's order)."""
    seen: set[int] = set()
    with (folder / "mooncake-traces" / "synthetic_trace.jsonl").open() as file:
        for line in islice(file, rows):
            request = json.loads(line)
            known = 0
            for block in request["hash_ids"]:
                if block not in seen:
                    break
                known += 1
            seen.update(request["hash_ids"])
            yield {
                **_named("mooncake", model),
                "occurredAt": _in_month(timedelta(milliseconds=request["timestamp"])),
                "inputTokens": request["input_length"],
                "cachedInputTokens": min(BLOCK * known, request["input_length"]),
                "outputTokens": request["output_length"],
            }


def client_rates(folder: Path) -> dict[str, Fraction]:
    """How many requests each of ServeGen's clients sent in 14 days, by rate and window of 600 s."""
    rates = {}
    for path in sorted((folder / "servegen-clients" / "language" / "m-small").glob("*-trace.csv")):
        with path.open(newline="") as file:
            total = sum((Fraction(row[1]) for row in csv.reader(file)), Fraction(0))
        if total:
            rates["client-" + path.name.split("-")[1]] = total * 600
    return rates


def with_tenants(payloads: list[Payload], rates: dict[str, Fraction]) -> list[Payload]:
    """Give each request a tenant: request i goes to whoever is furthest below its due share."""
    total = sum(rates.values())
    given = dict.fromkeys(rates, 0)
    for i, payload in enumerate(payloads, start=1):
        tenant = max(given, key=lambda key: (rates[key] * i / total - given[key], key))
        given[tenant] += 1
        payload["tenantId"] = tenant
        payload["externalRequestId"] = f"{payload['endpointTag']}-{i:06d}"
    return payloads


def as_calls(payloads: list[Payload]) -> Iterator[Call]:
    """The requests as their providers bill them: nothing planted, one name a model."""
    for payload in payloads:
        day = int(payload["occurredAt"][8:10])
        project = payload["tags"][PROJECT_TAG]
        yield Call(payload, "plain", day, project, payload["model"], billed=True)


def recorded_bodies(folder: Path) -> Iterator[tuple[Payload, Decimal | None]]:
    """The usage objects of recorded provider traffic as native events, with the price that
    `genai-prices` expects of those it has a vector for."""
    with (folder / "cassettes" / "index.csv").open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if not row["usage_json"]:
                continue
            in_path = unquote(row["endpoint"]).split("/")[2]  # Bedrock names the model nowhere else
            model = row["model_response"] or row["model_requested"] or in_path
            parts = (row["expected_input_price_usd"], row["expected_output_price_usd"])
            expected = sum((Decimal(part) for part in parts if part), Decimal(0))
            yield (
                {
                    "externalRequestId": f"cassette-{number:03d}",
                    "provider": row["provider"].removesuffix(".ai"),
                    "model": model,
                    "occurredAt": "2026-10-15T12:00:00Z",
                    "usage": json.loads(row["usage_json"], parse_float=Decimal),
                    "endpointTag": "recorded",
                },
                expected if any(parts) else None,
            )


def _named(tag: str, model: str) -> Payload:
    provider = "anthropic" if model.startswith("claude") else "openai"
    return {
        "provider": provider,
        "model": model,
        "endpointTag": tag,
        "tags": {PROJECT_TAG: f"{provider}-main"},
    }


def _azure_time(text: str) -> datetime:
    """Azure writes seven decimals; the last is dropped."""
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)


def _in_month(elapsed: timedelta) -> str:
    at = START + elapsed * STRETCH
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
