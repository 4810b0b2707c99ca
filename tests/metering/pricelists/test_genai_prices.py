"""As we hold the list, every model, tier and instant costs what the package itself says."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, localcontext
from functools import cache
from itertools import pairwise

import pytest
from genai_prices import Usage, calc_price
from genai_prices import types as listed
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.domain.money import RATING_QUANTUM
from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause
from metering.domain.prices import InvalidPrice, Price
from metering.domain.rating import Rating, rate
from metering.domain.units import OWN, UNITS
from metering.domain.usage import UsageEvent
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricelists.parsed import ParsedList

EFFECTIVE = datetime(2026, 11, 1, tzinfo=UTC)
INSTANTS = (
    datetime(2024, 6, 1, 12, tzinfo=UTC),
    datetime(2025, 6, 9, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2025, 6, 10, tzinfo=UTC),
    datetime(2026, 3, 12, 23, 59, tzinfo=UTC),
    datetime(2026, 8, 17, 2, tzinfo=UTC),
    datetime(2026, 10, 13, 12, tzinfo=UTC),
    datetime(2026, 11, 20, 3, 59, 59, tzinfo=UTC),
    datetime(2026, 11, 20, 4, tzinfo=UTC),
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    datetime(2027, 2, 1, 7, tzinfo=UTC),
)
TIERS: tuple[tuple[str, bool, dict[str, str]], ...] = (
    ("standard", False, {}),
    ("standard", True, {"processing": "batch"}),
    ("flex", False, {"service_tier": "flex"}),
    ("priority", False, {"service_tier": "priority"}),
    ("fast", False, {"service_tier": "fast", "speed": "fast"}),
    ("priority", True, {"service_tier": "priority", "processing": "batch"}),
)
COUNT_OF_FIELD = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "audio_input_tokens": "input_audio_tokens",
    "audio_output_tokens": "output_audio_tokens",
    "image_input_tokens": "input_image_tokens",
    "image_output_tokens": "output_image_tokens",
}


@cache
def parsed() -> ParsedList:
    return parse_genai_prices(providers, source="genai-prices", effective_at=EFFECTIVE)


@cache
def book() -> PriceBook:
    return PriceBook(parsed().prices, [parsed().rules])


def event(
    provider: str,
    model: str,
    at: datetime,
    counts: dict[str, int],
    units: dict[str, Decimal] | None = None,
    *,
    tier: str = "standard",
    batch: bool = False,
) -> UsageEvent:
    return UsageEvent(
        source="s",
        external_request_id="r",
        provider=provider,
        model=model,
        occurred_at=at,
        units=units or {},
        service_tier=tier,
        batch=batch,
        **counts,  # type: ignore[arg-type]
    )


def theirs(call: UsageEvent, context: dict[str, str]) -> Decimal | None:
    """The package's own total; `None` where it finds no price or calls the usage invalid."""
    counts: dict[str, int | Decimal] = {
        count: value
        for field, count in COUNT_OF_FIELD.items()
        if (value := getattr(call, field)) is not None
    }
    counts.update(call.units)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return calc_price(
                Usage(**counts),
                call.model,
                provider_id=call.provider,
                genai_request_timestamp=call.occurred_at,
                price_context=context,
            ).total_price
    except (LookupError, ValueError):
        return None


def same_money(ours: Decimal, reference: Decimal) -> bool:
    """Equal, to the digit where a price by the piece terminates."""
    with localcontext(prec=60):
        return ours == reference or abs(ours - reference) <= RATING_QUANTUM


def check_rating(call: UsageEvent, rating: Rating) -> None:
    """What holds of every rating, whatever the price."""
    assert (rating.cost is None) == (rating.pricing == "unpriced")
    if rating.cost is None:
        assert rating.reason
        assert not rating.lines
        return
    with localcontext(prec=60):
        assert sum((line.amount for line in rating.lines), Decimal(0)) == rating.cost
    assert all(line.quantity > 0 for line in rating.lines)
    assert len({line.token_class for line in rating.lines}) == len(rating.lines)
    if "not_priced" in (rating.reason or "") or rating.reason == "no_rates_listed":
        return
    by_class = {line.token_class: line.quantity for line in rating.lines}
    outputs = sum(q for c, q in by_class.items() if c.startswith("output") and "seconds" not in c)
    inputs = sum(q for c, q in by_class.items() if c.startswith(("cache", "input_a", "input_i")))
    assert inputs + by_class.get("input", 0) == (call.input_tokens or 0)
    assert outputs == (call.output_tokens or 0)


@cache
def names_of(provider_id: str) -> tuple[str, ...]:
    """A name under which each of the provider's models is called, and some that nobody sells."""
    [provider] = (p for p in parsed().rules.providers if p.id == provider_id)
    names = [next(_texts(model.match), model.id) for model in provider.models]
    return (*names, *(model.id for model in provider.models[:20]), "acme-llm-9")


