"""Rating: lines that add up, and three answers that are never taken for one another."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_book import CACHED_SCHEDULES, PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, Tier, UnitPrice
from metering.domain.rating import Rating, rate
from metering.domain.usage import UsageEvent

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
M = 1_000_000


def per_million(price: str, *tiers: tuple[int, str]) -> UnitPrice:
    return UnitPrice(M, Decimal(price), tuple(Tier(s, Decimal(p)) for s, p in tiers))


TEXT = {
    "input_tokens": per_million("3", (200_000, "6")),
    "cache_read_tokens": per_million("0.3", (200_000, "0.6")),
    "cache_write_tokens": per_million("3.75"),
    "cache_write_1h_tokens": per_million("6"),
    "output_tokens": per_million("15", (200_000, "22.5")),
    "web_searches": UnitPrice(1000, Decimal(10)),
}
MODELS: dict[str, dict[str, UnitPrice]] = {
    "text": TEXT,
    "no-1h": {k: v for k, v in TEXT.items() if k != "cache_write_1h_tokens"},
    "no-write": {k: TEXT[k] for k in ("input_tokens", "output_tokens")},
    "sound": {
        **TEXT,
        "input_audio_tokens": per_million("7"),
        "cache_audio_read_tokens": per_million("0.7"),
        "output_audio_tokens": per_million("40"),
    },
    "thinks": {**TEXT, "output_reasoning_tokens": per_million("20")},
    "asks": {**TEXT, "requests": UnitPrice(1000, Decimal(5))},
    "text-by-general-rules": {**TEXT, "requests": UnitPrice(1000, Decimal(0))},
    "hears": {"audio_seconds": UnitPrice(3600, Decimal("0.111"))},
    "embeds": {"input_tokens": per_million("0.02")},
    "gratis": {"input_tokens": per_million("0"), "output_tokens": per_million("0")},
    "unlisted": {},
}
VARIANTS = {
    ("processing", "batch"): {"output_tokens": per_million("7.5")},
    ("service_tier", "flex"): {"input_tokens": per_million("1"), "output_tokens": per_million("5")},
}


def _book() -> PriceBook:
    prices = [
        Price(number, "acme", model, unit_prices)
        for number, (model, unit_prices) in enumerate(MODELS.items(), start=1)
    ]
    prices += [
        Price(100 + n, "acme", "text", unit_prices, conditions=Conditions({key: value}), rank=-n)
        for n, ((key, value), unit_prices) in enumerate(VARIANTS.items())
    ]
    models = tuple(ListedModel(model, Clause("equals", model)) for model in MODELS)
    seller = ListedProvider("azure", (), fallbacks=("acme",))
    rules = PriceList(NOON, "list", (ListedProvider("acme", models), seller))
    return PriceBook(prices, [rules])


BOOK = _book()
ROW = {model: number for number, model in enumerate(MODELS, start=1)}


def event(model: str = "text", **fields: Any) -> UsageEvent:
    said = {"provider": "acme", "occurred_at": NOON, **fields}
    return UsageEvent(source="s", external_request_id="r", model=model, **said)


def rated(model: str = "text", **fields: Any) -> Rating:
    return rate(event(model, **fields), BOOK)


def quantities(rating: Rating) -> dict[str, int | Decimal]:
    return {line.token_class: line.quantity for line in rating.lines}


class TestLines:
    def test_each_class_has_its_own_line_with_the_row_that_priced_it(self) -> None:
        rating = rated(
            input_tokens=26_000,
            cached_input_tokens=20_000,
            cache_write_tokens=5_000,
            cache_write_1h_tokens=2_000,
            output_tokens=800,
            reasoning_tokens=300,
        )
        assert [tuple(line) for line in rating.lines] == [
            ("input", 1_000, Decimal("0.000003"), Decimal("0.003"), ROW["text"]),
            ("cache_read", 20_000, Decimal("0.0000003"), Decimal("0.006"), ROW["text"]),
            ("cache_write", 3_000, Decimal("0.00000375"), Decimal("0.01125"), ROW["text"]),
            ("cache_write_1h", 2_000, Decimal("0.000006"), Decimal("0.012"), ROW["text"]),
            ("output", 800, Decimal("0.000015"), Decimal("0.012"), ROW["text"]),
        ]
        assert (rating.pricing, rating.cost, rating.currency) == (
            "priced",
            Decimal("0.04425"),
            "USD",
        )
        assert rating.reason is None

    @pytest.mark.parametrize(
        ("model", "total"),
        [("text", "0.02325"), ("no-1h", "0.01875"), ("no-write", "0.015")],
    )
    def test_cache_writes_fall_to_the_next_price_that_there_is(
        self, model: str, total: str
    ) -> None:
        rating = rated(
            model,
            input_tokens=5_000,
            cache_write_tokens=5_000,
            cache_write_1h_tokens=2_000,
            output_tokens=0,
        )
        assert quantities(rating) == {"cache_write": 3_000, "cache_write_1h": 2_000}
        assert rating.cost == Decimal(total)

    def test_an_hourly_write_without_its_total_is_that_total(self) -> None:
        for model in ("text", "asks"):
            rating = rated(model, input_tokens=3_000, cache_write_1h_tokens=2_000, output_tokens=1)
            assert quantities(rating) | {"requests": 1} == {
                "input": 1_000,
                "cache_write_1h": 2_000,
                "output": 1,
                "requests": 1,
            }

    def test_the_request_is_at_one_level_chosen_by_all_of_its_input(self) -> None:
        at = rated(input_tokens=200_000, cached_input_tokens=150_000, output_tokens=10)
        above = rated(input_tokens=200_001, cached_input_tokens=150_000, output_tokens=10)
        assert [line.unit_price * M for line in at.lines] == [3, Decimal("0.3"), 15]
        assert [line.unit_price * M for line in above.lines] == [6, Decimal("0.6"), Decimal("22.5")]

    def test_audio_has_its_own_price_or_that_of_text_under_its_own_name(self) -> None:
        counts: dict[str, Any] = {
            "input_tokens": 100,
            "audio_input_tokens": 40,
            "output_tokens": 10,
        }
        own = rated("sound", audio_output_tokens=4, **counts)
        text = rated(audio_output_tokens=4, **counts)
        expected = {"input": 60, "input_audio": 40, "output": 6, "output_audio": 4}
        assert quantities(own) == quantities(text) == expected
        assert {line.token_class: line.unit_price * M for line in own.lines} == {
            "input": 3,
            "input_audio": 7,
            "output": 15,
            "output_audio": 40,
        }
        assert text.cost == Decimal("0.00045")

    def test_cached_audio_is_told_by_the_source_or_not_at_all(self) -> None:
        counts: dict[str, Any] = {
            "input_tokens": 100,
            "cached_input_tokens": 50,
            "audio_input_tokens": 40,
        }
        told = rated("sound", output_tokens=0, units={"cache_audio_read": Decimal(30)}, **counts)
        assert quantities(told) == {
            "input": 40,
            "cache_read": 20,
            "input_audio": 10,
            "cache_audio_read": 30,
        }
        untold = rated("sound", output_tokens=0, **counts)
        assert untold == Rating("unpriced", None, "USD", (), "cache_audio_read_tokens_not_reported")

    def test_audio_that_costs_what_text_does_may_overlap_what_was_cached(self) -> None:
        rating = rated(
            input_tokens=100, cached_input_tokens=80, audio_input_tokens=70, output_tokens=0
        )
        assert quantities(rating) == {"input": 20, "cache_read": 80}

    def test_reasoning_is_output_unless_it_has_a_price(self) -> None:
        counts: dict[str, Any] = {"input_tokens": 0, "output_tokens": 10, "reasoning_tokens": 4}
        assert quantities(rated(**counts)) == {"output": 10}
        assert quantities(rated("thinks", **counts)) == {
            "output": 6,
            "output_reasoning_tokens": 4,
        }

    def test_units_keep_the_name_they_came_with(self) -> None:
        rating = rated(input_tokens=1, output_tokens=1, units={"web_search": Decimal(3)})
        assert rating.lines[-1].token_class == "web_search"
        assert rating.lines[-1].amount == Decimal("0.03")

    def test_a_price_by_the_call_is_a_line_of_one_request(self) -> None:
        rating = rated("asks", input_tokens=1_000, output_tokens=0)
        assert quantities(rating) == {"input": 1_000, "requests": 1}
        assert rating.cost == Decimal("0.008")

    def test_a_price_that_does_not_terminate_is_rounded_once_and_by_the_line(self) -> None:
        rating = rated("hears", units={"audio_seconds": Decimal(90)})
        [line] = rating.lines
        assert line.amount == rating.cost == Decimal("0.002775")
        assert line.unit_price == Decimal("0.000030833333333333")
        assert rated("hears", units={"audio_seconds": Decimal(1)}).cost == line.unit_price

    def test_the_part_of_a_total_that_was_not_given_is_the_total(self) -> None:
        rating = rated("hears", units={"input_audio_seconds": Decimal(3600)})
        assert rating.cost == Decimal("0.111")


class TestThreeAnswers:
    def test_nothing_used_costs_nothing_and_is_priced(self) -> None:
        assert rated(input_tokens=0, output_tokens=0) == Rating(
            "priced", Decimal(0), "USD", (), None
        )

    def test_used_at_a_price_of_zero_is_free(self) -> None:
        rating = rated("gratis", input_tokens=5, output_tokens=0)
        assert (rating.pricing, rating.cost) == ("free", Decimal(0))
        assert [line.price_id for line in rating.lines] == [ROW["gratis"]]

    def test_a_model_listed_without_any_rate_is_free_and_says_so(self) -> None:
        rating = rated("unlisted", input_tokens=5, output_tokens=5)
        assert rating == Rating("free", Decimal(0), "USD", (), "no_rates_listed")

    def test_the_callers_own_cache_costs_nothing_even_of_an_unknown_model(self) -> None:
        rating = rated("no such model", input_tokens=5, served_from="caller_cache")
        assert rating == Rating("free", Decimal(0), "USD", (), "caller_cache")

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"model": "text-9", "input_tokens": 1, "output_tokens": 1}, "unknown_model"),
            ({"provider": "nobody", "input_tokens": 1}, "unknown_provider"),
            ({}, "no_usage"),
            ({"status": "error"}, "no_usage"),
            ({"input_tokens": 10, "cached_input_tokens": 12, "output_tokens": 1},
             "input_tokens_exceeded"),
            ({"model": "asks", "input_tokens": 10, "cached_input_tokens": 12, "output_tokens": 1},
             "input_tokens_exceeded"),
            ({"input_tokens": 10, "output_tokens": 1, "reasoning_tokens": 2},
             "output_tokens_exceeded"),
            ({"model": "asks", "input_tokens": 10, "output_tokens": 1, "reasoning_tokens": 2},
             "output_tokens_exceeded"),
            ({"input_tokens": -1, "output_tokens": 1}, "negative_count"),
            ({"input_tokens": 1, "output_tokens": -1}, "negative_count"),
            ({"input_tokens": 5, "cached_input_tokens": -1, "output_tokens": 1}, "negative_count"),
            ({"input_tokens": 5, "cache_write_1h_tokens": -1, "cache_write_tokens": 1,
              "output_tokens": 1}, "negative_count"),
            ({"cached_input_tokens": 5}, "input_tokens_not_reported"),
            ({"units": {"gpu_hours": Decimal(1)}}, "not_priced:gpu_hours"),
            ({"input_tokens": 1, "units": {"input": Decimal(1)}}, "counted_twice:input"),
            ({"input_tokens": 1, "units": {"web_search": Decimal("NaN")}}, "negative_count"),
            ({"input_tokens": M, "units": {"web_search": Decimal("1e-90")}},
             "quantity_out_of_range"),
            ({"model": "hears", "input_tokens": 1, "output_tokens": 1}, "not_priced:input"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_priced_is_unpriced_with_its_reason(
        self, fields: dict[str, Any], reason: str
    ) -> None:
        rating = rated(**fields)
        assert rating.pricing == "unpriced"
        assert rating.cost is None
        assert rating.lines == ()
        assert rating.reason is not None
        assert rating.reason.startswith(reason)

    def test_what_has_no_price_beside_what_has_one_is_named(self) -> None:
        rating = rated("embeds", input_tokens=5, output_tokens=7)
        assert (rating.pricing, rating.reason) == ("priced", "not_priced:output")
        assert quantities(rating) == {"input": 5}
        searched = rated("embeds", input_tokens=5, units={"web_search": Decimal(2)})
        assert searched.reason == "not_priced:web_search"
        own = rated(input_tokens=M, output_tokens=0, units={"gpu_hours": Decimal(2)})
        assert (own.cost, own.reason) == (Decimal(6), "not_priced:gpu_hours")

    def test_the_half_that_was_not_reported_is_named(self) -> None:
        assert rated(input_tokens=5).reason == "output_not_reported"
        assert rated(output_tokens=5).reason == "input_not_reported"
        assert rated("embeds", input_tokens=5).reason is None


class TestTiersAndModels:
    def test_a_partial_price_leaves_the_rest_to_the_standard_one(self) -> None:
        rating = rated(input_tokens=10, output_tokens=10, batch=True)
        assert [(line.unit_price * M, line.price_id) for line in rating.lines] == [
            (3, ROW["text"]),
            (Decimal("7.5"), 100),
        ]
        assert rating.reason is None

    def test_of_two_conditions_that_hold_the_first_of_the_list_wins(self) -> None:
        rating = rated(input_tokens=10, output_tokens=10, batch=True, service_tier="flex")
        assert [line.price_id for line in rating.lines] == [101, 100]

    @pytest.mark.parametrize("tier", ["FLEX", "Flex", " flex "])
    def test_tiers_compare_without_regard_to_case(self, tier: str) -> None:
        assert rated(input_tokens=10, output_tokens=0, service_tier=tier).lines[0].price_id == 101

    @pytest.mark.parametrize("tier", ["standard", "default", "auto", "Auto", ""])
    def test_the_standard_tier_has_many_names(self, tier: str) -> None:
        rating = rated(input_tokens=10, output_tokens=0, service_tier=tier)
        assert (rating.lines[0].price_id, rating.reason) == (ROW["text"], None)

    def test_a_tier_without_a_price_is_the_standard_one_and_says_so(self) -> None:
        rating = rated(input_tokens=10, output_tokens=0, service_tier="priority")
        assert (rating.cost, rating.reason) == (Decimal("0.00003"), "tier_not_priced:priority")
        both = rated("no-1h", input_tokens=1, output_tokens=0, service_tier="flex", batch=True)
        assert both.reason == "tier_not_priced:batch,tier_not_priced:flex"

    def test_of_a_resold_model_nothing_is_known_of_the_sellers_tiers(self) -> None:
        rating = rated(provider="azure", input_tokens=10, output_tokens=0, service_tier="flex")
        assert (rating.lines[0].price_id, rating.reason) == (ROW["text"], "tier_not_priced:flex")

    def test_the_executed_model_is_priced_and_any_other_on_request(self) -> None:
        call = event("embeds", model_executed="text", input_tokens=M, output_tokens=0)
        assert rate(call, BOOK).cost == 6
        assert rate(call, BOOK, model="embeds").cost == Decimal("0.02")

    def test_names_that_no_list_knows_do_not_fill_the_memory(self) -> None:
        book = _book()
        for number in range(CACHED_SCHEDULES + 10):
            assert book.find("acme", f"m{number}", NOON) is None
        assert len(book._cache) <= CACHED_SCHEDULES
        assert book.find("acme", "text", NOON) is not None


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
