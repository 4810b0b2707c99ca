"""Which stored ratings stand, worked out by the database itself: for calls of text alone.

Of a call that was made of one request, reports both totals and used neither units nor audio nor
images, `rate` is a product for each of five classes of tokens: the count that is left of it, times
the unit price of its card's level. The card hangs on provider, model, tier, batch, region and
instant; where it holds throughout a period (`PriceBook.throughout`), on the first five alone. So
those and the band of input tokens that a level is for *decide* what the products are made of, and
for each such combination the database is told the unit prices and row ids (`rates_of`).

What it then writes is, letter for letter, what `lines_json` writes of `rate`:

- a count is a whole number, and both write it as such;
- a unit price and a row's id are texts that were written here, once for all calls;
- an amount is an exact product. PostgreSQL's `numeric` multiplies and adds exactly, as `rate` does
  (`_FITS` keeps every amount within the digits that `rate` allows itself), and a number without
  exponent and without trailing zeros can be written in one way only, which is that of `plain` and
  of `trim_scale`.

Nothing is said of any other call: a card that changes within the period, a price that is marginal,
has a minimum or does not terminate, counts that contradict one another, an answer of several
requests. `rating_scan` rates those one by one; a test holds this file against `rate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from django.db import transaction

from metering import bulk
from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.rate_cards import PlainRates, RateCard
from metering.domain.rollup import SHARE_SCALE
from metering.events import KeyRange
from metering.providers.dialects import DIALECTS_WITH_PARTS, KEYS_OF_PARTS

MOST_TOKENS: Final = 2**31 - 1
"""What a count's column can hold."""
_FITS: Final = (-30, 15)
"""The least exponent of a unit price's last digit, and what its first one must be below. With
counts of at most ten digits, five amounts and their sum are then of at most 57 digits."""

CLASSES: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
"""In the order in which `rate` writes their lines."""


class Rates(NamedTuple):
    """What calls of a combination pay which have more than `above` and at most `upto` input tokens
    in all: a price and row id for each of `CLASSES` (`None`: output has no price). Without prices
    they are unpriced, for the reason."""

    combination: PricedBy
    above: int
    upto: int
    currency: str
    reason: str | None
    prices: tuple[tuple[Decimal, int] | None, ...]


def rates_of(book: PriceBook, combinations: Iterable[PricedBy], period: Period) -> list[Rates]:
    """What the database can rate by, of these combinations throughout the period."""
    found = []
    for combination in combinations:
        card = book.throughout(combination, period)
        if isinstance(card, str):
            found.append(Rates(combination, -1, MOST_TOKENS, book.currency, card, ()))
        elif card is not None and not card.nothing_listed:
            found += _of_card(combination, card)
    return found


def _of_card(combination: PricedBy, card: RateCard) -> list[Rates]:
    bands = zip((-1, *card.thresholds), (*card.thresholds, MOST_TOKENS), card.levels, strict=True)
    return [
        Rates(combination, above, upto, card.currency, card.reason, _prices(level.plain))
        for above, upto, level in bands
        if level.plain is not None and above < upto <= MOST_TOKENS and _fit(level.plain)
    ]


def _prices(rates: PlainRates) -> tuple[tuple[Decimal, int] | None, ...]:
    return (
        (rates.input, rates.input_id),
        (rates.cache_read, rates.cache_read_id),
        (rates.cache_write, rates.cache_write_id),
        (rates.cache_write_1h, rates.cache_write_1h_id),
        None if rates.output is None else (rates.output, rates.output_id),
    )


def _fit(rates: PlainRates) -> bool:
    prices = [each[0] for each in _prices(rates) if each is not None]
    last, first = _FITS
    return all(
        isinstance(exponent := price.as_tuple().exponent, int)
        and exponent >= last
        and price.adjusted() < first
        for price in prices
    )


