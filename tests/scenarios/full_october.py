"""An October in which something of every kind happened, closed twice, its invoices approved.

Calls of every kind, told in one piece, in parts and by two routes; uncounted, re-rated, late; a
bill that was restated, a rule of the company's own with an imported driver, a contract with a
commitment; invoices that are void, drafts, approved, and at Stripe.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from allocation import allocation_run, drivers, period_close, reconciliation, rule_book
from allocation.bills.reading import Terms
from allocation.models import ProviderBill
from allocation.provider_bills import import_bill
from billing import invoice_run
from billing.approvals import approve_run
from billing.push import push
from metering import business_outcomes, owners
from metering.calls.call_reports import take
from metering.dispositions import TryOuts, uncount
from metering.domain.business_outcomes import BusinessOutcome
from metering.domain.usage import Share, UsageEvent
from metering.ingestion import ingest
from metering.pricing.price_imports import import_contract, import_file
from metering.pricing.rerating import rerate
from metering.rollups import fold
from tests.allocation import october
from tests.allocation.october import ANALYST, AUDITOR, CONTROLLER, OCTOBER
from tests.billing.billed import on_pro, plans
from tests.billing.pushed import gateway
from tests.doubles.stripe import StripeDouble
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.events import NOON, call

IN_OCTOBER = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
LATER = NOVEMBER + timedelta(days=1)
REOPENED = NOVEMBER + timedelta(days=2)
LATEST = NOVEMBER + timedelta(days=3)

OWNERS = """kind,key,target,responsible,mode,role
source,gateway,proj_gateway,,,meter
owner:endpoint_tag,support.answer,cc-support,,,
tenant:source,batch-jobs,acme,,,
service_account,bot-7,Nightly bot,,,
attribute:tenantId,otlp,customer,,,
"""

RULE = """
name = "by seats"
valid_from = 2026-01-01
[[pools]]
name = "metered usage"
select = { kinds = ["metered"] }
divide = { strategy = "direct" }
[[pools]]
name = "fees"
select = { kinds = ["fee"] }
divide = { strategy = "activity-based", driver = "driver:seats" }
[[pools]]
name = "the rest"
select = {}
[pools.divide]
strategy = "weighted"
driver = "tokens"
by = "model"
weights = { "gpt-4o*" = 2.5, "*" = 1 }
"""
SEATS = (
    "driver,cost_centre,tenant,value,valid_from,valid_to\n"
    "seats,cc-growth,acme,7,2026-01-01,\nseats,cc-support,,4,2026-01-01,\n"
)
CONTRACT = (
    "provider,model,valid_from,valid_to,unit,price,per,currency,monthly_minimum\n"
    "openai,*,2026-10-01,2027-01-01,,,,USD,5\n"
)
ALIAS = "provider,model,valid_from,price_of\nopenai,our-finetune,2026-10-01,gpt-4o-mini\n"
DEARER = ALIAS.replace("gpt-4o-mini", "gpt-4o")
BILL = """day,model,token_class,amount,currency,kind,description,project
2026-10-03,gpt-4o-mini,input,{first},USD,usage,tokens,proj_7
2026-10-03,gpt-4o-mini,output,0.004,USD,usage,tokens,
2026-10-03,gpt-4o-mini,cache_read,0.001,USD,usage,tokens,
2026-10-04,gpt-4o,web_search,0.03,USD,usage,searches,
2026-10-31,,,3.00,USD,fee,seats,
2026-10-31,,,-0.10,USD,credit,goodwill,
"""
SHARES = (
    Share(tenant_id="globex", input_tokens=333, output_tokens=50),
    Share(tenant_id="initech", input_tokens=100, output_tokens=7),
)


def _usage() -> list[UsageEvent]:
    kinds: list[dict[str, Any]] = [
        {},
        {"user_id": "ann", "provider_request_id": "p-1", "prompt_version": "v2"},
        {"agent_hash": "bot-7", "occurred_at": NOON + timedelta(hours=13)},
        {"model": "made-up-model", "cost_center": "cc-growth"},
        {"served_from": "caller_cache", "workflow": "nightly"},
        {"status": "error", "error_code": "timeout", "output_tokens": None},
        {"units": {"web_search": Decimal(3)}, "model": "gpt-4o", "tags": {"team": "blue"}},
        {"shares": SHARES, "user_id": "bob", "region": "eu", "attempt": 2},
        {"shares": SHARES, "model": "our-finetune", "event_id": "e-1"},
        {"model": "our-finetune", "trace_id": "t-7", "model_executed": "our-finetune"},
        {"tags": {"provider_project": "proj_7"}, "endpoint_tag": None, "latency_ms": None},
        {"tenant_id": "globex", "endpoint_tag": "support.answer", "batch": True},
        {"source": "batch-jobs", "tenant_id": None, "service_tier": "flex"},
        {"data_mode": "test", "environment": "staging"},
        {"occurred_at": NOON + timedelta(days=1, microseconds=120), "reasoning_tokens": 30},
    ]
    return [call(f"r{n}", **kind) for n, kind in enumerate(kinds)]


def _company(folder: Path) -> None:
    october.company(folder)
    path = folder / "more.csv"
    path.write_text(OWNERS)
    owners.import_file(path)
    rule = folder / "rule.toml"
    rule.write_text(RULE)
    rule_book.store_rule(rule_book.read_rule_file(rule), author=ANALYST, now=NOON)
    rows = drivers.read_driver_file(StringIO(SEATS))
    drivers.store_drivers(rows, author=ANALYST, now=NOON)
    import_contract(CONTRACT, "c.csv", book="contract:acme", now=NOON, confirmed=True)


def _metered() -> None:
    outcomes = ingest(_usage(), now=IN_OCTOBER)
    assert {x.outcome for x in outcomes} == {"accepted"}, outcomes
    fold()
    routes = {"provider_request_id": "p-2", "input_tokens": 1000, "output_tokens": 200}
    ingest([call("app", source="app", user_id="ann", **routes)], now=IN_OCTOBER)
    ingest([call("gw", source="gateway", tenant_id=None, **routes)], now=IN_OCTOBER)
    take([report(fields={**MODEL, **USED, "occurred_at": NOON.isoformat(), "tenant_id": "acme"})],
         source="sdk", now=IN_OCTOBER, key_tenant=None)  # fmt: skip
    take([report(ended=None, fields={"output_tokens": 400}, after=5)],
         source="sdk", now=IN_OCTOBER, key_tenant=None)  # fmt: skip
    uncount(TryOuts("test", "test"), reason="tidied up", author="key x", now=NOVEMBER)
    for alias, now in ((ALIAS, NOVEMBER), (DEARER, NOVEMBER + timedelta(minutes=1))):
        import_file(alias, "own.csv", effective_at=now)
        found = rerate(OCTOBER, author=ANALYST, reason="a finetune has a price", now=now)
        assert found.changed == 2
    business_outcomes.take(
        [
            BusinessOutcome(source="test", outcome_id="o-1", kind="ticket", quantity=Decimal(1),
                            occurred_at=NOON, time_reported=True, tenant_id="acme"),
        ],
        now=NOVEMBER,
    )  # fmt: skip


def _billed() -> None:
    for first in ("0.01", "0.012"):
        replaced = tuple(ProviderBill.objects.values_list("pk", flat=True))
        raw = BILL.format(first=first).encode()
        import_bill(raw, Terms("openai"), now=NOVEMBER, name=f"{first}.csv", replaces=replaced)


def _allocated(now: datetime) -> None:
    reconciliation.reconcile(OCTOBER, now=now)
    allocation_run.run(OCTOBER, rule="by seats", author=ANALYST, now=now)
    period_close.close(OCTOBER, by=CONTROLLER, now=now, accept_unexplained="small")


def _invoiced() -> None:
    plans(*(on_pro(tenant) for tenant in ("acme", "globex", "initech")))
    invoice_run.run(OCTOBER, author="program", now=NOVEMBER)


def build(folder: Path) -> None:
    """All of it, committed."""
    _company(folder)
    _metered()
    _billed()
    _allocated(NOVEMBER + timedelta(hours=1))
    with StripeDouble(clock=lambda: int(LATER.timestamp())) as double:
        _invoiced()
        ingest([call("late", tenant_id="acme")], now=LATER)  # so acme's draft is overtaken
        period_close.reopen(OCTOBER, reason="late usage", by=AUDITOR, now=LATER)
        _allocated(REOPENED)
        drafts = invoice_run.run(
            OCTOBER, author="program", now=REOPENED, tenants=["acme", "globex"]
        )
        approve_run(drafts, by=CONTROLLER, now=REOPENED)
        pushed = next(x.invoice_id for x in drafts.outcomes if x.tenant == "acme")
        assert pushed is not None
        push(pushed, now=REOPENED, gateway=gateway(double))
    ingest([call("later", tenant_id="globex"), call("too old", occurred_at=NOON - timedelta(500))],
           now=LATEST)  # fmt: skip
    take([report(ended=None, fields={"output_tokens": 500}, after=9)],
         source="sdk", now=LATEST, key_tenant=None)  # fmt: skip
