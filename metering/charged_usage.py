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
    """One tenant's `charged_usages`."""
    return charged_usages([tenant], period)[tenant]


def charged_usages(tenants: Collection[str], period: Period) -> dict[str, list[UsageLine]]:
    """Each tenant's usage in the period by requested model, sorted; its share of shared calls
    included. `requests` is a class of its own. Edges must lie on 15-minute buckets
    (`NotOnABucket`); tools and other units are read from the raw events, for all tenants in one
    pass."""
    start, end = on_buckets(period)
    leaves = ", ".join(sql for _, sql in LEAVES)
    lines: dict[str, list[UsageLine]] = {tenant: [] for tenant in tenants}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tenant, {_LINE_KEY}, sum(events), {leaves} FROM {USAGE.relation()} cells"
            " WHERE tenant = ANY(%s) AND bucket_at >= %s AND bucket_at < %s"
            f" GROUP BY tenant, {_LINE_KEY}",
            [list(lines), start, end],
        )
        for tenant, *row in cursor:
            key: tuple[str, str, str, str, str, str] = tuple(row[:6])
            events, quantities = row[6], row[7:]
            if events:
                lines[tenant].append(UsageLine(*key, "requests", Decimal(events), int(events)))
            lines[tenant] += [
                UsageLine(*key, name, Decimal(quantity), int(events))
                for (name, _), quantity in zip(LEAVES, quantities, strict=True)
                if quantity
            ]
    for tenant, line in _charged_units(list(lines), period):
        lines[tenant].append(line)
    return {tenant: sorted(found) for tenant, found in lines.items()}


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


def _charged_units(tenants: list[str], period: Period) -> Iterator[tuple[str, UsageLine]]:
    """The tenants' units, their parts of shared calls included; such a call counts as one of its
    own tenant's."""
    events, parameters = current(period)
    sums: dict[tuple[str, _UnitKey], tuple[Decimal, int]] = {}
    wanted = set(tenants)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_SHARED_CALL}, tenant, model, coalesce(endpoint_tag, ''), environment,"
            " data_mode, status, served_from, unit.key, sum(unit.value::numeric), count(*)"
            f" FROM {events} e, json_each_text(e.units) AS unit(key, value)"
            " WHERE e.units IS NOT NULL AND (e.tenant = ANY(%(tenants)s)"
            "  OR e.shares IS NOT NULL AND e.event_key IN"
            "  (SELECT event_key FROM event_share s WHERE s.tenant = ANY(%(tenants)s)"
            "  AND s.occurred_at >= %(period_start)s AND s.occurred_at < %(period_end)s))"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
            {**parameters, "tenants": tenants},
        )
        for call, owner, *key, quantity, events_of in cursor:
            parts = [(owner, quantity, events_of)]
            if call is not None:
                parts = _divided(_shared_call(call), owner, key[-1], quantity)
            for tenant, part, calls in parts:
                name: tuple[str, _UnitKey] = tenant, tuple(key)
                known = sums.get(name, (Decimal(0), 0))
                sums[name] = EXACT.add(known[0], part), known[1] + calls
    for (tenant, of_unit), (quantity, calls) in sums.items():
        if quantity and tenant in wanted:
            yield tenant, UsageLine(*of_unit, quantity, calls)


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
