"""Price rows that cannot be right: the database refuses them by itself."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from metering.domain.prices import Conditions, DailyWindow, Tier, UnitPrice
from metering.domain.units import UNITS
from metering.models import PriceRow
from metering.pricing.catalogue import GENAI_PRICES


@pytest.mark.django_db
class TestWhatTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "prices",
        [
            {"input_tokens": {"per": 1000000, "base": "-1"}},
            {"input_tokens": {"per": 1000000, "base": "NaN"}},
            {"input_tokens": {"per": 0, "base": "1"}},
            {"input_tokens": {"per": 1, "base": "1", "tiers": [[20, "1"], [10, "2"]]}},
            {"input_tokens": {"per": 1, "base": "1", "tiers": [[20, "-1"]]}},
            {"input_tokens": {"per": 1, "base": "1", "minimum": "-1"}},
            {"input_tokens": {"per": 1, "base": "1", "scope": "marginal"}},
            {"input_tokens": {"per": 1, "base": "1", "discount": "1"}},
            {"input_tokens": {"per": 1, "base": 1}},
            {"input_tokens": {"per": 1}},
            {"input_tokens": {"base": "1"}},
            {"": {"per": 1, "base": "1"}},
        ],
    )
    def test_a_price_that_cannot_be_right(self, prices: dict[str, Any]) -> None:
        self.refuses("price_row_can_be_right", unit_prices=prices)

    def test_a_unit_that_nothing_is_counted_in(self) -> None:
        """It would price nothing, and nobody would be told."""
        price = {"per": 1, "base": "1"}
        for unit in ("moons", "input_token", "input_mtok"):
            prices = {"input_tokens": price, unit: price}
            self.refuses("price_row_is_of_known_units", unit_prices=prices)

    def test_every_unit_that_there_is_can_be_priced(self) -> None:
        self.stored(unit_prices={unit: {"per": 1, "base": "1"} for unit in UNITS})

    @pytest.mark.parametrize(
        "conditions",
        [
            {"window": ["25:00:00", "02:00:00"]},
            {"window": ["01:00:00", "01:00:00"]},
            {"window": ["01:00:00"]},
            {"window": ["01:00:00", "02:00:00", "UTC", [8]]},
            {"window": ["01:00:00", "02:00:00", "UTC", [2, 1]]},
            {"window": ["01:00:00", "02:00:00", "UTC", []]},
            {"when": {"service_tier": "FLEX"}},
            {"when": {"service_tier": 1}},
            {"hours": 1},
        ],
    )
    def test_calls_and_hours_that_cannot_be(self, conditions: dict[str, Any]) -> None:
        self.refuses("price_row_bears_on_calls_that_can_be", conditions=conditions)

    def test_a_currency_or_zone_that_is_none(self) -> None:
        self.refuses("price_row_has_a_currency", currency="DOLLARS")
        nowhere = {"window": ["01:00:00", "02:00:00", "Mars/Olympus"]}
        self.refuses("time zone", conditions=nowhere)

    def test_what_the_domain_writes_can_be_stored(self) -> None:
        windows = (
            DailyWindow(time(22), time(6), "Asia/Shanghai", (1, 5)),
            DailyWindow(time(0), time(0), "UTC", (7,)),
            DailyWindow(time(1, 30), time(2)),
        )
        for number, window in enumerate(windows):
            on = Conditions({"service_tier": "flex"}, window)
            self.stored(conditions=on.as_json(), conditions_digest=str(number))
        marginal = UnitPrice(
            1, Decimal("0.5"), (Tier(3, Decimal(1), inclusive=True),), marginal=True
        )
        least = UnitPrice(3600, Decimal("1E-7"), minimum=Decimal(10))
        prices = {"output_tokens": marginal.as_json(), "audio_seconds": least.as_json()}
        self.stored(unit_prices=prices, conditions_digest="prices")

    def refuses(self, constraint: str, **different: Any) -> None:
        with pytest.raises(DatabaseError, match=constraint), transaction.atomic():
            self.stored(**different)

    def stored(self, **different: Any) -> None:
        row = PriceRow.objects.filter(book=GENAI_PRICES).first()
        assert row is not None
        row.pk, row.book = None, "by hand"
        for name, value in different.items():
            setattr(row, name, value)
        row.save(force_insert=True)
