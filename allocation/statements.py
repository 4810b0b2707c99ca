"""Statements drawn from an allocation run: per cost centre, per tenant, or of the whole company.

A statement is always drawn from the run's own rows and asserts its arithmetic when it is built.
Issuing stores one row per cost centre and currency, with the evidence as it was; what is drawn
later shows the evidence as issued.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from django.db import transaction
from django.db.models import Sum

from allocation.domain.statements import (
    DayReading,
    EvidenceReference,
    FeatureReading,
    Metered,
    Mode,
    Previous,
    Settlement,
    State,
    Statement,
    StatementLine,
    Subject,
    UnallocatedPart,
    assert_covers,
    sum_exact,
)
from allocation.models import AllocationRun, AllocationSettlement, PeriodClose
from allocation.models import Statement as IssuedStatement
from allocation.period_locks import lock_month
from allocation.read_ahead import proofs
from allocation.run_book import RunBook, open_book
from metering.domain.cells import UNALLOCATED, Owner
from metering.domain.periods import Month
from metering.evidence import Evidence, Selection, evidence

_Reading = TypeVar("_Reading")

COMPANY = Subject(kind="company", key="", name="All cost centres")


class UnknownSubject(LookupError):
    """No such cost centre or tenant, or nothing in the currency asked for."""


class BookOfAnother(ValueError):
    """The book was read for one owner; what another bears is not in it."""


def cost_centre_subject(book: RunBook, code: str) -> Subject:
    """The cost centre by its code; raises `UnknownSubject` naming those that there are."""
    facts = book.centres.get(code)
    known = {s.cost_centre for s in book.settlements} | set(book.centres)
    if code not in known:
        raise UnknownSubject(f"no cost centre {code!r}; there are {_named(known)}")
    name = facts.name if facts else ("Unallocated" if code == UNALLOCATED else code)
    return Subject(
        kind="cost_centre", key=code, name=name, responsible=facts.responsible if facts else ""
    )


def tenant_subject(book: RunBook, tenant: str) -> Subject:
    """The tenant by its key; raises `UnknownSubject` naming those that there are."""
    known = ({s.tenant for s in book.settlements} | set(book.tenant_names)) - {""}
    if tenant not in known:
        raise UnknownSubject(f"no tenant {tenant!r}; there are {_named(known)}")
    return Subject(kind="tenant", key=tenant, name=book.tenant_names.get(tenant, tenant))


def currency_for(book: RunBook, subject: Subject, asked: str | None) -> str:
    """The currency to draw the subject's statement in: the one asked for, or the only one.

    Raises `UnknownSubject` where bills in several currencies leave a choice.
    """
    own = {book.currency_of[s.bill] for s in book.settlements if _bears(subject, s)}
    choice = own or set(book.payable_minor)
    if asked is not None and asked not in choice:
        raise UnknownSubject(f"{subject.name} bears nothing in {asked}; try {_named(choice)}")
    if asked is not None:
        return asked
    if len(choice) != 1:
        raise UnknownSubject(
            f"{subject.name} bears bills in {_named(choice)}; choose one with --currency"
            if choice
            else f"the run of {book.month} has no bills, so there is nothing to state"
        )
    return next(iter(choice))


def draw(
    book: RunBook, subject: Subject, currency: str, proof: EvidenceReference | None = None
) -> Statement:
    """The subject's statement in one currency; `proof` as issued, else read from the events now.

    Raises `BookOfAnother` for a subject other than the one that the book was read for.
    """
    if book.whose is not None and book.whose != (subject.kind, subject.key):
        raise BookOfAnother(
            f"the book was read for {book.whose.kind} {book.whose.key!r}; read one for "
            f"{subject.kind} {subject.key!r}, or for everybody"
        )
    return Statement(
        period=book.month,
        subject=subject,
        mode=_mode(book, subject),
        currency=currency,
        state=_state(book.run),
        run=book.reference,
        lines=tuple(
            line
            for line in book.lines
            if book.currency_of[line.bill] == currency and _bears(subject, line)
        ),
        settlements=tuple(
            s
            for s in book.settlements
            if book.currency_of[s.bill] == currency and _bears(subject, s)
        ),
        whole_minor=book.payable_minor.get(currency, 0),
        unallocated_minor=sum(
            s.amount_minor
            for s in book.settlements
            if s.cost_centre == UNALLOCATED and book.currency_of[s.bill] == currency
        ),
        unallocated_responsible=(
            book.centres[UNALLOCATED].responsible if UNALLOCATED in book.centres else ""
        ),
        unallocated=_unallocated(book, currency),
        metered=_metered(book, subject),
        previous=_previous(book.month, subject, currency),
        evidence=proof or _issued_proof(book, subject, currency) or _proof_now(book, subject),
    )


def issue(
    run: AllocationRun,
    *,
    now: datetime,
    proofs: Callable[[Month, Sequence[str]], list[Evidence]] = proofs,
) -> list[IssuedStatement]:
    """Issue every cost centre's statement of a run, once: repeating it gives the same rows.

    Asserts that they add up to the bills, in every currency. `proofs` answers for the evidence
    under them, where somebody has begun to read it.
    """
    month = Month.parse(run.month)
    with transaction.atomic():
        lock_month(month)
        issued = list(IssuedStatement.objects.filter(run=run))
        if issued:
            return issued
        book = open_book(run, with_metering=False)
        keys = sorted({(s.cost_centre, book.currency_of[s.bill]) for s in book.settlements})
        codes = sorted({code for code, _ in keys})
        references = {
            code: EvidenceReference(proof.count, proof.digest, _listing(month))
            for code, proof in zip(codes, proofs(month, codes), strict=True)
        }
        drawn = [
            draw(book, cost_centre_subject(book, code), currency, references[code])
            for code, currency in keys
        ]
        assert_covers(drawn, book.payable_minor)
        return IssuedStatement.objects.bulk_create(_row(run, s, now) for s in drawn)


def _row(run: AllocationRun, statement: Statement, now: datetime) -> IssuedStatement:
    return IssuedStatement(
        run=run,
        cost_centre=statement.subject.key,
        currency=statement.currency,
        mode=statement.mode,
        name=statement.subject.name,
        responsible=statement.subject.responsible,
        exact=statement.exact,
        amount_minor=statement.total_minor,
        events=statement.evidence.events,
        events_digest=statement.evidence.digest,
        digest=statement.digest,
        issued_at=now,
    )


def _bears(subject: Subject, entry: StatementLine | Settlement | Owner) -> bool:
    match subject.kind:
        case "cost_centre":
            return entry.cost_centre == subject.key
        case "tenant":
            return entry.tenant == subject.key
        case "company":
            return True


def _owned(readings: Mapping[Owner, tuple[_Reading, ...]], subject: Subject) -> list[_Reading]:
    return [x for owner, own in readings.items() if _bears(subject, owner) for x in own]


def _mode(book: RunBook, subject: Subject) -> Mode:
    """A cost centre's own mode. Tenants and the company are shown: what a tenant owes stands in
    its invoice."""
    facts = book.centres.get(subject.key) if subject.kind == "cost_centre" else None
    return "chargeback" if facts is not None and facts.mode == "chargeback" else "showback"


def _state(run: AllocationRun) -> State:
    match run.state:
        case AllocationRun.State.CLOSED:
            return "closed"
        case AllocationRun.State.APPROVED:
            return "approved"
        case _:
            return "draft"


def _unallocated(book: RunBook, currency: str) -> tuple[UnallocatedPart, ...]:
    amounts: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for line in book.lines:
        if line.cost_centre == UNALLOCATED and book.currency_of[line.bill] == currency:
            reason = line.basis if line.driver_value is None else "usage whose owner is not known"
            amounts[line.pool, reason].append(line.amount)
    return tuple(UnallocatedPart(*key, sum_exact(amounts[key])) for key in sorted(amounts))


def _metered(book: RunBook, subject: Subject) -> Metered:
    used = _owned(book.days, subject)
    own = _owned(book.features, subject)
    unpriced = tuple(sorted({each.model for each in used if each.cost is None}))
    currencies = {each.currency for each in used if each.cost} | {
        line.currency for line in own if line.cost
    }
    if len(currencies) != 1:
        return Metered(unpriced_models=unpriced)
    days: dict[tuple[date, str], list[Decimal]] = defaultdict(list)
    for each in used:
        if each.cost is not None:
            days[each.day, each.model].append(each.cost)
    tags: dict[str, list[Decimal]] = defaultdict(list)
    for line in own:
        tags[line.endpoint_tag].append(line.cost)
    return Metered(
        currency=currencies.pop(),
        features=tuple(FeatureReading(tag, sum_exact(tags[tag])) for tag in sorted(tags)),
        days=tuple(
            DayReading(day, model, sum_exact(days[day, model])) for day, model in sorted(days)
        ),
        unpriced_models=unpriced,
    )


def _previous(month: Month, subject: Subject, currency: str) -> Previous | None:
    before = month.previous()
    close = PeriodClose.objects.filter(month=str(before), reopening=None).first()
    if close is None:
        return None
    rows = AllocationSettlement.objects.filter(run=close.run_id, currency=currency)
    if subject.kind == "cost_centre":
        rows = rows.filter(cost_centre=subject.key)
    elif subject.kind == "tenant":
        rows = rows.filter(tenant=subject.key)
    return Previous(before, rows.aggregate(minor=Sum("amount_minor"))["minor"] or 0)


def _issued_proof(book: RunBook, subject: Subject, currency: str) -> EvidenceReference | None:
    if subject.kind != "cost_centre":
        return None
    row = IssuedStatement.objects.filter(
        run=book.run, cost_centre=subject.key, currency=currency
    ).first()
    if row is None:
        return None
    return EvidenceReference(row.events, row.events_digest, _listing(book.month))


def _proof_now(book: RunBook, subject: Subject) -> EvidenceReference:
    found = evidence(
        Selection(
            period=book.month.period,
            cost_centre=subject.key if subject.kind == "cost_centre" else None,
            tenant=subject.key if subject.kind == "tenant" else None,
        )
    )
    return EvidenceReference(found.count, found.digest, _listing(book.month))


def _listing(month: Month) -> str:
    return f"manage.py export evidence {month} --out evidence.jsonl"


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
