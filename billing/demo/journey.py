"""The main job on one month, step by step, through the functions that the commands call.

Usage in, priced on the way; bills in; reconcile and allocate, by a worker; approve and close, by
people; draft invoices, by the worker again; approve them and push them to Stripe; verify. What
each step found is kept, so that the summary is drawn from what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from django.utils import timezone

from allocation import drivers, period_close, provider_bills
from allocation.bills.reading import Terms
from allocation.models import AllocationRun, PeriodClose, Reconciliation
from allocation.provider_bills import StoredBill
from allocation.reconciliation import ProviderResult, results_of
from allocation.rule_book import read_rule_file, store_rule
from allocation.run_book import current_run
from billing import invoice_run, monthly_run, push_run, verification_run
from billing.approvals import approve_month
from billing.demo.companions import Companion
from billing.invoice_run import InvoiceRun
from billing.models import Invoice
from billing.plans import import_plans
from metering import owners, people
from metering.background.work import Started
from metering.background.work_status import RunStatus, is_at_work, status
from metering.domain.periods import Month
from metering.files import usage_files
from metering.files.file_ingestion import ingest_file
from metering.outcomes import IngestResult
from metering.pricing import catalogue, price_imports

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


class Pushed(NamedTuple):
    """Whose invoice was pushed, and whether Stripe has finalized it."""

    tenant: str
    done: bool


@dataclass(frozen=True)
class ClosedMonth:
    """What the journey made of one month."""

    month: Month
    results: tuple[ProviderResult, ...]
    run: AllocationRun
    close: PeriodClose | None
    not_closed: str
    invoices: InvoiceRun
    pushed: tuple[Pushed, ...]
    findings: tuple[str, ...] = ()


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


def travel(
    inputs: Inputs,
    *,
    now: datetime,
    worker: Companion,
    pushes: bool,
    said: Callable[[str], None],
    taken_in: Callable[[], None] = lambda: None,
    settled: Callable[[AllocationRun, Sequence[ProviderResult]], None] = lambda *_: None,
    written: Callable[[], None] = lambda: None,
) -> Journey:
    """Take every step for the months that the bills are of. `now` (aware) is the day of the
    month's end work; unless it `pushes`, nothing goes to Stripe; `said` hears each step as it
    begins, `taken_in` that usage and bills are stored, `settled` of each month's run when its
    people have approved and closed it. `written` returns when usage and bills are there, which
    need not be before owners, rule and plans are taken in. Raises what the steps raise."""
    journey = Journey()
    said("setting up owners, prices, rules and plans")
    with journey.step("set up"):
        set_up(inputs, now)
    with journey.step("wait for the month"):
        written()
    said("taking in usage and pricing it")
    with journey.step("ingest and price"):
        usage = usage_files.open_usage(inputs.usage, source=inputs.source, received_at=now)
        journey.ingested = ingest_file(usage, now=now)
    said("taking in the provider bills")
    with journey.step("import bills"):
        journey.bills = tuple(stored for file in inputs.bills for stored in take_bill(file, now))
    taken_in()
    rule = read_rule_file(inputs.rule).content.name if inputs.rule else None
    trip = _Trip(journey, rule, now, worker, pushes, said, settled)
    closed = [trip.take(month) for month in sorted({bill.month for bill in journey.bills})]
    journey.months += [trip.verified(each) for each in closed]
    worker.dismiss()
    return journey


def set_up(inputs: Inputs, now: datetime) -> None:
    """People, prices, owners, drivers, rules and plans, as far as they are given."""
    people.add(PREPARER, ["finance"])
    people.add(APPROVER, ["approver"])
    if catalogue.is_empty():
        price_imports.import_genai_prices(effective_at=now)
    if inputs.owners:
        owners.import_file(inputs.owners)
    if inputs.seats:
        with inputs.seats.open(encoding="utf-8", newline="") as text:
            drivers.store_drivers(drivers.read_driver_file(text), author=PREPARER, now=now)
    if inputs.rule:
        store_rule(read_rule_file(inputs.rule), author=PREPARER, now=now)
    if inputs.plans:
        import_plans(inputs.plans.read_bytes())


def take_bill(file: BillFile, now: datetime) -> tuple[StoredBill, ...]:
    """Import one bill file; what it held."""
    imported = provider_bills.import_bill(
        file.path.read_bytes(),
        Terms(file.provider, columns=file.columns),
        now=now,
        name=file.path.name,
    )
    return imported.bills


class WorkFailed(RuntimeError):
    """The month's run cannot go on; the message says at which part, and why."""


