"""The main job on one month, step by step, through the functions that the commands call.

Usage in, priced on the way; bills in; reconcile; allocate; approve and close; statements; draft
invoices; verify. What each step found is kept, so that the summary is drawn from what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Final

from allocation import allocation_run, drivers, period_close, provider_bills
from allocation.bills.reading import Terms
from allocation.models import AllocationRun, PeriodClose
from allocation.provider_bills import StoredBill
from allocation.reconciliation import ProviderResult, reconcile, results_of
from allocation.rule_book import read_rule_file, store_rule
from billing import invoice_run
from billing.invoice_run import InvoiceRun
from billing.plans import import_plans
from billing.verify import verify
from metering import catalogue, owners, people, usage_files
from metering.domain.periods import Month
from metering.file_ingestion import ingest_file
from metering.outcomes import IngestResult

PREPARER: Final = "preparer"
APPROVER: Final = "approver"
"""Two people, because whoever makes a run or an invoice does not approve it."""

ACCEPTED: Final = "shown in the demo; a company would ask its provider first"
"""Why what no cause explains does not hold up the close here."""


@dataclass(frozen=True)
class BillFile:
    """A bill to import, and what the file leaves unsaid."""

    path: Path
    provider: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """The files of a month; what is `None` is not there, and the step does without."""

    usage: Path
    bills: tuple[BillFile, ...]
    source: str
    owners: Path | None = None
    seats: Path | None = None
    rule: Path | None = None
    plans: Path | None = None


@dataclass(frozen=True)
class ClosedMonth:
    """What the journey made of one month."""

    month: Month
    results: tuple[ProviderResult, ...]
    run: AllocationRun
    close: PeriodClose | None
    not_closed: str
    invoices: InvoiceRun
    findings: tuple[str, ...]


@dataclass
class Journey:
    """The steps taken so far, with their seconds, and what they gave."""

    seconds: dict[str, float] = field(default_factory=dict)
    ingested: IngestResult = field(default_factory=IngestResult)
    bills: tuple[StoredBill, ...] = ()
    months: list[ClosedMonth] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time of a step; a step may be taken for several months."""
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


def travel(inputs: Inputs, *, now: datetime, said: Callable[[str], None]) -> Journey:
    """Take every step for the months that the bills are of. `now` (aware) is the day of the
    month's end work; `said` hears each step as it begins. Raises what the steps raise."""
    journey = Journey()
    said("setting up owners, prices, rules and plans")
    with journey.step("set up"):
        _set_up(inputs, now)
    said("taking in usage and pricing it")
    with journey.step("ingest and price"):
        usage = usage_files.open_usage(inputs.usage, source=inputs.source, received_at=now)
        journey.ingested = ingest_file(usage, now=now)
    said("taking in the provider bills")
    with journey.step("import bills"):
        journey.bills = tuple(stored for file in inputs.bills for stored in _import(file, now))
    rule = read_rule_file(inputs.rule).content.name if inputs.rule else None
    for month in sorted({bill.month for bill in journey.bills}):
        journey.months.append(_month(journey, month, rule, now=now, said=said))
    return journey


def _set_up(inputs: Inputs, now: datetime) -> None:
    people.add(PREPARER, ["finance"])
    people.add(APPROVER, ["approver"])
    if catalogue.is_empty():
        catalogue.import_genai_prices(effective_at=now)
    if inputs.owners:
        owners.import_file(inputs.owners)
    if inputs.seats:
        with inputs.seats.open(encoding="utf-8", newline="") as text:
            drivers.store_drivers(drivers.read_driver_file(text), author=PREPARER, now=now)
    if inputs.rule:
        store_rule(read_rule_file(inputs.rule), author=PREPARER, now=now)
    if inputs.plans:
        import_plans(inputs.plans.read_bytes())


def _import(file: BillFile, now: datetime) -> tuple[StoredBill, ...]:
    imported = provider_bills.import_bill(
        file.path.read_bytes(),
        Terms(file.provider, columns=file.columns),
        now=now,
        name=file.path.name,
    )
    return imported.bills


def _month(
    journey: Journey, month: Month, rule: str | None, *, now: datetime, said: Callable[[str], None]
) -> ClosedMonth:
    said(f"{month}: reconciling the bills with what was metered")
    with journey.step("reconcile"):
        results = results_of(reconcile(month, now=now))
    said(f"{month}: allocating every cent")
    with journey.step("allocate"):
        run = allocation_run.run(month, rule=rule, author=PREPARER, now=now)
    said(f"{month}: approving and closing")
    close, refusal = None, ""
    with journey.step("approve and close"):
        period_close.approve(run, by=APPROVER, now=now)
        try:
            close = period_close.close(month, by=APPROVER, now=now, accept_unexplained=ACCEPTED)
        except period_close.CloseRefused as error:
            refusal = str(error)
    said(f"{month}: drafting invoices")
    with journey.step("draft invoices"):
        invoices = invoice_run.run(month, author=PREPARER, now=now)
    said(f"{month}: verifying all of it from the raw events")
    with journey.step("verify"):
        findings = tuple(": ".join(finding) for finding in verify(month).findings)
    run.refresh_from_db()
    return ClosedMonth(month, results, run, close, refusal, invoices, findings)
