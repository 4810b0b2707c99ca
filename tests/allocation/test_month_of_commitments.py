"""A month of free units, a volume, capacity, a minimum and estimates: explained and divided."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from allocation import allocation_run
from allocation.bills.reading import Terms
from allocation.models import AllocationLine, Reconciliation
from allocation.provider_bills import import_bill
from allocation.reconciliation import inputs_digest, reconcile, results_of
from metering import owners
from metering.domain.usage import UsageEvent
from metering.ingestion import ingest
from metering.pricing.price_imports import import_contract
from metering.readings import usage_digest
from tests.admin_pages import browser, page_of, person, text
from tests.allocation.october import NOW, OCTOBER, OWNERS

CONTRACT = """\
provider,model,valid_from,unit,price,per,currency,free_units,free_every,above_month_units,\
reserved_units,monthly_minimum
openai,gpt-4o,2026-10-01,input,2,1000000,USD,,,,,
openai,gpt-4o,2026-10-01,input,1,1000000,USD,,,1000000000,,
openai,gpt-4o,2026-10-01,cache_read,1,1000000,USD,,,,,
openai,gpt-4o,2026-10-01,output,8,1000000,USD,,,,,
openai,gpt-4o,2026-10-01,web_search,10,1000,USD,1000,month,,,
openai,gpt-4o,2026-10-01,file_search,2.5,1000,USD,,,,,
openai,gpt-4o,2026-10-01,,1,,USD,,,,10,
openai,,2026-10-01,,,,USD,,,,,12000
"""
BILL = (
    ("2026-10-03", "gpt-4o", "input", "600000000", "1200", "usage", ""),
    ("2026-10-05", "gpt-4o", "input", "1100000", "2.20", "usage", ""),
    ("2026-10-10", "gpt-4o", "input", "600000000", "999", "usage", ""),
    ("2026-10-10", "gpt-4o", "web_search", "2000", "10", "usage", ""),
    ("2026-10-01", "", "provisioned_hours", "7440", "7440", "fee", "Provisioned throughput"),
    ("2026-10-31", "", "", "", "2348.80", "adjustment", "Minimum commitment shortfall"),
)


def called(number: int, day: int, tenant: str, tokens: int, **different: Any) -> None:
    event = UsageEvent(
        source="test",
        external_request_id=f"r{number}",
        provider="openai",
        model="gpt-4o",
        occurred_at=datetime(2026, 10, day, 12, tzinfo=UTC),
        tenant_id=tenant,
        input_tokens=tokens,
        output_tokens=0,
        **different,
    )
    assert [each.outcome for each in ingest([event], now=NOW)] == ["accepted"]


@pytest.fixture
def month(db: None, tmp_path: Path) -> None:
    path = tmp_path / "owners.csv"
    path.write_text(OWNERS)
    owners.import_file(path)
    import_contract(CONTRACT, "c.csv", book="contract:acme", now=NOW, confirmed=True)
    called(1, 3, "acme", 600_000_000)
    called(2, 10, "acme", 600_000_000, units={"web_search": Decimal(2000)})
    called(3, 5, "acme", 1_000_000, usage_quality="estimated")
    called(4, 7, "globex", 100_000_000, service_tier="Provisioned")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(
        ["day", "model", "token_class", "quantity", "amount", "kind", "description", "currency"]
    )
    writer.writerows([*row, "USD"] for row in BILL)
    import_bill(text.getvalue().encode(), Terms("openai"), now=NOW, name="october.csv")


@pytest.mark.usefixtures("month")
def test_every_difference_is_named_and_nothing_is_left_over() -> None:
    stored = reconcile(OCTOBER, now=NOW)
    [openai] = results_of(stored)
    assert (openai.metered, openai.bill) == (Decimal(2422), Decimal(12000))
    assert {cause: amount for cause, amount in openai.steps if amount} == {
        "estimated_usage": Decimal("0.2"),
        "free_allowance": -10,
        "volume_price": -201,
        "reserved_capacity": 7440,
        "committed_minimum": Decimal("2348.8"),
    }
    assert reconcile(OCTOBER, now=NOW) == stored
    assert inputs_digest(OCTOBER, usage=usage_digest(OCTOBER.period)) == stored.inputs_digest


@pytest.mark.usefixtures("month")
def test_a_contract_that_changes_makes_another_reconciliation() -> None:
    first = reconcile(OCTOBER, now=NOW)
    more = CONTRACT.replace(",,12000", ",,15000")
    import_contract(more, "d.csv", book="contract:acme", now=NOW, confirmed=True)
    second = reconcile(OCTOBER, now=NOW)
    assert second.number == first.number + 1
    [openai] = results_of(second)
    told = [row.note for row in openai.evidence if row.cause == "committed_minimum"]
    assert "3000 is missing to the minimum of 15000, and not on the bill" in told


@pytest.mark.usefixtures("month")
def test_capacity_is_borne_by_whoever_ran_on_it() -> None:
    run = allocation_run.run(OCTOBER, rule=None, author="", now=NOW)
    borne: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for pool, tenant, amount in AllocationLine.objects.filter(run=run).values_list(
        "pool", "tenant", "amount"
    ):
        borne[pool, tenant] += amount
    assert borne == {
        ("metered usage", "acme"): Decimal("2211.2"),
        ("reserved capacity", "globex"): Decimal(7440),
        ("fees, taxes and adjustments", "acme"): Decimal("2348.8"),
    }


@pytest.mark.usefixtures("month")
def test_what_is_reserved_where_nothing_ran_and_no_bill_came_is_told_too() -> None:
    more = CONTRACT + "azure,gpt-5.4,2026-10-16,,2,,USD,,,,50,\n"
    import_contract(more, "d.csv", book="contract:acme", now=NOW, confirmed=True)
    out = io.StringIO()
    call_command("reconcile", "2026-10", stdout=out)
    said = "38400 more is reserved for gpt-5.4, and not on the bill: no line of it is for that"
    assert said in out.getvalue()
    azure, openai = results_of(Reconciliation.objects.latest("number"))
    assert (azure.provider, azure.bill) == ("azure", None)
    assert (azure.metered, azure.steps) == (Decimal(0), (("reserved_capacity", Decimal(0)),))
    assert [(row.cause, row.model, row.note) for row in azure.evidence] == [
        ("reserved_capacity", "gpt-5.4", said)
    ]
    assert openai.bill == 12000
    page = browser(person("someone", "viewer")).get(
        page_of(Reconciliation.objects.latest("number"))
    )
    assert said[:5] in text(page)
