"""Reading stored events to see whose rating would come out otherwise: fast, and all of it.

Every event is rated; what was stored is compared as the text that it was stored as. Nothing is
taken for unchanged that was not worked out again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering import bulk
from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook
from metering.domain.usage import COUNTS, UsageEvent
from metering.event_rows import NULL, lines_json
from metering.events import current
from metering.pricing.rated_events import RATED_EVENT_FIELDS, rated

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
_LINES: Final = 500
_COUNTS_FROM: Final = 4 + len(_TEXTS) + len(_OPTIONAL)


def differing_keys(day: date, book: PriceBook, *, model: str | None) -> tuple[int, list[str]]:
    """How many events of the UTC day that count were looked at, and the keys of those whose rating
    is not what is stored as their latest."""
    looked_at = 0
    keys = []
    for fields in _rows(day, model):
        looked_at += 1
        rating = rated(_event(fields), book)
        stored = fields[_FIRST_STORED:]
        if (
            stored[0] != rating.pricing
            or stored[2] != (NULL if rating.cost is None else plain(rating.cost))
            or stored[1] != (NULL if rating.reason is None else rating.reason)
            or stored[3] != rating.currency
            or stored[4] != lines_json(rating)
        ):
            keys.append(fields[0])
    return looked_at, keys


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


def _rows(day: date, model: str | None) -> Iterator[list[str]]:
    for lines in handed_over(day, model):
        for line in lines.split("\n"):
            yield line.split("\t")


def handed_over(day: date, model: str | None) -> Iterator[str]:
    """The UTC day's events as texts of many lines each, while the database goes on reading."""
    query, parameters = _query(day, model)
    with (
        bulk.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        copy.set_types(["text"])
        for (lines,) in copy.rows():
            yield lines


def _query(day: date, model: str | None) -> tuple[str, dict[str, Any]]:
    """A query for a UTC day's events, with what their prices hang on and what is stored of them: a
    text of many lines a row, since a row for each costs more than reading it. (No field holds a
    tab or a line's end: such events are refused when they come.)"""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    events, parameters = current(Period(start, start + timedelta(days=1)))
    columns = (*(f"e.{name}" for name in _COLUMNS), *(_stored(name) for name in _STORED))
    line = " || E'\\t' || ".join(f"coalesce({each}::text, E'\\x1e')" for each in columns)
    chosen = " WHERE coalesce(e.model_executed, e.model) = %(model)s" if model is not None else ""
    query = (
        "SELECT string_agg(line, E'\\n') FROM"
        f" (SELECT {line} AS line, row_number() OVER () / {_LINES} AS block"
        f" FROM {events} e{chosen}) lines GROUP BY block"
    )
    return query, {**parameters, "model": model}


def _stored(name: str) -> str:
    return name if "(" in name else f"e.{name}"
