"""A newer list changes nothing before it takes effect, and everything it says from then on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_changes import price_changes
from metering.domain.prices import Conditions, Price, UnitPrice

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
