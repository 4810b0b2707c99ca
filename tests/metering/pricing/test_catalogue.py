"""Importing a price list: dated, repeatable, all or nothing, and never rewritten."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from metering.domain.price_book import PricedBy
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, Tier, UnitPrice
from metering.domain.rate_cards import RateCard
from metering.domain.rating import Rating, rate
from metering.domain.usage import UsageEvent
from metering.models import PriceListImport, PriceRow
from metering.pricelists.parsed import ParsedList
from metering.pricing.catalogue import GENAI_PRICES, load_book
from metering.pricing.price_imports import ImportResult, PriceListOutOfOrder, take_over

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
BATCH = Conditions({"processing": "batch"})


def row(price: str, *, model: str = "m", **fields: Any) -> Price:
    prices = {"input_tokens": UnitPrice(1_000_000, Decimal(price), (Tier(10, Decimal(9)),))}
    return Price(id=0, provider="acme", model_id=model, unit_prices=prices, **fields)


def edition(effective_at: datetime, *rows: Price, source: str = "list 1") -> ParsedList:
    models = tuple(
        ListedModel(name, Clause("starts_with", name))
        for name in sorted({r.model_id for r in rows})
    )
    provider = ListedProvider("acme", models, provider_match=Clause("contains", "acme"))
    return ParsedList(PriceList(effective_at, source, (provider,)), rows)


def rated(at: datetime, *, model: str = "m", batch: bool = False, tokens: int = 10) -> Rating:
    event = UsageEvent(
        source="s",
        external_request_id="r",
        provider="acme-eu",
        model=model,
        occurred_at=at,
        input_tokens=tokens,
        output_tokens=0,
        batch=batch,
    )
    return rate(event, load_book("list"))


def unit_price(at: datetime, **call: Any) -> Decimal | None:
    lines = rated(at, **call).lines
    return lines[0].unit_price * 1_000_000 if lines else None


@pytest.mark.django_db
class TestTakingAListOver:
    def test_the_same_edition_again_changes_nothing_at_any_instant(self) -> None:
        first = take_over("list", edition(NOVEMBER, row("1"), row("0.5", conditions=BATCH)))
        assert first[:4] == ("list 1", 2, 0, 0)
        before = list(PriceRow.objects.filter(book="list").values())
        for effective_at in (NOVEMBER, DECEMBER, NOVEMBER - timedelta(days=9)):
            again = edition(effective_at, row("1"), row("0.5", conditions=BATCH))
            assert take_over("list", again)[:4] == ("list 1", 0, 0, 2)
        assert list(PriceRow.objects.filter(book="list").values()) == before
        assert PriceListImport.objects.filter(book="list").count() == 1

    def test_a_changed_price_closes_the_old_row_and_opens_a_new_one(self) -> None:
        take_over("list", edition(NOVEMBER, row("1"), row("7", model="other")))
        result = take_over(
            "list", edition(DECEMBER, row("2"), row("7", model="other"), source="list 2")
        )
        assert result[:4] == ("list 2", 1, 1, 1)
        instant = timedelta(microseconds=1)
        assert unit_price(DECEMBER - instant) == 1
        assert unit_price(DECEMBER) == 2
        assert unit_price(NOVEMBER - timedelta(days=900)) == 1
        old, new = PriceRow.objects.filter(book="list", model_id="m").order_by("id")
        assert (old.valid_to, new.valid_from, new.valid_to) == (DECEMBER, DECEMBER, None)
        assert rated(DECEMBER - instant).lines[0].price_id == old.id
        assert rated(DECEMBER).lines[0].price_id == new.id

    def test_a_newer_edition_does_not_rewrite_the_past_of_what_was_held(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        october = datetime(2026, 10, 1, tzinfo=UTC)
        take_over(
            "list",
            edition(DECEMBER, row("1", valid_to=october), row("3", valid_from=october)),
        )
        assert unit_price(NOVEMBER) == 1
        assert unit_price(DECEMBER) == 3

    def test_of_a_condition_never_held_the_whole_history_is_taken(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        october = datetime(2026, 10, 14, tzinfo=UTC)
        assert rated(NOVEMBER, batch=True).reason == "tier_not_priced:batch"
        take_over(
            "list",
            edition(DECEMBER, row("1"), row("0.5", conditions=BATCH, valid_from=october)),
        )
        assert unit_price(october, batch=True) == Decimal("0.5")
        assert unit_price(october - timedelta(seconds=1), batch=True) == 1

    def test_a_price_taken_back_before_it_began_never_holds(self) -> None:
        january = datetime(2027, 1, 1, tzinfo=UTC)
        take_over(
            "list", edition(NOVEMBER, row("1", valid_to=january), row("4", valid_from=january))
        )
        assert unit_price(january) == 4
        take_over("list", edition(DECEMBER, row("1")))
        assert unit_price(january) == 1
        assert (
            PriceRow.objects.filter(book="list", valid_from=january, valid_to=january).count() == 1
        )
        take_over(
            "list",
            edition(
                DECEMBER + timedelta(days=1),
                row("1", valid_to=january),
                row("4", valid_from=january),
            ),
        )
        assert unit_price(january - timedelta(days=1)) == 1
        assert unit_price(january) == 4

    def test_what_the_list_names_no_more_has_no_price_from_then_on(self) -> None:
        take_over("list", edition(NOVEMBER, row("1"), row("7", model="other")))
        take_over("list", edition(DECEMBER, row("1")))
        assert unit_price(DECEMBER - timedelta(seconds=1), model="other") == 7
        gone = rated(DECEMBER, model="other")
        assert (gone.pricing, gone.cost, gone.reason) == ("unpriced", None, "unknown_model")

    def test_models_are_matched_as_the_list_of_the_calls_time_matched_them(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        take_over("list", edition(DECEMBER, row("1"), row("5", model="m-large")))
        moved = edition(DECEMBER + timedelta(days=9), row("5", model="m-large"), row("1"))
        swapped = replace(
            moved.rules,
            providers=(
                replace(moved.rules.providers[0], models=moved.rules.providers[0].models[::-1]),
            ),
        )
        take_over("list", ParsedList(swapped, moved.prices))
        assert unit_price(DECEMBER, model="m-large-2") == 1
        assert unit_price(DECEMBER + timedelta(days=9), model="m-large-2") == 5

    def test_an_edition_cannot_slip_in_before_another(self) -> None:
        take_over("list", edition(DECEMBER, row("1")))
        with pytest.raises(PriceListOutOfOrder, match=r"took effect at 2026-12-01T00:00:00\+00:00"):
            take_over("list", edition(NOVEMBER, row("2"), source="list 0"))
        assert PriceRow.objects.filter(book="list").count() == 1

    def test_books_do_not_meet(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        take_over("contract", edition(NOVEMBER, row("2")))
        assert unit_price(NOVEMBER) == 1
        assert len(load_book("contract")) == 1


@pytest.mark.django_db
class TestRows:
    def test_nothing_that_a_row_says_can_change(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        changes: tuple[dict[str, Any], ...] = (
            {"unit_prices": {}},
            {"valid_from": NOVEMBER},
            {"currency": "EUR"},
            {"rank": 9},
            {"conditions_digest": "x"},
        )
        for change in changes:
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                PriceRow.objects.filter(book="list").update(**change)

    def test_an_end_moves_only_earlier_and_nothing_is_deleted(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        PriceRow.objects.filter(book="list").update(valid_to=DECEMBER)
        PriceRow.objects.filter(book="list").update(valid_to=NOVEMBER)
        for later in (DECEMBER, None):
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                PriceRow.objects.filter(book="list").update(valid_to=later)
        with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic():
            PriceRow.objects.filter(book="list").delete()
        with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
            PriceListImport.objects.filter(book="list").update(source="other")

    def test_two_prices_of_one_thing_cannot_hold_at_once(self) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        held = PriceRow.objects.get(book="list")
        held.pk = None
        held.valid_from = DECEMBER
        only_one = "one_price_of_a_model_and_condition_at_a_time"
        with pytest.raises(IntegrityError, match=only_one), transaction.atomic():
            held.save(force_insert=True)


@pytest.mark.django_db
class TestThePackagesList:
    def test_stored_and_read_back_it_prices_as_it_did_before(self) -> None:
        from genai_prices.data import providers

        from metering.pricelists.genai_prices import parse_genai_prices

        parsed = parse_genai_prices(providers, source="genai-prices 0.2.3", effective_at=NOVEMBER)
        assert take_over("package", parsed).added == len(parsed.prices) > 2000
        stored = [price for rows in load_book("package")._rows.values() for price in rows]
        assert {_said(price) for price in stored} == {_said(price) for price in parsed.prices}
        assert len(stored) == len(parsed.prices)
        assert {price.source for price in stored} == {"genai-prices 0.2.3"}
        rules = PriceListImport.objects.get(book="package").rules
        assert tuple(ListedProvider.from_json(p) for p in rules) == parsed.rules.providers

    def test_the_book_is_read_once_until_something_is_imported(
        self, django_assert_num_queries: Any
    ) -> None:
        take_over("list", edition(NOVEMBER, row("1")))
        first = load_book("list")
        with django_assert_num_queries(1):
            assert load_book("list") is first
        take_over("list", edition(DECEMBER, row("2")))
        assert load_book("list") is not first

    def test_the_command_says_what_it_did_and_is_harmless_to_repeat(self) -> None:
        out = StringIO()
        call_command("import_prices", "--json", "--from", "genai-prices", stdout=out)
        said = json.loads(out.getvalue())
        rows = PriceRow.objects.filter(book=GENAI_PRICES).count()
        assert said["source"] == f"genai-prices {version('genai-prices')}"
        assert said["added"] + said["unchanged"] == rows > 2000
        out = StringIO()
        call_command("import_prices", stdout=out)
        assert out.getvalue() == (
            f"{said['source']}: 0 price rows added, 0 closed, {rows} unchanged\n"
        )

    def test_what_the_command_imported_is_what_events_are_rated_with(self) -> None:
        call_command("import_prices", stdout=StringIO())
        card = load_book().look_up(PricedBy("openai", "gpt-4o"), DECEMBER)
        assert isinstance(card, RateCard)
        assert card.levels[0].units["input_tokens"].unit_price == Decimal("0.0000025")

    def test_the_command_refuses_another_list_and_an_instant_without_zone(self) -> None:
        with pytest.raises(CommandError, match="litellm cannot be read: No such file"):
            call_command("import_prices", "--from", "litellm")
        with pytest.raises(CommandError, match="has no offset: write it like 2026"):
            call_command("import_prices", "--effective-at", "2026-11-01")


def _said(price: Price) -> tuple[object, ...]:
    return (price.identity, price.valid_from, price.valid_to, price.content)


def test_two_imports_at_once_have_the_effect_of_one(fresh_db: str) -> None:
    def imported() -> ImportResult:
        try:
            return take_over("list", edition(NOVEMBER, row("1"), row("2", model="other")))
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(imported) for _ in range(3)]]
    assert sorted(result.added for result in results) == [0, 0, 2]
    assert PriceRow.objects.filter(book="list").count() == 2
    assert PriceListImport.objects.filter(book="list").count() == 1


def test_an_import_that_breaks_off_leaves_nothing(fresh_db: str) -> None:
    twice = edition(NOVEMBER, row("1"), row("2"))
    with pytest.raises(IntegrityError):
        take_over("list", twice)
    assert PriceRow.objects.filter(book="list").count() == 0
    assert not PriceListImport.objects.filter(book="list").exists()
