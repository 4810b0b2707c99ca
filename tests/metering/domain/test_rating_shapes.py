"""The shapes a price can have: thresholds, parts, minimums, windows, regions, reserved capacity."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, DailyWindow, Price, Tier, UnitPrice
from metering.domain.rating import RATED_FIELDS, Rating, rate
from metering.domain.unit_prices import Allowance, Volume
from metering.domain.usage import UsageEvent

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
M = 1_000_000


def per_million(price: str, *tiers: Tier, **more: Any) -> UnitPrice:
    return UnitPrice(M, Decimal(price), tiers, **more)


STANDARD = {"input_tokens": per_million("3"), "output_tokens": per_million("15")}


def book_of(*rows: Price) -> PriceBook:
    models = (ListedModel("m", Clause("equals", "m")),)
    return PriceBook(rows, [PriceList(NOON, "list", (ListedProvider("acme", models),))])


def row(
    unit_prices: dict[str, UnitPrice],
    id: int = 1,
    window: DailyWindow | None = None,
    rank: int = 0,
    currency: str = "USD",
    **when: str,
) -> Price:
    on = Conditions(when, window)
    return Price(
        id, "acme", "m", unit_prices, conditions=on, rank=rank, currency=currency, source="list"
    )


def call(book: PriceBook, at: datetime = NOON, **fields: Any) -> Rating:
    event = UsageEvent(
        source="s",
        external_request_id="r",
        provider="acme",
        model=fields.pop("model", "m"),
        occurred_at=at,
        **fields,
    )
    return rate(event, book)


def lines(rating: Rating) -> list[tuple[str, int, Decimal]]:
    return [(line.token_class, int(line.quantity), line.amount) for line in rating.lines]


class TestThresholds:
    def test_an_inclusive_threshold_prices_the_request_that_meets_it(self) -> None:
        tier = Tier(200_000, Decimal(6), inclusive=True)
        book = book_of(row({"input_tokens": per_million("3", tier)}))
        assert call(book, input_tokens=199_999, output_tokens=0).cost == Decimal("0.599997")
        assert call(book, input_tokens=200_000, output_tokens=0).cost == Decimal("1.2")

    def test_both_kinds_of_threshold_may_stand_on_one_card(self) -> None:
        book = book_of(
            row(
                {
                    "input_tokens": per_million("1", Tier(100, Decimal(2), inclusive=True)),
                    "output_tokens": per_million("10", Tier(100, Decimal(20))),
                }
            )
        )
        costs = [call(book, input_tokens=n, output_tokens=M).cost for n in (99, 100, 101)]
        assert costs == [Decimal("10.000099"), Decimal("10.0002"), Decimal("20.000202")]

    def test_a_marginal_price_asks_more_only_for_what_lies_beyond(self) -> None:
        book = book_of(
            row(
                {
                    "input_tokens": per_million(
                        "1", Tier(100, Decimal(2)), Tier(200, Decimal(4)), marginal=True
                    ),
                    "output_tokens": per_million("10"),
                }
            )
        )
        rating = call(book, input_tokens=250, output_tokens=1)
        assert lines(rating) == [
            ("input", 100, Decimal("0.0001")),
            ("input_above_100", 100, Decimal("0.0002")),
            ("input_above_200", 50, Decimal("0.0002")),
            ("output", 1, Decimal("0.00001")),
        ]
        assert rating.cost == sum(line.amount for line in rating.lines)
        assert lines(call(book, input_tokens=100, output_tokens=0)) == [
            ("input", 100, Decimal("0.0001"))
        ]

    @given(
        st.lists(st.integers(1, 1000), unique=True, min_size=1, max_size=4).map(sorted),
        st.integers(0, 2000),
    )
    def test_one_unit_more_never_costs_more_than_its_own_marginal_price(
        self, starts: list[int], count: int
    ) -> None:
        tiers = tuple(Tier(start, Decimal(i + 2)) for i, start in enumerate(starts))
        book = book_of(row({"web_searches": UnitPrice(1, Decimal(1), tiers, marginal=True)}))
        costs = [
            call(book, units={"web_search": Decimal(n)}).cost or Decimal(0)
            for n in (count, count + 1)
        ]
        reached = sum(1 for start in starts if count >= start)
        assert costs[1] - costs[0] == reached + 1


class TestMinimum:
    book = book_of(row({"audio_seconds": UnitPrice(3600, Decimal("0.36"), minimum=Decimal(10))}))

    def test_what_is_missing_to_the_minimum_is_a_line_of_its_own(self) -> None:
        rating = call(self.book, units={"audio_seconds": Decimal(4)})
        assert lines(rating) == [
            ("audio_seconds", 4, Decimal("0.0004")),
            ("audio_seconds_to_minimum", 6, Decimal("0.0006")),
        ]
        assert rating.cost == Decimal("0.001")

    @pytest.mark.parametrize(("seconds", "cost"), [("10", "0.001"), ("90", "0.009")])
    def test_who_uses_as_much_pays_for_what_was_used(self, seconds: str, cost: str) -> None:
        rating = call(self.book, units={"audio_seconds": Decimal(seconds)})
        assert (len(rating.lines), rating.cost) == (1, Decimal(cost))

    def test_who_uses_nothing_pays_nothing(self) -> None:
        assert call(self.book, units={"audio_seconds": Decimal(0)}).cost == 0

    def test_a_minimum_of_tokens_is_not_overlooked_by_the_short_way_for_text(self) -> None:
        book = book_of(row({**STANDARD, "input_tokens": per_million("3", minimum=Decimal(1000))}))
        assert call(book, input_tokens=1, output_tokens=0).cost == Decimal("0.003")


class TestPeriodPrices:
    @pytest.mark.parametrize(
        "by_period",
        [
            {"allowance": Allowance(Decimal(1500), "day")},
            {"volumes": (Volume(Decimal(10), Decimal(1)),)},
        ],
    )
    def test_what_hangs_on_the_period_never_enters_an_events_cost(
        self, by_period: dict[str, Any]
    ) -> None:
        plain = UnitPrice(1000, Decimal(14))
        graduated = UnitPrice(1000, Decimal(14), **by_period)
        used = {"web_search": Decimal(50)}
        ratings = [call(book_of(row({"web_searches": p})), units=used) for p in (plain, graduated)]
        assert ratings[0] == ratings[1]
        assert ratings[0].cost == Decimal("0.7")


class TestWindows:
    off_peak = (
        DailyWindow(time(16), time(0), weekdays=(1, 2, 3, 4, 5)),
        DailyWindow(time(0), time(0), weekdays=(6, 7)),
    )
    book = book_of(
        row(STANDARD),
        *(
            row(STANDARD | {"input_tokens": per_million("1")}, id=2 + n, window=w, rank=1)
            for n, w in enumerate(off_peak)
        ),
    )

    @pytest.mark.parametrize(
        ("at", "price_id"),
        [
            ("2026-11-20T15:59:59", 1),  # Friday
            ("2026-11-20T16:00:00", 2),
            ("2026-11-21T00:00:00", 3),  # Saturday
            ("2026-11-21T12:00:00", 3),
            ("2026-11-22T23:59:59", 3),
            ("2026-11-23T00:00:00", 1),  # Monday
        ],
    )
    def test_weekends_have_prices_of_their_own(self, at: str, price_id: int) -> None:
        instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
        rating = call(self.book, instant, input_tokens=M, output_tokens=0)
        assert [line.price_id for line in rating.lines] == [price_id]

    def test_the_same_instant_in_another_zone_costs_the_same(self) -> None:
        local = datetime.fromisoformat("2026-11-21T07:30:00+08:00")
        assert call(self.book, local, input_tokens=M, output_tokens=0).lines[0].price_id == 2

    def test_a_tier_may_have_hours(self) -> None:
        night = DailyWindow(time(22), time(6), "Europe/Berlin")
        book = book_of(
            row(STANDARD),
            row({"input_tokens": per_million("1")}, 2, night, service_tier="flex"),
        )
        inside, outside = NOON.replace(hour=21), NOON.replace(hour=20)
        costs = [
            call(book, at, input_tokens=M, output_tokens=0, service_tier="flex")
            for at in (inside, outside)
        ]
        assert [(rating.cost, rating.reason) for rating in costs] == [
            (Decimal(1), None),
            (Decimal(3), "tier_not_priced:flex"),
        ]


class TestRegions:
    book = book_of(
        row(STANDARD),
        row({"input_tokens": per_million("3.3")}, 2, region="us"),
        row({"input_tokens": per_million("6")}, 3, speed="fast"),
        row({"input_tokens": per_million("6.6")}, 4, rank=1, region="us", speed="fast"),
    )

    @pytest.mark.parametrize(
        ("fields", "cost"),
        [
            ({}, "3"),
            ({"region": "us"}, "3.3"),
            ({"region": "US"}, "3.3"),
            ({"region": "eu"}, "3"),
            ({"service_tier": "fast"}, "6"),
            ({"service_tier": "fast", "region": "us"}, "6.6"),
        ],
    )
    def test_a_region_may_have_its_price(self, fields: dict[str, Any], cost: str) -> None:
        rating = call(self.book, input_tokens=M, output_tokens=0, **fields)
        assert (rating.cost, rating.reason) == (Decimal(cost), None)

    def test_a_region_that_was_priced_is_no_price_of_a_tier(self) -> None:
        rating = call(self.book, input_tokens=M, output_tokens=0, region="us", service_tier="flex")
        assert (rating.cost, rating.reason) == (Decimal("3.3"), "tier_not_priced:flex")


class TestReservedCapacity:
    @pytest.mark.parametrize("tier", ["provisioned", "PTU", "Provisioned_Throughput"])
    def test_what_is_paid_by_the_hour_is_free_by_the_piece(self, tier: str) -> None:
        rating = call(book_of(row(STANDARD)), input_tokens=M, output_tokens=9, service_tier=tier)
        assert rating == Rating("free", Decimal(0), "USD", (), "provisioned_throughput")

    def test_so_is_a_model_of_ones_own_that_no_list_knows(self) -> None:
        book = book_of(row(STANDARD))
        own = call(book, model="ours", input_tokens=M, output_tokens=9, service_tier="ptu")
        assert (own.pricing, own.reason) == ("free", "provisioned_throughput")

    def test_no_usage_at_all_stays_unknown(self) -> None:
        assert call(book_of(row(STANDARD)), service_tier="ptu").reason == "no_usage"

    def test_a_price_for_the_tier_is_asked(self) -> None:
        book = book_of(row(STANDARD), row(STANDARD, 2, service_tier="provisioned"))
        rating = call(book, input_tokens=M, output_tokens=0, service_tier="ptu")
        assert [line.price_id for line in rating.lines] == [2]


def test_a_partial_price_in_another_currency_prices_nothing() -> None:
    book = book_of(row(STANDARD), row(STANDARD, 2, currency="EUR", service_tier="flex"))
    rating = call(book, input_tokens=1, output_tokens=1, service_tier="flex")
    assert (rating.pricing, rating.reason) == ("unpriced", "currencies_differ")
    assert call(book, input_tokens=M, output_tokens=0).cost == 3


@pytest.mark.parametrize(
    ("sent", "unit", "per"),
    [
        ("images", "output_images", 1),
        ("input_images", "input_images", 1),
        ("output_video_seconds", "output_video_seconds", 1),
        ("output_characters", "output_characters", M),
        ("maps_grounding", "maps_queries", 1000),
        ("sessions", "code_sessions", 1),
        ("pages", "input_document_pages", 1000),
        ("rerank", "rerank_searches", 1000),
        ("storage_gb_days", "storage_gb_days", 1),
    ],
)
def test_every_kind_of_unit_has_a_price(sent: str, unit: str, per: int) -> None:
    rating = call(book_of(row({unit: UnitPrice(per, Decimal(2))})), units={sent: Decimal(per)})
    assert lines(rating) == [(sent, per, Decimal(2))]


def test_an_event_is_rated_by_the_fields_that_are_named_for_it() -> None:
    book, read = book_of(row(STANDARD)), set[str]()

    class Watched:
        def __init__(self, event: UsageEvent) -> None:
            self._event = event

        def __getattr__(self, name: str) -> object:
            read.add(name)
            return getattr(self._event, name)

    def events() -> Iterable[UsageEvent]:
        fields: list[dict[str, Any]] = [
            {},
            {"audio_input_tokens": 1},
            {"units": {"requests": Decimal(1)}},
        ]
        for more in fields:
            yield UsageEvent(
                source="s",
                external_request_id="r",
                provider="acme",
                model="m",
                occurred_at=NOON,
                input_tokens=3,
                output_tokens=1,
                **more,
            )

    for event in events():
        rate(Watched(event), book)  # type: ignore[arg-type]
    assert read <= {*RATED_FIELDS}
