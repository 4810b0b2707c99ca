"""A tenant's usage as it is charged for: by the model asked for, cut at 15-minute buckets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
from django.db import connection

from metering.domain.money import EXACT
from metering.domain.periods import Period
from metering.domain.rollup import unit_parts
from metering.domain.usage import Share
from metering.events import current
from metering.planning import added_up_by_hash
from metering.rollups import USAGE, on_buckets


class UsageLine(NamedTuple):
    """Usage as a customer is charged for it: by the model asked for, in disjoint classes."""

    model: str
    endpoint_tag: str
    environment: str
    data_mode: str
    status: str
    served_from: str
    token_class: str
    quantity: Decimal
    events: int


LEAVES: Final = (
    (
        "input",
        """sum(input_tokens - cached_input_tokens - cache_write_tokens
               - audio_input_tokens - image_input_tokens)""",
    ),
    ("cache_read", "sum(cached_input_tokens)"),
    ("cache_write", "sum(cache_write_tokens - cache_write_1h_tokens)"),
    ("cache_write_1h", "sum(cache_write_1h_tokens)"),
    ("input_audio", "sum(audio_input_tokens)"),
    ("input_image", "sum(image_input_tokens)"),
    ("output", "sum(output_tokens - audio_output_tokens - image_output_tokens)"),
    ("output_audio", "sum(audio_output_tokens)"),
    ("output_image", "sum(image_output_tokens)"),
)
"""The disjoint classes of token, each as a sum over the usage rollup's inclusive counts."""

_LINE_KEY: Final = "model, endpoint_tag, environment, data_mode, status, served_from"


def charged_usage(tenant: str, period: Period) -> list[UsageLine]:
    """One tenant's `charged_usages` of one period."""
    return charged_usages([(tenant, period)])[tenant, period]


Cycle = tuple[str, Period]
"""A tenant, and a period that it is charged for."""


def charged_usages(cycles: Collection[Cycle]) -> dict[Cycle, list[UsageLine]]:
    """The tenant's usage in each of the cycles by requested model, sorted; its share of shared
    calls included. `requests` is a class of its own. Edges must lie on 15-minute buckets
    (`NotOnABucket`); tools and other units are read from the raw events. One reading of all: which
    cycles they are of hardly counts."""
    lines: dict[Cycle, list[UsageLine]] = {cycle: [] for cycle in cycles}
    if not lines:
        return lines
    edges = [on_buckets(period) for _, period in lines]
    leaves = ", ".join(sql for _, sql in LEAVES)
    whose = list(lines)
    with added_up_by_hash(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT number, {_LINE_KEY}, sum(events), {leaves} FROM {USAGE.relation()} cells"
            " JOIN unnest(%(numbers)s::int[], %(tenants)s::text[], %(starts)s::timestamptz[],"
            "  %(ends)s::timestamptz[]) AS cycle (number, tenant, start_at, end_at)"
            " USING (tenant) WHERE bucket_at >= start_at AND bucket_at < end_at"
            " AND bucket_at >= %(first)s AND bucket_at < %(last)s"
            f" GROUP BY number, {_LINE_KEY}",
            {
                "numbers": list(range(len(whose))),
                "tenants": [tenant for tenant, _ in whose],
                "starts": [start for start, _ in edges],
                "ends": [end for _, end in edges],
                "first": min(start for start, _ in edges),
                "last": max(end for _, end in edges),
            },
        )
        for number, *row in cursor:
            key: tuple[str, str, str, str, str, str] = tuple(row[:6])
            events, quantities = row[6], row[7:]
            of_cycle = lines[whose[number]]
            if events:
                of_cycle.append(UsageLine(*key, "requests", Decimal(events), int(events)))
            of_cycle += [
                UsageLine(*key, name, Decimal(quantity), int(events))
                for (name, _), quantity in zip(LEAVES, quantities, strict=True)
                if quantity
            ]
    for cycle, line in _charged_units(whose):
        lines[cycle].append(line)
    return {cycle: sorted(found) for cycle, found in lines.items()}


class _SharedCall(msgspec.Struct, frozen=True):
    """What a shared call's units are divided by."""

    shares: tuple[Share, ...]
    input_tokens: int
    output_tokens: int


_SHARED_CALL: Final = (
    "CASE WHEN shares IS NOT NULL THEN json_build_object('event_key', event_key, 'shares', shares,"
    " 'input_tokens', coalesce(input_tokens, 0), 'output_tokens', coalesce(output_tokens, 0))::text"
    " END"
)
"""NULL for a call of one owner, so that those are added up; a text of its own for a shared one."""
_shared_call: Final = msgspec.json.Decoder(_SharedCall).decode

_UnitKey = tuple[str, str, str, str, str, str, str]


def _charged_units(cycles: Collection[Cycle]) -> Iterator[tuple[Cycle, UsageLine]]:
    """The cycles' units, their parts of shared calls included; such a call counts as one of its
    own tenant's."""
    edges = sorted({edge for _, period in cycles for edge in (period.start, period.end)})
    periods: dict[str, list[Period]] = {}
    for tenant, period in cycles:
        periods.setdefault(tenant, []).append(period)
    events, parameters = current(Period(edges[0], edges[-1]))
    sums: dict[tuple[Cycle, _UnitKey], tuple[Decimal, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT width_bucket(occurred_at, %(edges)s::timestamptz[]), {_SHARED_CALL}, tenant,"
            " model, coalesce(endpoint_tag, ''), environment, data_mode, status, served_from,"
            " unit.key, sum(unit.value::numeric), count(*)"
            f" FROM {events} e, json_each_text(e.units) AS unit(key, value)"
            " WHERE e.units IS NOT NULL AND (e.tenant = ANY(%(tenants)s)"
            "  OR e.shares IS NOT NULL AND e.event_key IN"
            "  (SELECT event_key FROM event_share s WHERE s.tenant = ANY(%(tenants)s)"
            "  AND s.occurred_at >= %(period_start)s AND s.occurred_at < %(period_end)s))"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
            {**parameters, "tenants": list(periods), "edges": edges},
        )
        for segment, call, owner, *key, quantity, events_of in cursor:
            parts = [(owner, quantity, events_of)]
            if call is not None:
                parts = _divided(_shared_call(call), owner, key[-1], quantity)
            for tenant, part, calls in parts:
                for period in periods.get(tenant, ()):
                    if edges[segment - 1] in period:
                        name: tuple[Cycle, _UnitKey] = (tenant, period), tuple(key)
                        known = sums.get(name, (Decimal(0), 0))
                        sums[name] = EXACT.add(known[0], part), known[1] + calls
    for (cycle, of_unit), (quantity, calls) in sums.items():
        if quantity:
            yield cycle, UsageLine(*of_unit, quantity, calls)


def _divided(
    call: _SharedCall, owner: str, unit: str, quantity: Decimal
) -> list[tuple[str, Decimal, int]]:
    """Whose part of a shared call's unit is how much, and whose the call is."""
    parts = unit_parts({unit: quantity}, call.shares, call.input_tokens, call.output_tokens)
    of_shares = zip(call.shares, parts, strict=False)
    return [
        *((share.tenant_id, part[unit], 0) for share, part in of_shares),
        (owner, parts[-1][unit], 1),
    ]
