"""Price files and contracts: listed before they are applied, refused by name, never flattened."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from metering.domain.contract_terms import InvalidTerm
from metering.domain.prices import Conditions, DailyWindow, Tier, UnitPrice
from metering.domain.rating import Rating, rate
from metering.models import PriceListImport, PriceRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing import catalogue
from metering.pricing.catalogue import GENAI_PRICES, LITELLM, MANUAL, load_book
from metering.pricing.price_imports import (
    ImportResult,
    UnconfirmedLeaps,
    import_contract,
    import_file,
)
from tests.metering.events import NOON, call

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
HEAD = "provider,model,valid_from,valid_to,discount_percent,price_of,unit,price,per,currency,when\n"


def litellm(**prices: Any) -> str:
    plain = {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06}
    return json.dumps({"acme/one": {**plain, "output_cost_per_token": 2e-06, **prices}})


def contract(*rows: str, name: str = "acme", **how: Any) -> ImportResult:
    now = how.pop("now", NOVEMBER)
    text = HEAD + "\n".join(rows)
    return import_contract(text, "terms.csv", book=f"contract:{name}", now=now, **how)


def cost(at: datetime = NOON, **different: Any) -> Decimal | None:
    return rated(at, **different).cost


def rated(at: datetime = NOON, **different: Any) -> Rating:
    return rate(call(occurred_at=at, **different), load_book())


@pytest.mark.django_db
class TestAFileOfPrices:
    def test_it_fills_in_what_the_list_before_it_does_not_know(self) -> None:
        of_genai = cost()
        assert rated(provider="acme", model="acme/one").pricing == "unpriced"
        result = import_file(litellm(), "prices.json", effective_at=NOVEMBER)
        assert result[1:4] == (1, 0, 0)
        assert cost(provider="acme", model="one") == Decimal("0.0014")
        assert cost() == of_genai

    def test_twice_is_harmless_and_then_nothing_differs(self) -> None:
        import_file(litellm(), "prices.json", effective_at=NOVEMBER)
        rows = list(PriceRow.objects.values())
        again = import_file(litellm(), "prices.json", effective_at=NOVEMBER + timedelta(days=9))
        assert (again.added, again.closed, again.changes) == (0, 0, ())
        assert list(PriceRow.objects.values()) == rows

    def test_what_would_change_is_listed_and_nothing_stored(self) -> None:
        import_file(litellm(), "prices.json", effective_at=OCTOBER)
        rows = list(PriceRow.objects.values())
        dearer = litellm(input_cost_per_token=3e-06)
        said = import_file(dearer, "p.json", effective_at=NOVEMBER, dry_run=True)
        [change] = said.changes
        assert (change.kind, change.at) == ("changed", NOVEMBER)
        assert list(PriceRow.objects.values()) == rows
        done = import_file(dearer, "p.json", effective_at=NOVEMBER)
        assert done.changes == said.changes
        old, new = PriceRow.objects.filter(book=LITELLM).order_by("id")
        assert (old.valid_to, new.valid_from) == (NOVEMBER, NOVEMBER)

    def test_a_model_that_cannot_be_taken_any_more_keeps_its_price(self) -> None:
        import_file(litellm(), "prices.json", effective_at=OCTOBER)
        broken = litellm(input_cost_per_token="1e-6", output_cost_per_token=5e-6)
        result = import_file(broken, "prices.json", effective_at=NOVEMBER)
        assert result[1:4] == (0, 0, 1)
        [refused] = result.refused
        assert refused.model_id == "acme/one"
        assert "no number" in refused.reason
        assert cost(NOVEMBER, provider="acme", model="one") == Decimal("0.0014")
        stored = PriceListImport.objects.filter(book=LITELLM).latest("effective_at").refused
        assert stored == [refused._asdict()]

    @pytest.mark.parametrize("factor", [1000, "1/1000"])
    def test_a_change_of_unit_is_refused_unless_it_is_meant(self, factor: object) -> None:
        import_file(litellm(), "prices.json", effective_at=OCTOBER)
        price = 1e-03 if factor == 1000 else 1e-09
        scaled = litellm(input_cost_per_token=price)
        with pytest.raises(UnconfirmedLeaps, match="acme/one: input_tokens from 1 to"):
            import_file(scaled, "prices.json", effective_at=NOVEMBER)
        assert PriceListImport.objects.filter(book=LITELLM).count() == 1
        import_file(scaled, "prices.json", effective_at=NOVEMBER, confirmed=True)
        assert PriceRow.objects.filter(book=LITELLM).count() == 2

    def test_a_leap_is_told_beside_what_would_change(self, tmp_path: Path) -> None:
        import_file(litellm(), "prices.json", effective_at=OCTOBER)
        (tmp_path / "p.json").write_text(litellm(input_cost_per_token=1e-03))
        out = StringIO()
        call_command("import_prices", str(tmp_path / "p.json"), "--dry-run", stdout=out)
        assert (
            "changed acme/acme/one (standard): input 1 USD per 1,000,000 → 1000" in out.getvalue()
        )
        assert "needs --confirm: 1 price would change by more than 100 times" in out.getvalue()
        with pytest.raises(CommandError, match="import with --confirm"):
            call_command("import_prices", str(tmp_path / "p.json"))

    def test_a_list_that_counts_by_another_unit_from_the_start_is_asked_about(self) -> None:
        of_genai = {"litellm_provider": "openai", "input_cost_per_token": 0.15}
        scaled = json.dumps({"gpt-4o-mini": {**of_genai, "mode": "chat"}})
        with pytest.raises(UnconfirmedLeaps, match="openai/gpt-4o-mini: input_tokens from"):
            import_file(scaled, "prices.json", effective_at=NOVEMBER)
        right = scaled.replace("0.15", "1.5e-07")
        import_file(right, "prices.json", effective_at=NOVEMBER)

    def test_a_model_that_comes_back_is_held_against_the_price_it_had(self) -> None:
        both = json.loads(litellm()) | {"acme/two": json.loads(litellm())["acme/one"]}
        import_file(json.dumps(both), "prices.json", effective_at=OCTOBER)
        del both["acme/two"]
        import_file(json.dumps(both), "prices.json", effective_at=NOVEMBER)
        both["acme/two"] = json.loads(litellm(input_cost_per_token=1e-03))["acme/one"]
        with pytest.raises(UnconfirmedLeaps, match="acme/two"):
            import_file(json.dumps(both), "prices.json", effective_at=NOVEMBER + timedelta(days=1))

    def test_no_character_of_a_file_keeps_it_from_being_taken(self) -> None:
        entry = {"litellm_provider": "acme", "cost_of_\x00\ud800": "\x00", "mode": "\x00"}
        text = json.dumps({"acme/odd": entry, "m\x00": entry, **json.loads(litellm())})
        result = import_file(text, "prices.json", effective_at=NOVEMBER)
        assert result.added == 1
        assert r"cost_of_\x00\ud800" in {each.what for each in result.refused}
        assert PriceListImport.objects.latest("id").refused == [
            each._asdict() for each in result.refused
        ]

    def test_no_price_file_at_all(self, tmp_path: Path) -> None:
        for text, what in (
            (litellm()[:-9], "no whole JSON"),
            ('{"a": {"litellm_provider": "b", "input_cost_per_token": NaN}}', "NaN is no price"),
            ('{"a": 1, "a": 2}', "written twice"),
            ('{"models": {}}', "neither LiteLLM's"),
            ("provider;model\n", "no column"),
        ):
            with pytest.raises(UnreadablePriceList, match=what):
                import_file(text, "prices.json", effective_at=NOVEMBER)
        assert not PriceListImport.objects.exclude(book=GENAI_PRICES).exists()
        (tmp_path / "p.json").write_text(litellm(input_cost_per_token=-1))
        out = StringIO()
        call_command("import_prices", str(tmp_path / "p.json"), "--json", stdout=out)
        [refused] = json.loads(out.getvalue())["refused"]
        assert "-1 is below 0" in refused["reason"]


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


@pytest.mark.django_db
def test_real_files_are_taken_with_a_contract_over_them(shared_data: Path) -> None:
    for path, least in (
        (shared_data / "prices-litellm" / "model_prices_and_context_window.json", 5000),
        (shared_data / "prices-langfuse" / "default-model-prices.json", 200),
    ):
        out = StringIO()
        call_command(
            "import_prices",
            str(path),
            "--effective-at",
            "2026-11-01T00:00:00Z",
            "--json",
            stdout=out,
        )
        answer = json.loads(out.getvalue())
        assert answer["added"] > least
        assert all(each["reason"] for each in answer["refused"])
    contract("openai,*,2026-10-01,,10")
    event = call(provider="dashscope", model="qwen3-max", input_tokens=32_001, output_tokens=1000)
    assert catalogue.books() == ["contract:acme", GENAI_PRICES, LITELLM, "langfuse"]
    assert rate(event, load_book()).pricing == "priced"


def test_the_command_names_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="a contract comes from a file"):
        call_command("import_prices", "--contract", "acme")
