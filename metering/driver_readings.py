"""How much each owner has of what metering measures, for costs to be divided by.

Read from the rollups, folded and tail in one snapshot; cut at 15-minute buckets, users at UTC days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from metering.domain.cells import Owner
from metering.domain.drivers import ACTIVE_USERS, MEASURED, DriverQuery
from metering.domain.money import EXACT
from metering.domain.periods import Period
from metering.rollups import USAGE, USER, on_buckets


class UnknownDriver(ValueError):
    """The driver is not one that metering measures."""


Reading = dict[tuple[Owner, str], Decimal]
"""How much each owner has, by executed model or endpoint tag (`""`: of all together)."""


def driver_reading(period: Period, driver: str) -> Reading:
    """How much of a driver each owner has: `driver_readings` of all usage."""
    query = DriverQuery(driver)
    return driver_readings(period, [query])[query]


def driver_readings(period: Period, queries: Collection[DriverQuery]) -> dict[DriverQuery, Reading]:
    """What each of the queries asks for, sorted by owner; who has nothing is left out. However
    many they are, usage is read once for all.

    Only calls with tokens count. Retries count as requests of their own; a shared call counts as
    one request of its own owner. `active_users` are people and service accounts with a call in the
    period; a user active for two owners counts for both; it knows no models. `metered_cost` leaves
    out what is unpriced. Raises `UnknownDriver`.
    """
    for query in queries:
        if query.driver not in MEASURED:
            raise UnknownDriver(
                f"driver {query.driver!r} is not measured; measured are {', '.join(MEASURED)}"
            )
        if query.driver == ACTIVE_USERS and query != DriverQuery(ACTIVE_USERS):
            raise UnknownDriver("active_users is measured per owner only, without filters")
    used = [query for query in queries if query.driver != ACTIVE_USERS]
    found = _used(period, used) if used else {}
    return {
        query: _active_users(period) if query.driver == ACTIVE_USERS else found[query]
        for query in queries
    }


_MEASURES: Final = {
    "requests": "sum(events)",
    "tokens": "sum(input_tokens + output_tokens)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "metered_cost": "sum(cost)",
}
_DETAILS: Final = {
    "owner": (),
    "owner_model": ("model_executed",),
    "owner_endpoint": ("endpoint_tag",),
}


def _chosen(query: DriverQuery) -> dict[str, tuple[str, ...]]:
    """The columns by which the query chooses, with what it takes of each."""
    of = {
        "provider": query.providers,
        "model_executed": query.models,
        "endpoint_tag": query.endpoint_tags,
        "lower(service_tier)": query.tiers,
    }
    return {column: names for column, names in of.items() if names}


def _used(period: Period, queries: Sequence[DriverQuery]) -> dict[DriverQuery, Reading]:
    """The readings of the queries, out of what was used by every column that one of them names."""
    columns = sorted({c for query in queries for c in (*_DETAILS[query.by], *_chosen(query))})
    drivers = sorted({query.driver for query in queries})
    by = ", ".join(("cost_centre", "tenant", *columns))
    sums = ", ".join(_MEASURES[driver] for driver in drivers)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {by}, {sums} FROM {USAGE.relation()} cells"
            f" WHERE bucket_at >= %s AND bucket_at < %s GROUP BY {by} ORDER BY {by}",
            [*on_buckets(period)],
        )
        rows = [
            (Owner(centre, tenant), dict(zip((*columns, *drivers), told, strict=True)))
            for centre, tenant, *told in cursor
        ]
    return {query: _added_up(query, rows) for query in queries}


def _added_up(query: DriverQuery, rows: Iterable[tuple[Owner, Mapping[str, Any]]]) -> Reading:
    chosen, found = _chosen(query), defaultdict[tuple[Owner, str], Decimal](Decimal)
    for owner, told in rows:
        if all(told[column] in names for column, names in chosen.items()):
            key = owner, "".join(told[column] for column in _DETAILS[query.by])
            found[key] = EXACT.add(found[key], Decimal(told[query.driver]))
    return {key: value for key, value in found.items() if value}


def _active_users(period: Period) -> dict[tuple[Owner, str], Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_centre, tenant, count(*) FROM ("
            f" SELECT cost_centre, tenant, user_pseudonym FROM {USER.relation()} cells"
            " WHERE day >= %s AND day < %s AND user_kind IN ('user', 'service')"
            " GROUP BY 1, 2, 3 HAVING sum(events) > 0) active GROUP BY 1, 2 ORDER BY 1, 2",
            [period.start.date(), period.end.date()],
        )
        return {(Owner(c, t), ""): Decimal(value) for c, t, value in cursor}
