"""A newer list changes nothing before it takes effect, and everything it says from then on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_changes import price_changes
from metering.domain.price_differences import Change, in_words
from metering.domain.price_words import unit_price_in_words
from metering.domain.prices import Conditions, DailyWindow, Price, Tier, UnitPrice
from metering.domain.unit_prices import Allowance, Volume

DAY = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = Conditions({"processing": "batch"})


@st.composite
def editions(draw: st.DrawFn) -> list[Price]:
    """Rows of two models and two conditions, with gaps and open ends, never two at an instant."""
    rows: list[Price] = []
    for model in ("a", "b"):
        for on in (Conditions(), BATCH):
            cuts = sorted(draw(st.sets(st.integers(0, 9), max_size=4)))
            bounds: list[int | None] = [None, *cuts, None]
            for start, end in pairwise(bounds):
                if draw(st.booleans()):
                    price = UnitPrice(1000, Decimal(draw(st.integers(1, 3))))
                    rows.append(
                        Price(
                            id=len(rows) + 1,
                            provider="acme",
                            model_id=model,
                            unit_prices={"input_tokens": price},
                            valid_from=None if start is None else DAY + timedelta(days=start),
                            valid_to=None if end is None else DAY + timedelta(days=end),
                            conditions=on,
                        )
                    )
    return rows


def applied(held: list[Price], listed: list[Price], at: datetime) -> list[Price]:
    changes = price_changes(held, listed, at)
    kept = []
    for row in held:
        end = changes.ended.get(row.id, row.valid_to)
        assert row.valid_to is None or (end is not None and end <= row.valid_to)
        if end is None or row.valid_from is None or row.valid_from < end:
            kept.append(replace(row, valid_to=end))
    numbered = (replace(row, id=1000 + i) for i, row in enumerate(changes.added))
    assert changes.unchanged + len(changes.ended) == len(held)
    return kept + list(numbered)


def said_at(rows: Iterable[Price], instant: datetime) -> dict[object, object]:
    holding = [row for row in rows if row.holds_at(instant)]
    said: dict[object, object] = {row.identity: row.content for row in holding}
    assert len(said) == len(holding), "two rows of one thing hold at one instant"
    return said


@given(editions(), editions(), st.integers(-1, 10))
def test_before_the_date_as_held_and_after_it_as_listed(
    held: list[Price], listed: list[Price], day: int
) -> None:
    at = DAY + timedelta(days=day)
    result = applied(held, listed, at)
    known = {row.identity for row in held}
    for hours in range(-48, 12 * 24, 12):
        instant = DAY + timedelta(hours=hours)
        said = said_at(result, instant)
        news = said_at(listed, instant)
        if instant >= at:
            assert said == news
        else:
            never_held = {i: content for i, content in news.items() if i not in known}
            assert said == {**said_at(held, instant), **never_held}


@given(editions(), editions(), st.integers(-1, 10), st.integers(0, 10))
def test_the_same_list_again_changes_nothing(
    held: list[Price], listed: list[Price], day: int, later: int
) -> None:
    at = DAY + timedelta(days=day)
    once = applied(held, listed, at)
    again = price_changes(once, listed, at + timedelta(days=later))
    assert again.ended == {}
    # but of what every announced row was taken back before it held, the history is taken now
    assert not {row.identity for row in again.added} & {row.identity for row in once}


def test_an_announced_change_only_ends_the_row_that_says_the_same_until_then() -> None:
    one, two = UnitPrice(1000, Decimal(1)), UnitPrice(1000, Decimal(2))
    row = Price(7, "acme", "a", {"input_tokens": one})
    soon = DAY + timedelta(days=9)
    listed = [
        replace(row, valid_to=soon),
        replace(row, unit_prices={"input_tokens": two}, valid_from=soon),
    ]
    changes = price_changes([row], listed, DAY)
    assert changes.ended == {7: soon}
    assert [added.valid_from for added in changes.added] == [soon]


def test_a_change_is_told_with_everything_that_a_price_says() -> None:
    now = UnitPrice(1, Decimal(2), (Tier(10, Decimal(1), inclusive=True),), marginal=True)
    least = UnitPrice(1, Decimal(2), minimum=Decimal(5))
    night = DailyWindow(time(22), time(6), "Asia/Shanghai", (1, 5))
    before, after = (
        Price(1, "acme", "m", {"requests": price}, conditions=Conditions({"speed": "fast"}, night))
        for price in (least, now)
    )
    assert in_words(Change(before, after, DAY)) == (
        "acme/m (speed = fast, 22:00 to 06:00 Asia/Shanghai on Mon, Fri): "
        "requests 2 USD per 1; at least 5 are paid for → 2 USD per 1; 1 from 10 of the unit "
        "itself, for what lies beyond from 2026-01-01 00:00 UTC"
    )
    plain_tier = Price(2, "acme", "m", {}, conditions=Conditions({"service_tier": "default"}))
    said = "acme/m (service tier = default): no price of its own, so the standard one"
    assert in_words(Change(None, plain_tier, None)) == said
    assert in_words(Change(plain_tier, None, None)) == said
    free = UnitPrice(1, Decimal(2), allowance=Allowance(Decimal(1500), "day", "g"))
    assert "the first 1,500 of a day are free, shared by g" in unit_price_in_words(free, "USD")
    volume = UnitPrice(1, Decimal(2), volumes=(Volume(Decimal(1000), Decimal(1)),))
    assert "1 beyond 1,000 a month" in unit_price_in_words(volume, "USD")
