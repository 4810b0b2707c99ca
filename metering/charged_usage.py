"""A tenant's usage as it is charged for: by the model asked for, cut at 15-minute buckets."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection

from metering.domain.periods import Period
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


def _charged_units(tenants: list[str], period: Period) -> list[tuple[str, UsageLine]]:
    events, parameters = current(period)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant, model, coalesce(endpoint_tag, ''), environment, data_mode, status,"
            " served_from, unit.key, sum(unit.value::numeric), count(*)"
            f" FROM {events} e, json_each_text(e.units) AS unit(key, value)"
            " WHERE e.tenant = ANY(%(tenants)s) AND e.units IS NOT NULL"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8",
            {**parameters, "tenants": tenants},
        )
        return [(tenant, UsageLine(*row)) for tenant, *row in cursor if row[7]]