def _texts(clause: Clause) -> Iterator[str]:
    if clause.text:
        yield clause.text
    for inner in clause.clauses:
        yield from _texts(inner)


def test_the_registry_of_units_is_the_packages() -> None:
    theirs_by_name = {
        name: (unit["price_key"], unit["per"], frozenset(unit["dimensions"].items()))
        for name, unit in unit_data.items()
    }
    ours = {name: (u.price_key, u.per, u.dimensions) for name, u in UNITS.items()}
    assert len(theirs_by_name) == 59
    assert {name: ours[name] for name in ours if name not in OWN} == theirs_by_name


@pytest.mark.parametrize("provider", providers, ids=lambda p: p.id)
def test_every_model_at_every_instant_costs_what_the_package_says(
    provider: listed.Provider,
) -> None:
    compared = 0
    for number, ref in enumerate(names_of(provider.id)):
        for shift in range(3):
            at = INSTANTS[(number + 3 * shift) % len(INSTANTS)]
            tier, batch, context = TIERS[(number + shift) % len(TIERS)]
            counts = {
                "input_tokens": (1000, 272_001, 128_001)[shift],
                "cached_input_tokens": (0, 70_000, 333)[shift],
                "cache_write_tokens": (0, 1_500, 0)[shift],
                "output_tokens": (500, 0, 77)[shift],
            }
            call = event(provider.id, ref, at, counts, tier=tier, batch=batch)
            reference = theirs(call, context)
            rating = rate(call, book())
            check_rating(call, rating)
            if reference is None:
                assert rating.pricing == "unpriced", (ref, rating)
            elif rating.cost is None:
                # the package counts 0 where a price list prices nothing that was used
                assert rating.reason
                assert rating.reason.startswith(("not_priced", "tier_not_priced"))
                assert reference == 0
            else:
                compared += 1
                assert same_money(rating.cost, reference), (ref, at, tier, batch, rating)
    assert compared > len(provider.models)


@st.composite
def calls(draw: st.DrawFn) -> tuple[UsageEvent, dict[str, str]]:
    provider = draw(st.sampled_from(providers))
    name = draw(st.sampled_from(names_of(provider.id)))
    tier, batch, context = draw(st.sampled_from(TIERS))
    at = draw(
        st.sampled_from(INSTANTS)
        | st.datetimes(datetime(2024, 1, 1), datetime(2027, 6, 1)).map(  # noqa: DTZ001 - made aware
            lambda moment: moment.replace(tzinfo=UTC)
        )
    )
    sizes = st.sampled_from([0, 1, 1000, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001])
    total = draw(sizes | st.integers(0, 2_000_000))
    output = draw(st.integers(0, 100_000))
    counts = {"input_tokens": total, "output_tokens": output}
    left = total
    for field in ("cached_input_tokens", "cache_write_tokens", "audio_input_tokens"):
        if draw(st.booleans()):
            counts[field] = draw(st.integers(0, left))
            left -= counts[field]
    if "cache_write_tokens" in counts and draw(st.booleans()):
        counts["cache_write_1h_tokens"] = draw(st.integers(0, counts["cache_write_tokens"]))
    if draw(st.booleans()):
        counts["reasoning_tokens"] = draw(st.integers(0, output))
    units = {
        unit: Decimal(draw(st.integers(0, 5000)))
        for unit in draw(
            st.lists(
                st.sampled_from(
                    ["web_searches", "audio_seconds", "input_characters", "storage_searches"]
                ),
                max_size=2,
                unique=True,
            )
        )
    }
    return event(provider.id, name, at, counts, units, tier=tier, batch=batch), context


@given(calls())
@settings(max_examples=600, deadline=None)
def test_any_call_costs_what_the_package_says(
    call_in_context: tuple[UsageEvent, dict[str, str]],
) -> None:
    call, context = call_in_context
    rating = rate(call, book())
    check_rating(call, rating)
    reference = theirs(call, context)
    if reference is None:
        assert rating.cost is None
    elif rating.cost is None:
        assert reference == 0
    else:
        assert same_money(rating.cost, reference), (call, rating, reference)


def test_rows_of_one_model_and_condition_never_overlap() -> None:
    spans: dict[object, list[Price]] = {}
    for price in parsed().prices:
        key = (
            price.provider,
            price.model_id,
            tuple(price.conditions.when.items()),
            price.conditions.window,
        )
        spans.setdefault(key, []).append(price)
    assert any(len(rows) > 2 for rows in spans.values())
    for place, rows in spans.items():
        rows.sort(key=lambda row: row.valid_from or datetime.min.replace(tzinfo=UTC))
        for earlier, later in pairwise(rows):
            assert earlier.valid_to is not None, place
            assert later.valid_from is not None, place
            assert earlier.valid_to <= later.valid_from, place


