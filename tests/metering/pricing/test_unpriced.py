"""The queue of what was used without a price: listed, resolved, re-rated, gone."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from metering import dispositions, people
from metering.background import workers
from metering.dispositions import ClosedMonth
from metering.domain.periods import Month
from metering.event_search import find_event
from metering.ingestion import ingest
from metering.models import Rerating, WorkRun
from metering.pricing.explanation import explain
from metering.verification.event_verification import check_month
from tests.admin_pages import browser, person
from tests.metering.events import NOON, NOW, call

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _used() -> None:
    ingest(
        [
            call("a", model="gpt-4o-minni"),
            call("b", model="gpt-4o-minni", occurred_at=NOON + timedelta(days=20)),
            call("c", model="something else"),
            call("d", input_tokens=10, cached_input_tokens=20),
            call("e"),
        ],
        now=NOW,
    )


def queue(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("unpriced", *arguments, "--json", stdout=out)
    models: list[dict[str, Any]] = json.loads(out.getvalue())["models"]
    return models


def test_it_lists_models_with_counts_times_reasons_and_the_nearest() -> None:
    first, broken, unlike = queue()
    assert (first["model"], first["events"], first["tokens"]) == ("gpt-4o-minni", 2, 2400)
    assert (first["firstAt"][:10], first["lastAt"][:10]) == ("2026-10-03", "2026-10-23")
    assert first["months"] == {"2026-10": 2}
    assert first["reason"] == "unknown_model"
    assert first["candidates"][0] == {"provider": "openai", "model": "gpt-4o-mini"}
    assert (broken["model"], broken["hasPriceNow"]) == ("gpt-4o-mini", False)
    assert broken["reason"] == "input_tokens_exceeded"
    assert unlike["candidates"] == []


def test_another_models_price_and_a_re_rating_take_a_model_out_of_it() -> None:
    resolved = queue(
        *("openai", "gpt-4o-minni", "--price-of", "gpt-4o-mini", "--since", "2026-10-01")
    )
    assert (resolved[0]["model"], resolved[0]["hasPriceNow"]) == ("gpt-4o-minni", True)
    call_command("rerate", "2026-10", "--model", "gpt-4o-minni", stdout=StringIO())
    assert [each["model"] for each in queue()] == ["gpt-4o-mini", "something else"]
    assert list(check_month(Month(2026, 10))) == []


def test_a_model_is_not_said_to_be_near_itself() -> None:
    """It has a price, of a later time."""
    later = ("--price", "input=1", "--price", "output=1", "--since", "2026-12-01")
    waiting = queue("openai", "gpt-4o-minni", *later)[0]
    assert (waiting["model"], waiting["hasPriceNow"]) == ("gpt-4o-minni", False)
    assert waiting["candidates"][0] == {"provider": "openai", "model": "gpt-4o-mini"}
    assert {"provider": "openai", "model": "gpt-4o-minni"} not in waiting["candidates"]


@pytest.mark.parametrize(
    ("model", "after"), [("gpt-4o-minni", ""), ("made-up", "; none of its calls was waiting")]
)
def test_it_is_said_which_price_a_model_has_got(model: str, after: str) -> None:
    said = StringIO()
    price = ("--price-of", "gpt-4o-mini", "--since", "2026-10-01")
    call_command("unpriced", "openai", model, *price, stdout=said)
    first, *_ = said.getvalue().splitlines()
    start = f"openai {model}: that of openai/gpt-4o-mini from 2026-10-01 on"
    assert first == start if not after else first.startswith(start + after)


def test_what_cannot_be_resolved_so_says_why() -> None:
    with pytest.raises(CommandError, match="--since which day"):
        call_command("unpriced", "openai", "x", "--price-of", "gpt-4o")
    with pytest.raises(CommandError, match="no public price list has such a model"):
        call_command("unpriced", "openai", "x", "--price-of", "gpt-99", "--since", "2026-10-01")


def test_finance_resolves_it_on_a_page_and_others_only_look() -> None:
    page = reverse("admin:unpriced_model", query={"provider": "openai", "model": "gpt-4o-minni"})
    clients = {}
    for role in ("finance", "viewer"):
        user, _ = people.add(role, [role])
        clients[role] = Client()
        clients[role].force_login(user)
        shown = clients[role].get(reverse("admin:unpriced"))
        assert "gpt-4o-minni" in shown.text
        assert ("give it a price" in shown.text) == (role == "finance")
    assert clients["viewer"].get(page).status_code == 403
    filled = {"price_of_provider": "openai", "price_of": "gpt-99", "since": "2026-10-01"}
    assert "no public price list has such a model" in clients["finance"].post(page, filled).text
    done = clients["finance"].post(page, {**filled, "price_of": "gpt-4o-mini"}, follow=True)
    assert "re-rate the open months now" in done.text
    assert queue()[0]["hasPriceNow"]


def test_a_price_of_our_own_and_the_re_rating_in_one_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ingest([call("f", model="something else", occurred_at=NOON - timedelta(days=30))], now=NOW)
    monkeypatch.setattr(
        dispositions,
        "_guards",
        [lambda month: ClosedMonth(NOW, "2026-09 was closed") if month.month == 9 else None],
    )
    out = StringIO()
    own = ("--price", "input=2", "--price", "output=4", "--price", "cache_read=1")
    call_command(
        *("unpriced", "openai", "something else", *own, "--since", "2026-01-01", "--rerate"),
        "--json",
        stdout=out,
    )
    answer = json.loads(out.getvalue())
    [done] = answer["rerated"]
    assert (done["period"], done["changed"]) == ("2026-10", 1)
    assert Rerating.objects.get(pk=done["run"]).model == "something else"
    [kept] = answer["kept"]
    assert kept["period"] == "2026-09"
    assert "correct it in the next open month" in kept["reason"]
    assert explain(find_event("c")).story.valued["cost"] == Decimal("0.0025")
    [left] = [each for each in answer["models"] if each["model"] == "something else"]
    assert left["months"] == {"2026-09": 1}
    assert list(check_month(Month(2026, 10))) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["openai", "x", "--price", "input"], "write it like input=2.50"),
        (["openai", "x", "--price", "input=1", "--price-of", "y"], "either another model's price"),
        (["openai", "x", "--price", "inputs=1"], "'inputs' is not known; did you mean input"),
        (["openai", "x", "--price", "input=1", "--price", "input=2"], "input has two prices"),
    ],
)
def test_a_price_that_is_none_so_says(arguments: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("unpriced", *arguments, "--since", "2026-10-01")


def test_a_price_a_hundred_times_its_own_is_asked_about_in_both_places() -> None:
    own = ("openai", "something else", "--since", "2026-10-01")
    call_command("unpriced", *own, "--price", "input=2", "--price", "output=4", stdout=StringIO())
    dearer = (*own, "--price", "input=2000", "--price", "output=4")
    with pytest.raises(CommandError, match="input_tokens from 2 to 2000"):
        call_command("unpriced", *dearer)
    finance = browser(person("someone", "finance"))
    page = reverse("admin:unpriced_model", query={"provider": "openai", "model": "something else"})
    filled = {"since": "2026-10-01", "input_price": "2000", "output_price": "4"}
    assert "input_tokens from 2 to 2000" in finance.post(page, filled).text
    confirmed = finance.post(page, {**filled, "confirmed": "on"}, follow=True)
    assert "has a price of our own" in confirmed.text
    call_command("unpriced", *own, "--price", "input=2", "--confirm", stdout=StringIO())


def test_a_model_whose_reports_contradict_themselves_is_given_no_price() -> None:
    [broken] = [each for each in queue() if each["model"] == "gpt-4o-mini"]
    assert (broken["isContradicted"], broken["hasPriceNow"]) == (True, False)
    out = StringIO()
    call_command("unpriced", stdout=out)
    assert "it has a price, and what these calls reported cannot be priced" in out.getvalue()
    finance = browser(person("someone", "finance"))
    assert (
        "what these calls reported cannot be priced" in finance.get(reverse("admin:unpriced")).text
    )
    page = reverse("admin:unpriced_model", query={"provider": "openai", "model": "gpt-4o-mini"})
    assert finance.get(page).status_code == 404


def test_the_queue_of_one_provider_or_model() -> None:
    assert {each["model"] for each in queue("openai", "something else")} == {"something else"}
    assert queue("nobody") == []


def test_finance_prices_a_model_and_has_its_month_rated_anew_from_the_queue() -> None:
    finance = browser(person("someone", "finance"))
    page = reverse("admin:unpriced_model", query={"provider": "openai", "model": "something else"})
    both = {"price_of_provider": "openai", "price_of": "gpt-4o", "input_price": "2"}
    filled = {"since": "2026-10-01"}
    assert "Name either" in finance.post(page, {**filled, **both}).text
    assert "Name either" in finance.post(page, filled).text
    own = {"input_price": "2", "output_price": "4", "currency": "USD"}
    assert "a price of our own" in finance.post(page, {**filled, **own}, follow=True).text
    act = reverse(
        "admin:metering_rerating_rerate", query={"month": "2026-10", "model": "something else"}
    )
    assert escape(act) in finance.get(reverse("admin:unpriced")).text
    assert 'value="something else"' in finance.get(act).text
    said = {"month": "2026-10", "model": "something else", "reason": "its price is known"}
    finance.post(act, said)
    workers.work_off(WorkRun.objects.get().pk, clock=timezone.now)
    assert "something else" not in [each["model"] for each in queue()]
    assert list(check_month(Month(2026, 10))) == []
