"""A small October in the database: two cost centres, calls, a bill, a run by an analyst."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

from allocation import allocation_run, reconciliation
from allocation.bills.reading import Terms
from allocation.models import AllocationRun
from allocation.provider_bills import Imported, import_bill
from metering import owners, people
from metering.domain.cells import MeteredCell
from metering.domain.periods import Month
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Price, UnitPrice
from metering.domain.usage import UsageEvent
from metering.ingestion import Books, ingest
from metering.pricelists.parsed import ParsedList
from metering.pricing.catalogue import load_book
from metering.pricing.price_imports import take_over
from metering.readings import DayCost

OCTOBER = Month(2026, 10)
NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
ANALYST, CONTROLLER, AUDITOR = "analyst", "controller", "auditor"

OWNERS = """kind,key,target,responsible,mode
cost_centre,cc-growth,Growth,head of growth,chargeback
cost_centre,cc-support,Support,head of support,showback
cost_centre,unallocated,Unallocated,head of platform,showback
tenant,acme,Acme,,
tenant,globex,Globex,,
owner:tenant,acme,cc-growth,,
owner:tenant,globex,cc-support,,
"""

_serial = count(1)


def staff() -> None:
    """Three people who may approve; the analyst also makes what is approved."""
    for username in (ANALYST, CONTROLLER, AUDITOR):
        people.add(username, ["finance", "approver"] if username == ANALYST else ["approver"])


def company(folder: Path) -> None:
    """Owners, people and a price list of one model: 2.50 in, 10.00 out per million."""
    path = folder / "owners.csv"
    path.write_text(OWNERS)
    owners.import_file(path)
    staff()
    prices = {
        "input_tokens": UnitPrice(1_000_000, Decimal("2.5"), ()),
        "output_tokens": UnitPrice(1_000_000, Decimal(10), ()),
    }
    price = Price(id=0, provider="openai", model_id="gpt-4o", unit_prices=prices)
    listed = ListedProvider(
        "openai",
        (ListedModel("gpt-4o", Clause("starts_with", "gpt-4o")),),
        provider_match=Clause("contains", "openai"),
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    take_over("list", ParsedList(PriceList(start, "list 1", (listed,)), (price,)))


def call(
    day: int,
    tenant: str,
    tokens: int,
    *,
    month: int = 10,
    model: str = "gpt-4o",
    received_at: datetime = NOW,
) -> None:
    """One call at noon of the day, of so many input tokens."""
    event = UsageEvent(
        source="test",
        external_request_id=f"request {next(_serial)}",
        provider="openai",
        model=model,
        occurred_at=datetime(2026, month, day, 12, tzinfo=UTC),
        tenant_id=tenant or None,
        endpoint_tag="chat" if tenant == "acme" else None,
        input_tokens=tokens,
        output_tokens=0,
    )
    books = Books.of(owners.load_book(), load_book("list"))
    outcomes = ingest([event], now=received_at, books=books)
    assert [outcome.outcome for outcome in outcomes] == ["accepted"], outcomes


def bill(*rows: tuple[int, str, str], month: int = 10, replaces: tuple[int, ...] = ()) -> Imported:
    """OpenAI's bill as CSV: (day, amount, kind) each; usage is of gpt-4o's input."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["day", "model", "token_class", "amount", "currency", "kind", "description"])
    for day, amount, kind in rows:
        named = ["gpt-4o", "input"] if kind == "usage" else ["", ""]
        writer.writerow([f"2026-{month:02}-{day:02}", *named, amount, "USD", kind, kind])
    raw = text.getvalue().encode()
    return import_bill(raw, Terms("openai"), now=NOW, name="october.csv", replaces=replaces)


def usage_and_bill() -> None:
    """10.00 + 5.00 of usage as metered, 1.00 of nobody's, and a fee that divides unevenly."""
    call(3, "acme", 4_000_000)
    call(31, "globex", 2_000_000)
    call(31, "", 400_000)
    bill((3, "10.00", "usage"), (31, "6.00", "usage"), (31, "0.10", "fee"))


def reconcile() -> None:
    reconciliation.reconcile(OCTOBER, now=NOW)


def run(author: str = ANALYST) -> AllocationRun:
    return allocation_run.run(OCTOBER, rule=None, author=author, now=NOW)


def ready(folder: Path) -> None:
    """Bill in, reconciled, allocated by the analyst: as the month is before it is closed."""
    company(folder)
    usage_and_bill()
    reconcile()
    run()


def day_costs_of(cells: Iterable[MeteredCell]) -> list[DayCost]:
    """What metering would answer of these cells; it may name a day more than once."""
    return [DayCost(m.cell.provider, m.cell.day, m.currency, m.cost or Decimal(0)) for m in cells]