def test_no_price_shape_of_the_list_is_flattened() -> None:
    prices = parsed().prices
    units = {unit for price in prices for unit in price.unit_prices}
    listed_units = {
        key
        for provider in providers
        for model in provider.models
        for prices_ in (
            [model.prices]
            if isinstance(model.prices, listed.ModelPrice)
            else [conditional.prices for conditional in model.prices]
        )
        for key, value in vars(prices_).items()
        if value is not None
    }
    assert {UNITS[unit].price_key for unit in units} >= listed_units
    assert sum(1 for p in prices for u in p.unit_prices.values() if len(u.tiers) == 2) == 8
    assert sum(1 for p in prices if p.conditions.window) == 8
    whens = {item for price in prices for item in price.conditions.when.items()}
    assert whens == {
        ("processing", "batch"),
        ("service_tier", "default"),
        ("service_tier", "flex"),
        ("service_tier", "priority"),
        ("service_tier", "fast"),
        ("speed", "fast"),
        ("route", "mistral/eu"),
        ("search_type", "fast"),
        ("search_type", "web"),
    }


def test_every_clause_survives_being_written_down() -> None:
    kinds: set[str] = set()
    for provider in parsed().rules.providers:
        optional = (provider.model_match, provider.provider_match)
        for clause in (*(model.match for model in provider.models), *optional):
            if clause is not None:
                written = clause.as_json()
                kinds.update(written)
                assert Clause.from_json(written) == clause
    assert kinds >= {"equals", "or", "starts_with", "contains", "regex", "and"}


def test_a_part_that_the_list_has_and_we_do_not_know_stops_the_import() -> None:
    odd = listed.ModelInfo(
        id="new", match=listed.ClauseEquals("new"), prices=listed.ModelPrice(smell_mtok=Decimal(1))
    )
    provider = replace(providers[0], models=[odd])
    with pytest.raises(InvalidPrice, match=r"anthropic/new: smell_mtok prices no known unit"):
        parse_genai_prices([provider], source="x", effective_at=EFFECTIVE)


def test_a_negative_price_names_its_place() -> None:
    odd = listed.ModelInfo(
        id="new", match=listed.ClauseEquals("new"), prices=listed.ModelPrice(input_mtok=Decimal(-1))
    )
    provider = replace(providers[0], models=[odd])
    with pytest.raises(InvalidPrice, match=r"anthropic/new: input_mtok: .*-1"):
        parse_genai_prices([provider], source="x", effective_at=EFFECTIVE)


def _dated(
    *prices: tuple[listed.StartDateConstraint | listed.TimeOfDateConstraint | None, int],
) -> PriceBook:
    model = listed.ModelInfo(
        id="m",
        match=listed.ClauseEquals("m"),
        prices=[
            listed.ConditionalPrice(constraint, prices=listed.ModelPrice(input_mtok=Decimal(price)))
            for constraint, price in prices
        ],
    )
    parsed_list = parse_genai_prices(
        [replace(providers[0], models=[model])], source="x", effective_at=EFFECTIVE
    )
    return PriceBook(parsed_list.prices, [parsed_list.rules])


def _cost(prices: PriceBook, at: datetime) -> Decimal | None:
    return rate(
        event("anthropic", "m", at, {"input_tokens": 1_000_000, "output_tokens": 0}), prices
    ).cost


def test_the_last_active_price_of_the_list_wins_whatever_its_start() -> None:
    start = listed.StartDateConstraint
    day = datetime(2026, 1, 1, tzinfo=UTC)
    prices = _dated(
        (None, 1),
        (start((day + timedelta(days=20)).date()), 2),
        (listed.TimeOfDateConstraint(time(22), time(2)), 3),
        (start((day + timedelta(days=10)).date()), 4),
    )
    assert _cost(prices, day) == 3
    assert _cost(prices, day + timedelta(hours=2)) == 1
    assert _cost(prices, day + timedelta(hours=21, minutes=59)) == 1
    assert _cost(prices, day + timedelta(hours=22)) == 3
    assert _cost(prices, day + timedelta(days=10)) == 4
    assert _cost(prices, day + timedelta(days=30)) == 4


def test_where_no_price_of_the_list_has_begun_the_first_one_holds() -> None:
    start = listed.StartDateConstraint
    day = datetime(2026, 1, 1, tzinfo=UTC)
    prices = _dated((start(day.date()), 1), (start((day + timedelta(days=9)).date()), 2))
    assert _cost(prices, day - timedelta(days=400)) == 1
    assert _cost(prices, day + timedelta(days=9)) == 2
