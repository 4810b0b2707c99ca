"""Reading stored events to see whose rating would come out otherwise: fast, and all of it.

What is stored is compared, as the text that it was stored as, with what would be stored now. The
database works it out for plain calls (`ratings_in_sql` says why that is the same text), and stores
what differs of them as it finds it (`revisions_in_sql`); every other call is rated here. Nothing is
taken for unchanged that was not worked out again.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from metering.domain.money import plain
from metering.domain.price_book import PriceBook
from metering.domain.usage import COUNTS, UsageEvent
from metering.event_rows import NULL, lines_json
from metering.events import current
from metering.pricing.portions import Portion
from metering.pricing.rated_events import RATED_EVENT_FIELDS, rated
from metering.pricing.ratings_in_sql import asking, combinations, parameters_of, rates_of, verdicts
from metering.pricing.revaluation import Act, Differences
from metering.pricing.revisions_in_sql import (
    DIFFERENCES,
    NO_DIFFERENCE,
    STORED,
    changed,
    differences_in,
)

_TEXTS: Final = ("provider", "model", "service_tier", "served_from")
_OPTIONAL: Final = ("model_executed", "region", "usage", "usage_format")
_STORED: Final = ("pricing", "pricing_reason", "trim_scale(e.cost)", "currency", "lines")
_CHECKED: Final = {*_TEXTS, *_OPTIONAL, *COUNTS, "occurred_at", "batch", "units"}
assert set(RATED_EVENT_FIELDS) == _CHECKED, "what a price hangs on must be read"
_units: Final = msgspec.json.Decoder(dict[str, Decimal]).decode
_COLUMNS: Final = (
    *("event_key", "occurred_at", "batch", "units"),
    *_TEXTS,
    *_OPTIONAL,
    *COUNTS,
)
_FIRST_STORED: Final = len(_COLUMNS)
READ: Final = (*_COLUMNS, "pricing", "pricing_reason", "cost", "currency", "lines")
"""Columns that are read of an event that is rated here."""
_COUNTS_FROM: Final = 4 + len(_TEXTS) + len(_OPTIONAL)


class Scanned(NamedTuple):
    """How many events that count were looked at; what differs of those that the database rated,
    and unless it was a trial, stored; and the keys of the others that differ."""

    looked_at: int
    differences: Differences
    others: list[str]


def scan(
    portion: Portion,
    book: PriceBook,
    act: Act,
    *,
    model: str | None = None,
    recompute: bool = False,
) -> Scanned:
    """Look at the portion's events (of one executed model, if it is named), and store what the
    database can, in the caller's transaction, in which nothing that counts may change. With
    `recompute` every event is rated here, one by one: the slow way to the same answer."""
    if recompute:
        looked_at, told, differences = _all_told(portion, model)
    else:
        # What is so rare that the sample misses it is rated one by one.
        found = combinations(portion.period, portion.sample)
        rates = parameters_of(rates_of(book, found, portion.period), book.currency)
        looked_at, told, differences = _rated(portion, model, rates, act)
    others = []
    for line in told.split("\n") if told else ():
        fields = line.split("\t")
        if len(fields) == 1 or _differs(fields, book):
            others.append(fields[0])
    return Scanned(looked_at, differences, others)


def _differs(fields: list[str], book: PriceBook) -> bool:
    rating = rated(_event(fields), book)
    return fields[_FIRST_STORED:] != [
        rating.pricing,
        NULL if rating.reason is None else rating.reason,
        NULL if rating.cost is None else plain(rating.cost),
        rating.currency,
        lines_json(rating),
    ]


def _event(fields: list[str]) -> UsageEvent:
    counts = [None if text == NULL else int(text) for text in fields[_COUNTS_FROM:_FIRST_STORED]]
    provider, model, tier, served, executed, region, usage, usage_format = fields[4:_COUNTS_FROM]
    return UsageEvent(
        source="",
        external_request_id="",
        provider=provider,
        model=model,
        occurred_at=datetime.fromisoformat(fields[1]),
        model_executed=None if executed == NULL else executed,
        input_tokens=counts[0],
        cached_input_tokens=counts[1],
        cache_write_tokens=counts[2],
        cache_write_1h_tokens=counts[3],
        output_tokens=counts[4],
        reasoning_tokens=counts[5],
        audio_input_tokens=counts[6],
        audio_output_tokens=counts[7],
        image_input_tokens=counts[8],
        image_output_tokens=counts[9],
        units={} if fields[3] == NULL else _units(fields[3]),
        usage=None if usage == NULL else usage,
        usage_format=None if usage_format == NULL else usage_format,
        service_tier=tier,
        batch=fields[2] == "true",
        region=None if region == NULL else region,
        served_from=served,  # type: ignore[arg-type]  # as it was checked when it came
    )


_LINE: Final = " || E'\\t' || ".join(
    f"coalesce({each if '(' in each else f'e.{each}'}::text, E'\\x1e')"
    for each in (*_COLUMNS, *_STORED)
)
"""All that an event's price hangs on, and what is stored of it. (One text, since a row for each
costs more than reading it. No field holds a tab or a line's end: such events are refused.)"""


def _all_told(portion: Portion, model: str | None) -> tuple[int, str, Differences]:
    events, parameters = current(portion.period, key_range=portion.keys)
    with asking() as cursor:
        cursor.execute(
            f"SELECT count(*), string_agg({_LINE}, E'\\n') FROM {events} e WHERE {_chosen(model)}",
            {**parameters, "model": model},
        )
        row = cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    return row[0], row[1] or "", {}


def _rated(
    portion: Portion, model: str | None, rates: dict[str, Any], act: Act
) -> tuple[int, str, Differences]:
    """How many events there are; of those that the database cannot rate all that it takes to, and
    of those that it rates and cannot store the key, a line each; what differs of the rest."""
    events, parameters = current(portion.period, key_range=portion.keys)
    told = f"CASE WHEN e.verdict IS NULL THEN {_LINE} END"
    found = changed(verdicts(events, _chosen(model)), told)
    query = f"""
        WITH {found if act.is_trial else f"{found}, {STORED}"}
        SELECT (SELECT count(*) FROM {events} e WHERE {_chosen(model)}),
            string_agg(coalesce(e.told, e.event_key::text), E'\\n') FILTER (WHERE NOT e.is_plain),
            {NO_DIFFERENCE}
        FROM changed e UNION ALL SELECT NULL, NULL, d.* FROM ({DIFFERENCES}) d"""
    with asking() as cursor:
        cursor.execute(
            query,
            {
                **parameters,
                **rates,
                "model": model,
                "day": portion.day,
                "author": act.author,
                "why": act.reason,
                "made_at": act.at,
            },
        )
        (looked_at, text, *_), *rows = cursor
    return looked_at, text or "", differences_in(row[2:] for row in rows)


def _chosen(model: str | None) -> str:
    return "coalesce(nullif(e.model_executed, ''), e.model) = %(model)s" if model else "true"
