"""Plans, subscriptions and calls in the database, for the tests of billing."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from billing.plans import PlanImport, import_plans
from metering import people
from metering.domain.usage import Share, UsageEvent
from metering.ingestion import ingest
from metering.models import Provider

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
_serial = count(1)

PLANS = """
[[plans]]
code = "pro"
name = "Pro"
valid_from = 2026-01-01
currency = "USD"
fee = "49.00"

[[plans.charges]]
code = "tokens"
name = "Model tokens"
meter = "tokens"
included = 1_000
price = { kind = "per_unit", unit_price = "2.50", per = 1_000 }

[[plans.charges]]
code = "requests"
name = "Calls"
meter = "requests"
included = 2
price = { kind = "per_unit", unit_price = "0.01" }
"""


def plans(*subscriptions: str, text: str = PLANS) -> PlanImport:
    """Import the plans and, after them, a table for each `tenant = …` text."""
    tables = "".join(f"\n[[subscriptions]]\n{table}\n" for table in subscriptions)
    return import_plans((text + tables).encode())


def on_pro(tenant: str, terms: str = "") -> str:
    return f'tenant = "{tenant}"\nplan = "pro"\nvalid_from = 2026-01-01\n{terms}'


def call(at: str = "2026-10-10T12:00", tenant: str = "acme", **terms: object) -> UsageEvent:
    """A call of 400 input and 200 output tokens, at an instant in UTC."""
    defaults: dict[str, object] = {
        "source": "test",
        "external_request_id": f"req_{next(_serial)}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "tenant_id": tenant,
        "endpoint_tag": "chat",
        "input_tokens": 400,
        "output_tokens": 200,
    }
    occurred_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return UsageEvent(occurred_at=occurred_at, **{**defaults, **terms})  # type: ignore[arg-type]


def share(tenant: str, input_tokens: int, output_tokens: int) -> Share:
    return Share(tenant_id=tenant, input_tokens=input_tokens, output_tokens=output_tokens)


def calls(*events: UsageEvent) -> None:
    """Take the calls in; all of them must be accepted."""
    Provider.objects.get_or_create(key="openai")
    outcomes = ingest(events, now=NOW)
    assert [x.outcome for x in outcomes] == ["accepted"] * len(events), outcomes


def staff() -> None:
    """Approvers; `schedule` is also the name of who drafts."""
    for name in ("controller", "schedule", "another"):
        people.add(name, ["approver"])