def _decimals(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    assert isinstance(exponent, int)  # it is finite
    return -exponent


@contextmanager
def asking() -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """A transaction for these queries. Compiling their expressions would take longer than they do.
    How many events differ is not known before, so nothing is looked up one by one; and a portion's
    changes are kept in memory, where each of the rollups reads them again."""
    with transaction.atomic(), bulk.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute("SET LOCAL work_mem = '96MB'")
        yield cursor


def combinations(period: Period, keys: KeyRange) -> list[PricedBy]:
    """Those of the stored events with these keys (of more than count, perhaps)."""
    with asking() as cursor:
        cursor.execute(
            "SELECT DISTINCT provider, coalesce(nullif(model_executed, ''), model), service_tier,"
            " batch, region FROM usage_event WHERE occurred_at >= %s AND occurred_at < %s"
            " AND event_key >= %s::uuid AND event_key <= %s::uuid",
            [period.start, period.end, *keys],
        )
        return [PricedBy(*row) for row in cursor]


_TOLD: Final = (
    *(("rated_provider", "text"), ("rated_model", "text"), ("rated_tier", "text")),
    *(("rated_batch", "boolean"), ("rated_region", "text"), ("above", "integer")),
    *(("upto", "integer"), ("rated_currency", "text"), ("rated_reason", "text")),
    *(("is_priced", "boolean"), ("is_dividable", "boolean")),
    *((f"{name}_price", "numeric") for name in CLASSES),
    *((f"{name}_middle", "text") for name in CLASSES),
    *((f"{name}_end", "text") for name in CLASSES),
)
"""The columns of the rates as the database is told them. A line is the class, the count, what
stands in the *middle* (the unit price), the amount, and the *end* (the row's id)."""


def parameters_of(rates: Sequence[Rates], own_currency: str) -> dict[str, Any]:
    """The rates as parameters of `verdicts`, and the currency of costs that need no price."""
    rows = []
    for each in rates:
        prices = each.prices or (None,) * len(CLASSES)
        rows.append(
            (
                *(*each.combination, each.above, each.upto, each.currency, each.reason),
                bool(each.prices),
                all(price is None or _decimals(price[0]) <= SHARE_SCALE for price in prices),
                *(price and price[0] for price in prices),
                *(price and f'","{plain(price[0])}","' for price in prices),
                *(price and f'",{price[1]}]' for price in prices),
            )
        )
    columns = zip(*rows, strict=True) if rows else [()] * len(_TOLD)
    told = zip(_TOLD, columns, strict=True)
    return {
        "own_currency": own_currency,
        **{f"rates_{name}": list(column) for (name, _), column in told},
    }


_RATES: Final = (
    "(SELECT * FROM unnest("
    + ", ".join(f"%(rates_{name})s::{kind}[]" for name, kind in _TOLD)
    + f") AS told ({', '.join(name for name, _ in _TOLD)}))"
)
_HAS: Final = """
    r.rated_provider = e.provider
    AND r.rated_model = coalesce(nullif(e.model_executed, ''), e.model)
    AND r.rated_tier = e.service_tier AND r.rated_batch = e.batch
    AND coalesce(r.rated_region, E'\\x1e') = coalesce(e.region, E'\\x1e')
    AND r.above < coalesce(e.input_tokens, 0) AND r.upto >= coalesce(e.input_tokens, 0)
"""
"""Which of the rates (`r`) an event (`e`) has: one at most."""

_OF_PARTS: Final = " OR ".join(f"position('{key}' IN e.usage::text) > 0" for key in KEYS_OF_PARTS)
_IN_ONE: Final = f"""(
    e.usage IS NULL OR e.usage_format IS NULL
    OR e.usage_format NOT IN ({", ".join(repr(name) for name in sorted(DIALECTS_WITH_PARTS))})
    OR NOT ({_OF_PARTS})
)"""
"""Whether the answer was one request for certain: where `dialects.billed_parts` is empty."""
_OF_TEXT: Final = """(
    e.input_tokens IS NOT NULL AND e.output_tokens IS NOT NULL AND e.units IS NULL
    AND coalesce(e.audio_input_tokens, 0) = 0 AND coalesce(e.image_input_tokens, 0) = 0
    AND coalesce(e.audio_output_tokens, 0) = 0 AND coalesce(e.image_output_tokens, 0) = 0
    AND coalesce(e.reasoning_tokens, 0) <= e.output_tokens
)"""
_READ: Final = "coalesce(e.cached_input_tokens, 0)"
_WRITE_1H: Final = "coalesce(e.cache_write_1h_tokens, 0)"
_WRITE: Final = f"greatest(coalesce(e.cache_write_tokens, 0), {_WRITE_1H})"
_COUNTS: Final = {
    "input": f"e.input_tokens::bigint - {_READ} - {_WRITE}",
    "cache_read": _READ,
    "cache_write": f"{_WRITE} - {_WRITE_1H}",
    "cache_write_1h": _WRITE_1H,
    "output": "e.output_tokens",
}
"""The counts of the classes, disjoint."""


_AMOUNTS: Final = {
    name: f"CASE WHEN e.is_priced AND e.{name}_count > 0 THEN e.{name}_count * e.{name}_price"
    " ELSE 0 END"
    for name in CLASSES
}
_COST: Final = f"({' + '.join(f'e.{name}_amount' for name in CLASSES)})"
_EACH_LINE: Final = ", ".join(
    f"""CASE WHEN e.{name}_count > 0 THEN concat(',["{name}","', e.{name}_count, e.{name}_middle,"""
    f" trim_scale(e.{name}_amount), e.{name}_end) END"
    for name in CLASSES
)
_LINES: Final = f"nullif('[' || right(concat({_EACH_LINE}), -1) || ']', '[]')"
_NOW: Final = {
    "now_cost": f"CASE WHEN e.is_priced THEN {_COST} END",
    "now_lines": f"CASE WHEN e.is_priced THEN {_LINES} END",
}
_NOW_PRICING: Final = """CASE WHEN e.is_rated IS NOT TRUE THEN NULL
    WHEN NOT e.is_priced THEN 'unpriced'
    WHEN e.now_cost = 0 AND e.now_lines IS NOT NULL THEN 'free' ELSE 'priced' END"""
NOW: Final = {
    "pricing": "now_pricing",
    "pricing_reason": "rated_reason",
    "cost": "now_cost",
    "currency": "rated_currency",
    "lines": "now_lines",
}
"""What an event on which there is a verdict would be rated at, except for replies from the caller's
own cache: by which columns of `verdicts`. (`cost` may have trailing zeros.)"""
_STANDS: Final = f"""
    e.currency = e.{NOW["currency"]}
    AND e.pricing_reason IS NOT DISTINCT FROM e.{NOW["pricing_reason"]}
    AND e.pricing = {_NOW_PRICING} AND e.cost IS NOT DISTINCT FROM e.{NOW["cost"]}
    AND e.lines::text IS NOT DISTINCT FROM e.{NOW["lines"]}"""
_IS_RATED: Final = """(e.served_from <> 'caller_cache' AND e.is_known AND (NOT e.is_priced
    OR e.is_text AND e.input_count >= 0 AND (e.output_count = 0 OR e.output_price IS NOT NULL)))"""
_VERDICT: Final = f"""
    CASE
    WHEN e.served_from = 'caller_cache' THEN
        e.pricing = 'free' AND e.pricing_reason IS NOT DISTINCT FROM 'caller_cache' AND e.cost = 0
        AND e.currency = %(own_currency)s AND e.lines IS NULL
    WHEN e.is_rated THEN {_STANDS} END"""


def verdicts(events: str, condition: str) -> str:
    """A query for the events (a relation with the columns of `events.current`) that fit the
    condition (SQL over them, as `e`), with a `verdict` on each: whether what is stored of its
    rating is what it would be rated at, NULL where nothing is said. Its parameters are those of the
    events and of `parameters_of`.

    Beside the events' columns it has those of `NOW`, `is_text`, `is_priced`, and of each class its
    `_count` and `_amount` (0 where nothing was used, and where there is no price)."""
    counts = ", ".join(f"{count} AS {name}_count" for name, count in _COUNTS.items())
    amounts = ", ".join(f"{amount} AS {name}_amount" for name, amount in _AMOUNTS.items())
    now = ", ".join(
        f"CASE WHEN e.is_rated THEN {each} END AS {name}" for name, each in _NOW.items()
    )
    # OFFSET 0 has each expression worked out once: without it, wherever it is named.
    return f"""
        SELECT *, {_NOW_PRICING} AS now_pricing, {_VERDICT} AS verdict FROM (
            SELECT *, {now} FROM (
                SELECT *, {_IS_RATED} AS is_rated, {amounts} FROM (
                    SELECT e.*, r.*, {counts}, {_OF_TEXT} AS is_text,
                           r.rated_provider IS NOT NULL AND {_IN_ONE} AS is_known
                    FROM {events} e LEFT JOIN {_RATES} r ON {_HAS} WHERE {condition} OFFSET 0
                ) e OFFSET 0
            ) e OFFSET 0
        ) e"""
