"""Why an event costs what it costs: the same to a person, a program and the database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from metering.event_search import find_event
from metering.ingestion import ingest
from metering.pricing.catalogue import GENAI_PRICES
from metering.pricing.explanation import explain
from metering.pricing.price_imports import import_contract, import_file
from tests.admin_pages import browser, person, text
from tests.metering.events import NOW, call

pytestmark = pytest.mark.django_db


def explained(event: str) -> Any:
    out = StringIO()
    call_command("explain_cost", event, "--json", stdout=out)
    return json.loads(out.getvalue())


def in_words(event: str) -> str:
    out = StringIO()
    call_command("explain_cost", event, stdout=out)
    return out.getvalue()


def test_lines_add_up_and_name_the_rows_that_priced_them() -> None:
    ingest([call("one", batch=True)], now=NOW)
    found = explained("one")
    assert sum(Decimal(line["amount"]) for line in found["lines"]) == Decimal(found["cost"])
    for line in found["lines"]:
        assert Decimal(line["quantity"]) * Decimal(line["unit_price"]) == Decimal(line["amount"])
        assert line["arithmetic"].endswith(f"= {line['amount']}")
        assert line["price"]["source"].startswith(GENAI_PRICES)
    assert found["is_current"] is True
    assert explained(found["event"]) == found


def test_each_row_of_the_model_says_why_it_bears_or_does_not() -> None:
    early, late = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC)
    ingest(
        [
            call("flex", model="gpt-5.4", service_tier="flex", occurred_at=late),
            call("early", model="gpt-4o", batch=True, occurred_at=early),
        ],
        now=NOW,
    )
    [book] = explained("flex")["books"]
    used = {tuple(p["conditions"].get("when", {}).items()) for p in book["prices"] if p["used"]}
    assert used == {(("service_tier", "flex"),)}
    reasons = {p["why"] for p in book["prices"] if not p["used"]}
    assert "it is for service tier priority; the call's is flex" in reasons
    assert "it is for processing batch; the call says none" in reasons
    [book] = explained("early")["books"]
    assert any(p["why"].startswith("it holds only from") for p in book["prices"])


def test_a_contract_goes_before_the_list_that_it_is_made_from() -> None:
    text = "provider,model,valid_from,discount_percent\nopenai,gpt-4o-mini,2026-10-01,15\n"
    import_contract(text, "c.csv", book="contract:acme", now=NOW)
    ingest([call("one")], now=NOW)
    found = explained("one")
    assert [book["book"] for book in found["books"]] == ["contract:acme", GENAI_PRICES]
    public = {p["price_row"] for p in found["books"][1]["prices"]}
    for line in found["lines"]:
        assert line["price"]["book"] == "contract:acme"
        assert line["price"]["discount_percent"] == "15"
        assert line["price"]["derived_from"] in public
    assert not any(p["used"] for p in found["books"][1]["prices"])


def test_a_price_that_came_later_says_that_it_waits_for_a_re_rating() -> None:
    """Not that it has nothing to price, or that another goes before it."""
    ingest([call("one")], now=NOW)
    stored = explained("one")
    text = "provider,model,valid_from,discount_percent\nopenai,gpt-4o-mini,2026-10-01,15\n"
    import_contract(text, "c.csv", book="contract:acme", now=NOW)
    found = explained("one")
    assert (found["is_current"], found["cost"]) == (False, stored["cost"])
    reasons = [p["why"] for p in found["books"][0]["prices"]]
    classes = ", ".join(line["token_class"] for line in stored["lines"])
    waiting = f"it priced nothing when the call was rated; rated again, it prices {classes}"
    assert reasons.count(waiting) == 1
    assert f"stand now: {found['now']['cost']} USD; re-rate" in in_words("one")
    call_command("rerate", "2026-10", stdout=StringIO())
    reasons = [p["why"] for p in explained("one")["books"][0]["prices"]]
    assert f"it holds at that instant for such a call and prices {classes}" in reasons


def test_a_price_by_length_says_where_it_begins() -> None:
    """Else nobody could say why a long call costs twice the price of the list."""
    long = call("long", model="claude-sonnet-4-5", provider="anthropic", input_tokens=250_000)
    ingest([long], now=NOW)
    quoted = {line["token_class"]: line["quoted"] for line in explained("long")["lines"]}
    assert quoted["input"] == "3 USD per 1,000,000; 6 above 200,000 input tokens"
    assert quoted["output"] == "15 USD per 1,000,000; 22.5 above 200,000 input tokens"
    assert f", always: {quoted['input']}" in in_words("long")
    viewer = browser(person("someone", "viewer"))
    page = viewer.get(reverse("admin:metering_usageevent_change", args=[find_event("long")]))
    assert quoted["output"] in text(page)


def test_what_has_no_price_has_candidates_and_then_a_price_that_is_not_taken_over_by_itself() -> (
    None
):
    ingest([call("one", model="gpt-4o-minni")], now=NOW)
    found = explained("one")
    assert (found["pricing"], found["cost"], found["lines"]) == ("unpriced", None, [])
    assert {"provider": "openai", "model": "gpt-4o-mini"} in found["candidates"]
    alias = "provider,model,valid_from,price_of\nopenai,gpt-4o-minni,2026-10-01,gpt-4o-mini\n"
    import_file(alias, "own.csv", effective_at=NOW)
    found = explained("one")
    assert (found["is_current"], found["cost"]) == (False, None)
    assert found["now"]["pricing"] == "priced"
    call_command("rerate", "2026-10", stdout=StringIO())
    found = explained("one")
    assert (found["is_current"], found["revision"]) == (True, 1)
    assert found["cost"] == found["now"]["cost"]
    assert f", the same as price {found['lines'][0]['price']['derived_from']}:" in in_words("one")


def test_the_model_that_was_asked_for_is_priced_beside_the_one_that_ran() -> None:
    ingest([call("one", model="gpt-4o", model_executed="gpt-4o-mini")], now=NOW)
    found = explained("one")
    assert Decimal(found["requested"]["cost"]) > Decimal(found["cost"])
    assert explain(find_event("one")).model == "gpt-4o-mini"
    assert f"as asked for (gpt-4o): {found['requested']['cost']} USD" in in_words("one")


def test_in_words_and_refusals() -> None:
    ingest([call("one"), call("two"), call("two", input_tokens=5, cached_input_tokens=0)], now=NOW)
    said = in_words("one")
    assert "  input: 700 \N{MULTIPLICATION SIGN} 0.00000015 = 0.000105" in said
    assert "→ price" in said
    with pytest.raises(CommandError, match="in several attempts: name one of"):
        call_command("explain_cost", "two")
    with pytest.raises(CommandError, match="no event has the key or request id 'three'"):
        call_command("explain_cost", "three")
    with pytest.raises(CommandError, match="no event has the key or request id '00000000"):
        call_command("explain_cost", "00000000-0000-0000-0000-000000000000")


def test_the_page_of_an_event_names_each_row_its_list_and_its_validity() -> None:
    ingest([call("one"), call("broken", cached_input_tokens=2000)], now=NOW)
    viewer = browser(person("someone", "viewer"))
    shown = text(viewer.get(reverse("admin:metering_usageevent_change", args=[find_event("one")])))
    assert f"{GENAI_PRICES} {version('genai-prices')}" in shown
    assert "openai/gpt-4o-mini is its openai/gpt-4o-mini" in shown
    page = reverse("admin:metering_usageevent_change", args=[find_event("broken")])
    broken = text(viewer.get(page))
    assert "it holds, and nothing is priced: input_tokens_exceeded" in broken
    assert "Nearest models" not in broken
