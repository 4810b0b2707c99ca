"""Price files: listed before they are applied, refused by name, never flattened."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.domain.rating import rate
from metering.models import PriceListImport, PriceRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing import catalogue
from metering.pricing.catalogue import GENAI_PRICES, LITELLM, load_book
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

    @pytest.mark.parametrize("price", [1.01e-03, 9.9e-10])
    def test_a_slip_in_what_no_list_knows_costs_that_model_its_price(self, price: float) -> None:
        both = json.loads(litellm(input_cost_per_token=price))
        both["acme/two"] = json.loads(litellm())["acme/one"]
        result = import_file(json.dumps(both), "prices.json", effective_at=NOVEMBER)
        assert result.added == 1
        assert cost(NOVEMBER, provider="acme", model="two") == Decimal("0.0014")
        assert rated(provider="acme", model="acme/one").pricing == "unpriced"
        [refused] = result.refused
        assert (refused.model_id, refused.what, refused.whole) == ("acme/one", "input_tokens", True)
        assert "0.001 to 1000 USD everywhere: --confirm" in refused.reason
        meant = import_file(
            json.dumps(both),
            "prices.json",
            effective_at=NOVEMBER + timedelta(days=1),
            confirmed=True,
        )
        assert (meant.added, meant.refused) == (1, ())
        # What was meant once is not asked about again.
        later = NOVEMBER + timedelta(days=2)
        again = import_file(json.dumps(both), "prices.json", effective_at=later)
        assert (again.added, again.closed, again.refused) == (0, 0, ())

    @pytest.mark.parametrize("price", [1e-03, 1e-09, 0])
    def test_the_most_and_the_least_that_tokens_cost_are_no_slip(self, price: float) -> None:
        result = import_file(
            litellm(input_cost_per_token=price), "prices.json", effective_at=NOVEMBER
        )
        assert (result.added, result.refused) == (1, ())

    def test_a_slip_in_a_price_of_our_own_is_asked_about(self) -> None:
        terms = "nobody,ours,2026-10-01,,,,{},{},1000000,USD,"
        rest = terms.format("output", "1")
        for slip in ("0.0002", "2000"):
            own = terms.format("input", slip)
            with pytest.raises(UnconfirmedLeaps, match=f"nobody/ours: input_tokens at {slip} for"):
                contract(own, rest)
        assert contract(own, rest, confirmed=True).added == 1

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
