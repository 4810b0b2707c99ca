"""Rating at random: the short way is the general one, and no digit of a cost is lost."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Price, UnitPrice
from metering.domain.rating import rate
from tests.metering.domain.rated_calls import (
    MODELS,
    NOON,
    M,
    event,
    quantities,
    rated,
)

counts = st.integers(0, 10**9)
prices = st.decimals(0, 10**5, places=12, allow_nan=False)


@given(
    st.fixed_dictionaries(
        {"input_tokens": st.integers(-1, 300_000), "output_tokens": st.integers(-1, 100)},
        optional={
            "cached_input_tokens": st.integers(-1, 100_000),
            "cache_write_tokens": st.integers(-1, 1_000),
            "cache_write_1h_tokens": st.integers(-1, 1_000),
            "reasoning_tokens": st.integers(-1, 100),
        },
    )
)
def test_the_short_way_for_text_comes_to_what_the_general_one_does(
    reported: dict[str, Any],
) -> None:
    short, general = rated(**reported), rated("text-by-general-rules", **reported)
    assert short.cost == general.cost
    if short.pricing == "unpriced":
        assert general.reason == short.reason
    else:
        assert quantities(general) == {**quantities(short), "requests": 1}


@given(
    st.lists(prices, min_size=5, max_size=5),
    st.lists(counts, min_size=4, max_size=4),
    counts,
    st.sampled_from([1, 1000, M, 10**9]),
)
def test_no_digit_of_a_cost_is_lost(
    amounts: list[Decimal], parts: list[int], output: int, per: int
) -> None:
    units = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
             "output_tokens")  # fmt: skip
    unit_prices = {u: UnitPrice(per, p) for u, p in zip(units, amounts, strict=True)}
    listed = ListedProvider("acme", (ListedModel("m", Clause("equals", "m")),))
    book = PriceBook([Price(1, "acme", "m", unit_prices)], [PriceList(NOON, "l", (listed,))])
    call = event(
        "m",
        input_tokens=sum(parts),
        cached_input_tokens=parts[1],
        cache_write_tokens=parts[2] + parts[3],
        cache_write_1h_tokens=parts[3],
        output_tokens=output,
    )
    rating = rate(call, book)
    numerators = [
        int(amount.scaleb(12)) * count
        for amount, count in zip(amounts, [*parts, output], strict=True)
    ]
    assert rating.cost is not None
    with localcontext(prec=200):
        assert rating.cost * 10**12 * per == sum(numerators)
        assert sum((line.amount for line in rating.lines), Decimal(0)) == rating.cost
    assert sum(line.quantity for line in rating.lines) == sum(parts) + output


@given(
    st.dictionaries(
        st.sampled_from(
            ["input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens",
             "output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
             "image_input_tokens", "image_output_tokens"]
        ),
        st.integers(-3, 10**30),
    ),
    st.dictionaries(
        st.sampled_from(["web_search", "audio_seconds", "cache_audio_read", "requests", "x"]),
        st.decimals(),
    ),
    st.sampled_from(sorted(MODELS)),
)  # fmt: skip
def test_nothing_that_is_reported_makes_rating_fail(
    reported: dict[str, int], units: dict[str, Decimal], model: str
) -> None:
    rating = rated(model, units=units, **reported)
    if rating.pricing == "unpriced":
        assert rating.cost is None
        assert rating.reason
    else:
        assert rating.cost is not None
        assert rating.cost >= 0
