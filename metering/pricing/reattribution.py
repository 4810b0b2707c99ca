"""The owners of an open month's events by the mappings as they stand now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from metering import owners, stored_events
from metering.domain.attribution import OwnerBook
from metering.domain.cells import Owner
from metering.domain.periods import Month, Period
from metering.domain.rollup import parts
from metering.event_rows import class_costs
from metering.models import UserIdentity
from metering.pricing.revaluation import BATCH, Act, Revalued, Valuer, by, change_each, must_be_open
from metering.stored_events import StoredEvent


def reattribute(
    month: Month, *, author: str, reason: str, now: datetime, dry_run: bool = False
) -> Revalued:
    """Find the owners of an open month's events by the mappings as they stand (a back-dated one
    included), and store what differs. Raises `MonthClosed`."""
    book = owners.load_book()
    must_be_open(month)
    found = Revalued(month)
    valuer = _attributor(book)
    act = Act(author, reason, now, is_trial=dry_run)
    for day in month.period.days():
        period = Period.of_day(day)
        keys = []
        last = str(UUID(int=0))
        while events := _after(period, last):
            found.looked_at += len(events)
            last = events[-1].key
            pairs = zip(events, valuer(events), strict=True)
            keys += [before.key for before, after in pairs if before != after]
        change_each(found, period, keys, by(valuer, act), act)
    return found


def _after(period: Period, key: str) -> list[StoredEvent]:
    return stored_events.read(period, "e.event_key > %(last)s::uuid", {"last": key}, limit=BATCH)


def _attributor(book: OwnerBook) -> Valuer:
    def value(events: Sequence[StoredEvent]) -> Iterator[StoredEvent]:
        hashes = {
            str(pseudonym): bytes(lookup).hex()
            for pseudonym, lookup in UserIdentity.objects.filter(
                pseudonym__in={event.pseudonym for event in events if event.pseudonym}
            ).values_list("pseudonym", "lookup_hash")
        }
        for stored in events:
            event, user = stored.event, hashes.get(stored.pseudonym or "", "")
            tenant = book.tenant_of(event, user)
            cost_centre, route = book.cost_centre_of(event, user, tenant)
            sharers = tuple(book.tenant_owner(event, share.tenant_id) for share in event.shares)
            owned = (*sharers, Owner(cost_centre, tenant))
            same = (tenant, cost_centre, route) == (
                stored.tenant,
                stored.cost_centre,
                stored.owner_route,
            )
            if same and owned == tuple(part.owner for part in stored.parts):
                yield stored
                continue
            yield stored._replace(
                tenant=tenant,
                cost_centre=cost_centre,
                owner_route=route,
                parts=parts(event, owned[-1], sharers, class_costs(event, stored.rating)),
                revision=stored.revision + 1,
            )

    return value
