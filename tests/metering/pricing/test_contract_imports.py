"""Contracts: prices and discounts for their time, listed first, refused by line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection

from metering.domain.contract_terms import InvalidTerm
from metering.domain.rating import rate
from metering.models import PriceListImport, PriceRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing import catalogue
from metering.pricing.catalogue import GENAI_PRICES, MANUAL, load_book
from metering.pricing.price_imports import (
    UnconfirmedLeaps,
    import_file,
)
from tests.metering.events import call
from tests.metering.pricing.price_files import (
    NOVEMBER,
    OCTOBER,
    contract,
    cost,
    litellm,
    rated,
)


@pytest.mark.django_db
class TestAContract:
    def test_a_discount_on_what_begins_alike_for_its_time_only(self) -> None:
        listed = cost()
        assert listed is not None
        contract("openai,gpt-4o*,2026-10-01,2026-10-20,10")
        assert cost() == listed * Decimal("0.9")
        assert cost(OCTOBER - timedelta(seconds=1)) == listed
        assert cost(datetime(2026, 10, 20, tzinfo=UTC)) == listed
        line = rated().lines[0]
        row = PriceRow.objects.get(id=line.price_id)
        assert row.derived_from is not None
        assert row.book == "contract:acme"
        assert row.discount_percent == Decimal(10)
        assert row.derived_from.model_id == row.model_id

    def test_every_tier_and_threshold_of_the_public_price_is_discounted(self) -> None:
        for different in (
            {"batch": True},
            {"service_tier": "priority"},
            {"model": "gpt-5.4", "input_tokens": 300_000, "cached_input_tokens": 0},
        ):
            contract("openai,*,2026-10-01,,50", name="all")
            with_it = rated(**different)
            public = rate(call(**different), load_book(GENAI_PRICES))
            assert public.cost is not None
            assert with_it.cost == public.cost / 2
            assert with_it.reason == public.reason

    def test_a_price_of_its_own_goes_before_a_discount_on_more(self) -> None:
        contract(
            "openai,gpt-4o-mini,2026-10-01,,,,input,1.00,1000000,USD,",
            "openai,gpt-4o-mini,2026-10-01,,,,cache_read,0.50,1000000,USD,",
            "openai,gpt-4o-mini,2026-10-01,,,,output,4.00,1000000,USD,",
            "openai,*,2026-10-01,,10,,,,,,",
        )
        # 700 at 1.00, 300 at 0.50, 200 at 4.00 for a million
        assert cost() == Decimal("0.00165")
        public = rate(call(model="gpt-4o"), load_book(GENAI_PRICES)).cost
        assert public is not None
        assert cost(model="gpt-4o") == public * Decimal("0.9")
        searched: dict[str, Any] = {"units": {"web_search": Decimal(2)}}
        of_searches = rate(call(**searched), load_book(GENAI_PRICES)).lines[-1]
        assert rated(**searched).lines[-1][:4] == of_searches[:4]

    def test_a_tier_that_the_contract_does_not_name_has_the_public_price(self) -> None:
        contract(
            "openai,gpt-4o-mini,2026-10-01,,,,input,1.00,1000000,USD,",
            "openai,gpt-4o-mini,2026-10-01,,,,cache_read,0.50,1000000,USD,",
            "openai,gpt-4o-mini,2026-10-01,,,,output,4.00,1000000,USD,",
        )
        public = rate(call(batch=True, occurred_at=NOVEMBER), load_book(GENAI_PRICES))
        assert public.reason is None
        assert rated(NOVEMBER, batch=True) == public

    def test_an_alias_prices_what_no_list_knows(self) -> None:
        assert rated(model="our-finetune").reason == "unknown_model"
        import_file(
            "provider,model,valid_from,price_of\nopenai,our-finetune,2026-10-01,gpt-4o-mini\n",
            "own.csv",
            effective_at=NOVEMBER,
        )
        assert cost(model="our-finetune") == cost()
        assert catalogue.books()[0] == MANUAL

    def test_a_later_file_ends_the_price_at_its_date_and_leaves_other_models(self) -> None:
        contract("openai,gpt-4o,2026-10-01,,10", "openai,gpt-4o-mini,2026-10-01,,10")
        result = contract("openai,gpt-4o-mini,2026-11-01,,20", now=NOVEMBER)
        assert {change.kind for change in result.changes} == {"changed"}
        listed = rate(call(), load_book(GENAI_PRICES)).cost
        assert listed is not None
        assert cost() == listed * Decimal("0.9")
        assert cost(NOVEMBER) == listed * Decimal("0.8")
        other = rate(call(model="gpt-4o"), load_book(GENAI_PRICES)).cost
        assert other is not None
        assert cost(NOVEMBER, model="gpt-4o") == other * Decimal("0.9")

    def test_the_same_file_again_changes_nothing(self) -> None:
        contract("openai,gpt-4o*,2026-10-01,,10")
        rows = list(PriceRow.objects.values())
        again = contract("openai,gpt-4o*,2026-10-01,,10", now=NOVEMBER + timedelta(days=3))
        assert (again.added, again.closed) == (0, 0)
        assert list(PriceRow.objects.values()) == rows

    def test_a_longer_term_goes_on_where_the_shorter_ended(self) -> None:
        contract("openai,gpt-4o-mini,2026-10-01,2026-11-01,10")
        first = rated().lines[0].price_id
        contract("openai,gpt-4o-mini,2026-10-01,2026-12-01,10", now=NOVEMBER)
        assert rated().lines[0].price_id == first
        assert rated(NOVEMBER).cost == rated().cost
        assert rated(datetime(2026, 12, 1, tzinfo=UTC)).cost != rated().cost

    def test_it_follows_the_public_list_from_that_lists_date_on(self) -> None:
        import_file(litellm(), "prices.json", effective_at=OCTOBER)
        contract("acme,*,2026-10-01,,50", now=OCTOBER)
        import_file(litellm(input_cost_per_token=3e-06), "p.json", effective_at=NOVEMBER)
        assert cost(provider="acme", model="one") == Decimal("0.0007")
        assert cost(NOVEMBER, provider="acme", model="one") == Decimal("0.0017")
        newest = PriceListImport.objects.filter(book="contract:acme").latest("effective_at")
        assert newest.terms == []
        assert "over genai-prices" in newest.source

    def test_what_is_refused_of_it_names_the_line_and_nothing_is_stored(self) -> None:
        before = PriceListImport.objects.count()
        for row, what in (
            ("openai,gpt-4o,2026-10-01,,,,input,2.5,,USD,", "line 2: per ''"),
            ("openai,gpt-4o,2026-10-01,,,,input,-2.5,1000000,USD,", "is no number of at least 0"),
            ("openai,gpt-4o,2026-10-01,,,,input,NaN,1000000,USD,", "is no number of at least 0"),
            ("openai,gpt-4o,2026-10-01,,,,input,2.5,1000000,DOLLARS,", "no ISO 4217"),
            ("openai,gpt-4o,2026-10-01,,,,flops,2.5,1000000,USD,", "unit 'flops' is not known"),
            ("openai,gpt-4o,2026-10-01,2026-09-01,10,,,,,,", "ends before it starts"),
            ("openai,gpt-4o,,,10,,,,,,", "valid_from is empty"),
            ("openai,gpt-4o,2026-10-01,,110,,,,,,", "110 % is none"),
            ("openai,gpt-4o,2026-10-01,,,,,,,,", "nothing is said"),
        ):
            with pytest.raises(UnreadablePriceList, match=what):
                contract(row)
        for rows, what in (
            (("openai,gpt-99,2026-10-01,,10",), "no public price list has such a model"),
            (
                ("openai,gpt-4o-mini,2026-10-01,,,,input,1,1000000,USD,",),
                "the public list prices cache_read_tokens, output_tokens apart",
            ),
        ):
            with pytest.raises(InvalidTerm, match=what):
                contract(*rows)
        assert PriceListImport.objects.count() == before

    def test_a_price_by_another_unit_than_the_public_one_is_asked_about(self) -> None:
        rows = [
            f"openai,gpt-4o-mini,2026-10-01,,,,{unit},{price},1000,USD,"
            for unit, price in (("input", "0.15"), ("cache_read", "0.075"), ("output", "0.6"))
        ]
        with pytest.raises(UnconfirmedLeaps, match="3 prices"):
            contract(*rows)
        contract(*rows, confirmed=True)
        assert cost() == Decimal("0.2475")

    def test_a_price_put_in_the_place_of_another_is_held_against_it(self) -> None:
        rows = [f"acme,own,2026-10-01,,,,{unit},{{}},1000000,USD," for unit in ("input", "output")]
        contract(*(row.format("2.5") for row in rows))
        with pytest.raises(UnconfirmedLeaps, match=r"acme/own: input_tokens from 2\.5 to 2500 for"):
            contract(*(row.format("2500") for row in rows), now=NOVEMBER + timedelta(days=1))

    def test_two_contracts_cannot_price_one_model_at_a_time(self) -> None:
        contract("openai,gpt-4o*,2026-10-01,,10")
        with pytest.raises(InvalidTerm, match="another contract already prices"):
            contract("openai,gpt-4o-mini,2026-10-15,,20", name="other")
        contract("openai,o3,2026-10-15,,20", name="other")


def test_of_two_imports_at_once_the_second_finds_the_first(fresh_db: str) -> None:
    def one(name: str) -> object:
        try:
            result = contract("openai,gpt-4o*,2026-10-01,,10", name=name)
        except (InvalidTerm, DatabaseError) as error:
            return type(error)
        else:
            return result.added > 0
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        same = list(pool.map(one, ["acme", "acme"]))
        other = list(pool.map(one, ["beta", "gamma"]))
    assert sorted(same, key=str) == [False, True]
    assert other == [InvalidTerm, InvalidTerm]
    assert PriceListImport.objects.filter(book__startswith="contract:").count() == 1
