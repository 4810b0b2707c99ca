"""What the database says of stored ratings, against rating each event in full."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import bulk
from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Price, UnitPrice
from metering.domain.rating import RatedLine, Rating, priced_by
from metering.domain.usage import COUNTS, UsageEvent
from metering.event_rows import NULL, lines_json
from metering.pricing.rated_events import rated
from metering.pricing.ratings_in_sql import NOW, parameters_of, rates_of, verdicts
from tests.metering.domain import rated_calls
from tests.metering.pricing.drawn_ratings import DAY, START, books, events, instants, layered


@given(
    book=st.one_of(books(), layered),
    model=st.sampled_from(["m", "unknown"]),
    batch=st.booleans(),
    data=st.data(),
)
def test_what_holds_throughout_holds_at_each_instant(
    *, book: PriceBook, model: str, batch: bool, data: st.DataObject
) -> None:
    tier = data.draw(st.sampled_from(["standard", "flex", "provisioned"]))
    said = book.throughout(PricedBy("acme", model, tier, batch), DAY)
    for at in (DAY.start, *data.draw(st.lists(instants, max_size=5))):
        assert said is None or said == book.look_up(PricedBy("acme", model, tier, batch), at)


def test_a_price_that_changes_within_the_day_is_not_said_to_hold_throughout() -> None:
    rows = [
        Price(1, "acme", "m", {}, START, rated_calls.NOON),
        Price(2, "acme", "m", rated_calls.TEXT, rated_calls.NOON),
    ]
    listed = ListedProvider("acme", (ListedModel("m", Clause("equals", "m")),))
    book = PriceBook(rows, [PriceList(START, "list", (listed,))])
    assert book.throughout(PricedBy("acme", "m"), DAY) is None
    following = Period(DAY.end, DAY.end + timedelta(days=1))
    assert book.throughout(PricedBy("acme", "m"), following) == book.look_up(
        PricedBy("acme", "m"), DAY.end
    )


CHANGES = ("row", "amount", "cost", "reason", "pricing", "currency")
changes = st.sampled_from(["nothing", *CHANGES])


@pytest.mark.django_db
@given(st.one_of(books(), layered), st.lists(st.tuples(events(), changes), max_size=12))
def test_the_database_says_what_rating_each_event_says(
    book: PriceBook, drawn: list[tuple[UsageEvent, str]]
) -> None:
    ratings = [rated(event, book) for event, _ in drawn]
    stored = [_changed(rating, how) for rating, (_, how) in zip(ratings, drawn, strict=True)]
    found = _asked(book, [event for event, _ in drawn], stored)
    for (event, _), rating, old, (verdict, *now) in zip(drawn, ratings, stored, found, strict=True):
        if verdict is not None:
            assert verdict == (_text(rating) == _text(old)), event
        if verdict is False and event.served_from != "caller_cache":
            assert now == _text(rating), event


def test_plain_calls_are_all_decided(db: None) -> None:
    """The property above would hold of a query that never said anything."""
    counts = {"input_tokens": 300_000, "cached_input_tokens": 10, "output_tokens": 5}
    drawn = [
        rated_calls.event("text", **counts),
        rated_calls.event("text", input_tokens=7, cache_write_1h_tokens=5, output_tokens=0),
        rated_calls.event("text", input_tokens=0, output_tokens=0),
        rated_calls.event(
            "text",
            input_tokens=20,
            cached_input_tokens=1,
            cache_write_tokens=7,
            cache_write_1h_tokens=5,
            output_tokens=3,
            reasoning_tokens=2,
        ),
        rated_calls.event("no-1h", **counts, service_tier="flex"),
        rated_calls.event("gratis", **counts),
        rated_calls.event("of nobody's", **counts),
        rated_calls.event("text", **counts, served_from="caller_cache"),
    ]
    ratings = [rated(event, rated_calls.BOOK) for event in drawn]
    found = _asked(rated_calls.BOOK, drawn, ratings)
    assert [verdict for verdict, *_ in found] == [True] * len(drawn)


def test_whatever_is_stored_otherwise_is_seen(db: None) -> None:
    drawn = [rated_calls.event("text", input_tokens=9, output_tokens=1)] * len(CHANGES)
    stored = [
        _changed(rated(event, rated_calls.BOOK), how)
        for event, how in zip(drawn, CHANGES, strict=True)
    ]
    found = _asked(rated_calls.BOOK, drawn, stored)
    assert [verdict for verdict, *_ in found] == [False] * len(CHANGES)


@pytest.mark.parametrize(
    ("price", "fits"), [("1E-30", True), ("1E-31", False), ("1E+14", True), ("1E+15", False)]
)
def test_prices_of_more_digits_than_rating_allows_itself_are_not_handed_over(
    price: str, *, fits: bool
) -> None:
    dear = {**rated_calls.TEXT, "cache_read_tokens": UnitPrice(1, Decimal(price))}
    listed = ListedProvider("acme", (ListedModel("m", Clause("equals", "m")),))
    book = PriceBook([Price(1, "acme", "m", dear, START)], [PriceList(START, "list", (listed,))])
    plain_calls = PricedBy("acme", "m", "standard", batch=False, region=None)
    assert bool(rates_of(book, [plain_calls], DAY)) is fits


def test_a_call_at_a_threshold_has_one_price(db: None) -> None:
    """That of the band below it: the bands meet there, and neither overlap nor leave a gap."""
    edges = (0, 1, 199_999, 200_000, 200_001, 2**31 - 1)
    drawn = [rated_calls.event("text", input_tokens=n, output_tokens=1) for n in edges]
    ratings = [rated(event, rated_calls.BOOK) for event in drawn]
    found = _asked(rated_calls.BOOK, drawn, ratings)
    assert [verdict for verdict, *_ in found] == [True] * len(edges)


def test_a_call_of_which_nothing_can_be_said_is_left_to_rating(db: None) -> None:
    drawn = [
        rated_calls.event("thinks", input_tokens=10, output_tokens=10),
        rated_calls.event("text", input_tokens=10),
        rated_calls.event("text", input_tokens=10, cached_input_tokens=11, output_tokens=1),
        rated_calls.event("text", input_tokens=1, output_tokens=1, reasoning_tokens=2),
        rated_calls.event(
            "text", input_tokens=1, output_tokens=1, units={"web_search": Decimal(1)}
        ),
        rated_calls.event("embeds", input_tokens=1, output_tokens=1),
        *(
            rated_calls.event("text", **{"input_tokens": 9, "output_tokens": 9, count: 1})
            for count in COUNTS
            if "audio" in count or "image" in count
        ),
    ]
    ratings = [rated(event, rated_calls.BOOK) for event in drawn]
    found = _asked(rated_calls.BOOK, drawn, ratings)
    assert [verdict for verdict, *_ in found] == [None] * len(drawn)


def _changed(rating: Rating, how: str) -> Rating:
    """As it might have been stored when prices were others."""
    match how:
        case "row" if rating.lines:
            first = rating.lines[0]._replace(price_id=77)
            return rating._replace(lines=(first, *rating.lines[1:]))
        case "amount" if rating.lines:
            last: RatedLine = rating.lines[-1]
            other = last._replace(amount=last.amount + Decimal("1E-9"))
            return rating._replace(lines=(*rating.lines[:-1], other))
        case "cost" if rating.cost is not None:
            return rating._replace(cost=rating.cost + 1)
        case "reason":
            return rating._replace(reason="other")
        case "pricing":
            return Rating("unpriced", None, rating.currency, (), "unknown_model")
        case "currency":
            return rating._replace(currency="XXX")
        case _:
            return rating


def _text(rating: Rating) -> list[str | None]:
    cost = None if rating.cost is None else plain(rating.cost)
    lines = lines_json(rating)
    return [
        rating.pricing,
        rating.reason,
        cost,
        rating.currency,
        None if lines == NULL else lines,
    ]


def _asked(book: PriceBook, drawn: list[UsageEvent], stored: list[Rating]) -> list[list[Any]]:
    """The verdict on each event, and what it would be rated at, in texts."""
    combinations = {priced_by(e) for e in drawn}
    rows = [
        {
            "number": number,
            **{name: getattr(event, name) for name in (*_TEXTS, *COUNTS)},
            "batch": event.batch,
            "units": {k: str(v) for k, v in event.units.items()} or None,
            **dict(zip(("pricing", "pricing_reason", "cost", "currency", "lines"), _text(rating),
                       strict=True)),
        }
        for number, (event, rating) in enumerate(zip(drawn, stored, strict=True))
    ]  # fmt: skip
    typed = ", ".join(
        (
            *(
                f"{name} text"
                for name in (*_TEXTS, "pricing", "pricing_reason", "currency", "lines")
            ),
            *(f"{name} integer" for name in ("number", *COUNTS)),
            *("batch boolean", "units json", "cost numeric"),
        )
    )
    relation = f"(SELECT * FROM json_to_recordset(%(rows)s::json) AS told ({typed}))"
    query = (
        f"SELECT e.verdict, {NOW['pricing']}, {NOW['pricing_reason']},"
        f" trim_scale({NOW['cost']})::text, {NOW['currency']}, {NOW['lines']}"
        f" FROM ({verdicts(relation, 'true')}) e ORDER BY e.number"
    )
    with bulk.cursor() as cursor:
        rates = parameters_of(rates_of(book, combinations, DAY), book.currency)
        cursor.execute(query, {"rows": json.dumps(rows), **rates})
        return [list(row) for row in cursor]


_TEXTS = ("provider", "model", "model_executed", "usage", "usage_format", "service_tier", "region",
          "served_from")  # fmt: skip
