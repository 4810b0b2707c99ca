"""Importing plans and subscriptions from a TOML file: dated, whole or not at all, harmless twice.

A later version of a plan (or a later subscription of a tenant) closes the one before it on the day
it begins. What is stored never changes: other terms from the same day are refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from django.db import connection, transaction

from billing.domain.cycles import InvalidTerm, Term, start_of_day, zone_of
from billing.domain.plans import Plan as Terms
from billing.domain.plans import content_of, plan_digest
from billing.models import Invoice, Plan, PlanVersion, Subscription

PLANS_LOCK: Final = 0x504C414E
"""The advisory lock that keeps two imports apart."""

Dated = TypeVar("Dated", PlanVersion, Subscription)


class InvalidPlanFile(ValueError):
    """The file is not right; the message names the table and the key. Nothing was stored."""


class PlanConflict(ValueError):
    """The file contradicts what is stored; the message names both. Nothing was stored."""


class _PlanTable(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan's terms with the days between which they are valid, half-open."""

    valid_from: date
    valid_to: date | None = None

    @property
    def terms(self) -> Terms:
        return Terms(**{field: getattr(self, field) for field in Terms.__struct_fields__})


class _SubscriptionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: str
    plan: str
    valid_from: date
    valid_to: date | None = None
    zone: str = "UTC"
    anchor_day: int = 1

    def __post_init__(self) -> None:
        if not self.tenant.strip():
            raise InvalidTerm("tenant is empty; name the customer's key as its events do")
        Term(self.valid_from, self.valid_to, self.zone, self.anchor_day)


class _PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    plans: tuple[_PlanTable, ...] = ()
    subscriptions: tuple[_SubscriptionTable, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanImport:
    """What an import added, and what was there already."""

    plan_versions: int = 0
    plan_versions_unchanged: int = 0
    subscriptions: int = 0
    subscriptions_unchanged: int = 0


def import_plans(content: bytes) -> PlanImport:
    """Store the plans and subscriptions of a file. Raises `InvalidPlanFile` or `PlanConflict`,
    and then nothing of the file is stored."""
    file = _read(content)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PLANS_LOCK])
        versions = [_store_version(x) for x in sorted(file.plans, key=lambda x: x.valid_from)]
        subscriptions = [
            _store_subscription(x) for x in sorted(file.subscriptions, key=lambda x: x.valid_from)
        ]
    return PlanImport(
        plan_versions=sum(versions),
        plan_versions_unchanged=len(versions) - sum(versions),
        subscriptions=sum(subscriptions),
        subscriptions_unchanged=len(subscriptions) - sum(subscriptions),
    )


def _read(content: bytes) -> _PlanFile:
    try:
        document = tomllib.loads(content.decode(), parse_float=Decimal)
        file = msgspec.convert(document, _PlanFile)
    except UnicodeDecodeError as error:
        raise InvalidPlanFile(f"the file is not UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidPlanFile(f"the file is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise InvalidPlanFile(str(error).replace("`$.", "`")) from error
    for index, table in enumerate(file.plans):
        if table.valid_to is not None and table.valid_to <= table.valid_from:
            raise InvalidPlanFile(
                f"plan {table.code!r} ends on {table.valid_to}, not after it starts, "
                f"{table.valid_from} - at `plans[{index}].valid_to`"
            )
    return file


def _store_version(table: _PlanTable) -> bool:
    """Whether the version is new."""
    terms = table.terms
    digest = plan_digest(terms)
    what = f"plan {terms.code!r} from {table.valid_from}"
    Plan.objects.get_or_create(code=terms.code)
    stored = list(PlanVersion.objects.filter(plan=terms.code).order_by("valid_from"))
    known = next((x for x in stored if x.valid_from == table.valid_from), None)
    if known is not None:
        if known.digest != digest:
            raise PlanConflict(
                f"{what} is already stored with other terms; give changed terms a later valid_from"
            )
        _close_known(known, table.valid_to, what)
        return False
    PlanVersion.objects.create(
        plan_id=terms.code,
        content=content_of(terms),
        digest=digest,
        valid_from=table.valid_from,
        valid_to=_fitted(stored, table.valid_from, table.valid_to, what),
    )
    return True


def _store_subscription(table: _SubscriptionTable) -> bool:
    """Whether the subscription is new."""
    what = f"the subscription of {table.tenant!r} from {table.valid_from}"
    if not Plan.objects.filter(code=table.plan).exists():
        raise PlanConflict(f"{what} names the plan {table.plan!r}, which is not there; import it")
    stored = list(Subscription.objects.filter(tenant=table.tenant).order_by("valid_from"))
    known = next((x for x in stored if x.valid_from == table.valid_from), None)
    if known is not None:
        terms = (known.plan_id, known.zone, known.anchor_day)
        if terms != (table.plan, table.zone, table.anchor_day):
            raise PlanConflict(
                f"{what} is already stored (plan, zone, anchor day: {terms}); "
                "give a changed one a later valid_from"
            )
        _close_known(known, table.valid_to, what)
        return False
    Subscription.objects.create(
        tenant=table.tenant,
        plan_id=table.plan,
        zone=table.zone,
        anchor_day=table.anchor_day,
        valid_from=table.valid_from,
        valid_to=_fitted(stored, table.valid_from, table.valid_to, what),
    )
    return True


def _close_known(known: PlanVersion | Subscription, valid_to: date | None, what: str) -> None:
    """A file without an end says nothing about the end; one with another end is refused."""
    if valid_to is None or known.valid_to == valid_to:
        return
    if known.valid_to is not None:
        raise PlanConflict(f"{what} is already stored until {known.valid_to}, not {valid_to}")
    _close(known, valid_to, what)


def _fitted(
    stored: Sequence[Dated], valid_from: date, valid_to: date | None, what: str
) -> date | None:
    """Make room among the stored: close an open one before, end before the one after."""
    before = [x for x in stored if x.valid_from < valid_from]
    after = [x for x in stored if x.valid_from > valid_from]
    if before and before[-1].valid_to is None:
        _close(before[-1], valid_from, what)
    elif before and before[-1].valid_to is not None and before[-1].valid_to > valid_from:
        raise PlanConflict(f"{what} begins before the stored one ends, {before[-1].valid_to}")
    if not after:
        return valid_to
    if valid_to is not None and valid_to > after[0].valid_from:
        raise PlanConflict(f"{what} ends after the stored one begins, {after[0].valid_from}")
    return valid_to or after[0].valid_from


def _close(row: PlanVersion | Subscription, on: date, what: str) -> None:
    if on <= row.valid_from:
        raise PlanConflict(f"{what} cannot end on {on}, before it has begun")
    if isinstance(row, Subscription):
        _refuse_if_invoiced(row, on, what)
    row.valid_to = on
    row.save(update_fields=["valid_to"])


def _refuse_if_invoiced(row: Subscription, on: date, what: str) -> None:
    invoiced = (
        Invoice.objects.filter(
            subscription=row,
            state__in=[Invoice.State.APPROVED, Invoice.State.FINALIZED],
            cycle_end__gt=start_of_day(on, zone_of(row.zone)),
        )
        .order_by("-end_day")
        .first()
    )
    if invoiced is not None:
        raise PlanConflict(
            f"{what} cannot take over on {on}: invoice {invoiced.pk}, {invoiced.state}, goes up to "
            f"{invoiced.end_day}; make the change on that day or later"
        )