@dataclass(frozen=True)
class _Trip:
    """What the steps of every month have in common."""

    journey: Journey
    rule: str | None
    now: datetime
    worker: Companion
    pushes: bool
    said: Callable[[str], None]
    settled: Callable[[AllocationRun, Sequence[ProviderResult]], None]

    def take(self, month: Month) -> ClosedMonth:
        self.said(f"{month}: a worker reconciles the bills and allocates every cent")
        with self.journey.step("reconcile and allocate"):
            self._done(self._begun(month))
            run = current_run(month)
        self.said(f"{month}: approving and closing")
        with self.journey.step("approve and close"):
            close, refusal = self._closed(month, run)
        run.refresh_from_db()
        self.said(f"{month}: drafting invoices")
        with self.journey.step("draft invoices"):
            drafting = None if close is None else self._begun(month)
            results = results_of(Reconciliation.objects.filter(month=str(month)).latest("number"))
            self.settled(run, results)
            if drafting is None:
                invoices = invoice_run.run(month, author=PREPARER, now=self.now)
            else:
                self._done(drafting)
        pushed: tuple[Pushed, ...] = ()
        if close is not None and self.pushes:
            self.said(f"{month}: approving the invoices; the worker pushes them to Stripe")
            with self.journey.step("approve and push invoices"):
                invoices, pushed = self._pushed(month)
        elif close is not None:
            invoices = invoice_run.standing(month)
        return ClosedMonth(month, results, run, close, refusal, invoices, pushed)

    def _closed(self, month: Month, run: AllocationRun) -> tuple[PeriodClose | None, str]:
        """The month's close, which approves the run in the same act; where it is refused, the run
        is approved all the same, and why the month stays open."""
        try:
            closed = period_close.close(
                month, by=APPROVER, now=self.now, accept_unexplained=ACCEPTED
            )
        except period_close.CloseRefused as error:
            period_close.approve(run, by=APPROVER, now=self.now)
            return None, str(error)
        return closed, ""

    def verified(self, closed: ClosedMonth) -> ClosedMonth:
        """The month, with what does not hold of it."""
        self.said(f"{closed.month}: the worker verifies all of it from the raw events")
        with self.journey.step("verify"):
            started = verification_run.start(closed.month, author=PREPARER, now=timezone.now())
            found = self._rested(started)
        if found.state not in ("done", "failed"):
            raise WorkFailed(f"{closed.month}: the verification has not come to its end")
        return replace(closed, findings=found.errors)

    def _begun(self, month: Month) -> Started:
        """Have the worker do of the month's run what can be done before people act again."""
        return monthly_run.start(
            month, author=PREPARER, now=timezone.now(), rule=self.rule, as_of=self.now
        )

    def _pushed(self, month: Month) -> tuple[InvoiceRun, tuple[Pushed, ...]]:
        """The month's invoices, approved and pushed. They are read while the worker pushes them:
        nothing but their states changes by it."""
        approved = {x.pk: x.tenant for x in approve_month(month, by=APPROVER, now=self.now)}
        started = push_run.start(approved, by=APPROVER, now=timezone.now()) if approved else None
        read = invoice_run.standing(month)
        if started is not None:
            self._done(started)
        found = Invoice.objects.in_bulk([x.invoice_id for x in read.outcomes])
        outcomes = tuple(
            replace(x, state=found[x.invoice_id].state) if x.invoice_id in found else x
            for x in read.outcomes
        )
        return replace(read, outcomes=outcomes), tuple(
            Pushed(tenant, found[key].state == Invoice.State.FINALIZED)
            for key, tenant in approved.items()
        )

    def _done(self, started: Started) -> None:
        """Wait until the run has come to rest. Raises `WorkFailed`."""
        now = self._rested(started)
        if now.state == "failed":
            raise WorkFailed(f"{now.subject}: {'; '.join(now.errors)}")

    def _rested(self, started: Started) -> RunStatus:
        """How the run stands when it has come to rest."""
        self.worker.wait_until(lambda: not is_at_work(started.run))
        return _status(started)


def _status(started: Started) -> RunStatus:
    started.run.refresh_from_db()
    return status(started.run)
