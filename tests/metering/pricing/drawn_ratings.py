"""Drawn calls, and drawn books of prices that may bear on them in every way that there is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from metering.domain.layered_prices import LayeredPriceBook
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, DailyWindow, Price, Tier, UnitPrice
from metering.domain.usage import COUNTS, Share, UsageEvent
from tests.metering.domain import rated_calls

DAY = Period.of_day(rated_calls.NOON.date())
START = datetime(2020, 1, 1, tzinfo=UTC)
UNITS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
         "output_tokens", "requests", "output_reasoning_tokens", "web_searches", "audio_seconds",
         "input_characters", "input_audio_tokens", "output_images")  # fmt: skip

instants = st.datetimes(
    DAY.start.replace(tzinfo=None),
    (DAY.end - timedelta(microseconds=1)).replace(tzinfo=None),
    timezones=st.just(UTC),
)
rarely = st.integers(0, 7).map(lambda n: n == 0)
amounts = st.decimals(0, 10**6, places=9) | st.sampled_from([Decimal(0), Decimal("1E-28")])


@st.composite
def unit_prices(draw: st.DrawFn) -> UnitPrice:
    tiers = [(draw(st.sampled_from([100, 200_000])), draw(amounts))] if draw(rarely) else []
    return UnitPrice(
        3600 if draw(rarely) else draw(st.sampled_from([1, 1000, 10**6])),
        draw(amounts),
        tuple(Tier(start, price) for start, price in tiers),
        marginal=draw(rarely) if tiers else False,
        minimum=Decimal(10) if draw(rarely) and not tiers else None,
    )


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    """A model with prices of its own, of a tier and of a batch; one of them may change or hold at
    some hours only."""
    each = st.dictionaries(st.sampled_from(UNITS[:5]), unit_prices(), max_size=5)
    most = st.fixed_dictionaries({unit: unit_prices() for unit in UNITS[:5]})
    some = st.dictionaries(st.sampled_from(UNITS), unit_prices(), max_size=9)
    change = draw(instants) if draw(rarely) else None
    window = DailyWindow(time(1), time(13)) if draw(rarely) else None
    rows = [Price(1, "acme", "m", draw(some if draw(rarely) else most), START, change)]
    if change is not None:
        rows.append(Price(2, "acme", "m", draw(most), change))
    if window is not None:
        rows.append(Price(3, "acme", "m", draw(most), conditions=Conditions(window=window), rank=1))
    for number, when in enumerate(
        ({"service_tier": "flex"}, {"processing": "batch"}, {"region": "eu"})
    ):
        if draw(st.booleans()):
            rows.append(
                Price(10 + number, "acme", "m", draw(each), conditions=Conditions(when), rank=-1)
            )
    listed = ListedProvider("acme", (ListedModel("m", Clause("equals", "m")),))
    return PriceBook(rows, [PriceList(START, "list", (listed,))], currency="EUR")


layered = st.builds(
    lambda first, second: LayeredPriceBook([("one", first), ("two", second)], lists=("one", "two")),
    books(),
    books(),
)

units = st.dictionaries(
    st.sampled_from(["web_search", "audio_seconds", "input_characters", "output_images", "moons"]),
    st.decimals(0, 1000, places=2),
    max_size=3,
)
usages = st.sampled_from(
    [
        (None, None),
        ('{"input_tokens": 5}', "anthropic"),
        (
            '{"iterations": [{"type": "message", "input_tokens": 5, "output_tokens": 3}]}',
            "anthropic",
        ),
        ('{"iterations": "of nothing"}', "openai"),
    ]
)


@st.composite
def counts(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly of text, and such that the classes do not overlap; else anything a column can hold."""
    small, large = st.integers(0, 300), st.integers(0, 2**31 - 1)
    if draw(st.integers(0, 3)):
        read, write, hourly, more = (draw(st.just(0) | small) for _ in range(4))
        output = draw(small)
        return {
            "input_tokens": read + max(write, hourly) + more + draw(st.sampled_from([0, 200_000])),
            "cached_input_tokens": read or None,
            "cache_write_tokens": write,
            "cache_write_1h_tokens": hourly or None,
            "output_tokens": output,
            "reasoning_tokens": draw(st.none() | st.integers(0, output)),
        }
    return {name: draw(st.none() | small | large) for name in COUNTS}


@st.composite
def events(draw: st.DrawFn) -> UsageEvent:
    usage, usage_format = draw(usages)
    return UsageEvent(
        source="s",
        external_request_id="r",
        provider="nobody" if draw(rarely) else "acme",
        model="unknown" if draw(rarely) else "m",
        model_executed=draw(st.none() | st.sampled_from(["m", ""])),
        occurred_at=draw(instants),
        **draw(counts()),
        units=draw(units) if draw(rarely) else {},
        usage=usage,
        usage_format=usage_format,
        service_tier=draw(st.sampled_from(["standard", "standard", "flex", "provisioned"])),
        batch=draw(st.booleans()),
        region=draw(st.none() | st.just("eu")),
        served_from="caller_cache" if draw(rarely) else "provider",
    )


@st.composite
def plain_books(draw: st.DrawFn) -> PriceBook:
    """A model whose price is one that the database can rate by: perhaps by length, perhaps free."""
    price = st.just(Decimal(0)) if draw(rarely) else st.decimals(0, 100, places=6)
    above = draw(st.sampled_from([(), (100,), (100, 200_000)]))
    most = {
        unit: UnitPrice(10**6, draw(price), tuple(Tier(start, draw(price)) for start in above))
        for unit in UNITS[:5]
    }
    rows = [Price(draw(st.integers(1, 5)), "acme", "m", most, START)]
    listed = ListedProvider("acme", (ListedModel("m", Clause("equals", "m")),))
    currency = "EUR" if draw(rarely) else "USD"
    return PriceBook(rows if draw(st.integers(0, 5)) else [], [PriceList(START, "list", (listed,))],
                     currency=currency)  # fmt: skip


@st.composite
def plain_events(draw: st.DrawFn) -> UsageEvent:
    """A call of text of that model, perhaps shared."""
    counted = st.integers(0, 300)
    read, hourly, write, more, output = (draw(counted) for _ in range(5))
    event = UsageEvent(
        source="s",
        external_request_id="r",
        provider="acme",
        model="m",
        occurred_at=draw(instants),
        input_tokens=read + hourly + write + more,
        cached_input_tokens=read,
        cache_write_tokens=hourly + write,
        cache_write_1h_tokens=hourly,
        output_tokens=output,
    )
    return draw(shared(event))


@st.composite
def shared(draw: st.DrawFn, event: UsageEvent) -> UsageEvent:
    """Every second one shared by up to four tenants, who may leave something or nothing."""
    if draw(st.booleans()):
        return event
    left_in, left_out = event.input_tokens or 0, event.output_tokens or 0
    shares = []
    for tenant in draw(st.lists(st.sampled_from(["acme", "globex", "initech"]), max_size=4)):
        # (equal ones have equal remainders)
        into, out = (
            draw(st.integers(0, left) | st.just(left // 3)) for left in (left_in, left_out)
        )
        shares.append(Share(tenant_id=tenant, input_tokens=into, output_tokens=out))
        left_in, left_out = left_in - into, left_out - out
    return msgspec.structs.replace(event, shares=tuple(shares))
