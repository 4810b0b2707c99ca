"""Webhooks: wrong, old, twice, out of order, before we know, and about what is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import DatabaseError, Error, transaction
from django.test import Client, override_settings

from billing.api.stripe_webhook import MAX_BYTES
from billing.models import (
    Invoice,
    StripeEvent,
    StripeEventOutcome,
    StripeFinding,
    StripePush,
)
from billing.stripe_events import apply, apply_pending
from billing.stripe_standing import standing_of
from tests.billing.billed import NOW
from tests.billing.pushed import SMALL, approved, double, emptied, held, pushed
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.webhooks import body_of, signature

__all__ = ["double"]
pytestmark = pytest.mark.django_db

SECRET = "whsec_test"


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    with override_settings(STRIPE_WEBHOOK_SECRET=SECRET), time_machine.travel(NOW, tick=False):
        yield


def sent(body: bytes, header: str | None) -> Any:
    headers = {} if header is None else {"Stripe-Signature": header}
    return Client(enforce_csrf_checks=True).post(
        "/stripe/webhook", body, content_type="application/json", headers=headers
    )


def told(event: dict[str, Any]) -> Any:
    """Send it signed, now."""
    body = body_of(event)
    return sent(body, signature(body, SECRET, int(NOW.timestamp())))


def event(kind: str = "customer.created", **content: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": int(NOW.timestamp()),
        "livemode": False,
        "data": {"object": content or {"object": "customer", "id": "cus_1"}},
    }


BODY = body_of(event())
AT = int(NOW.timestamp())
REFUSED: dict[str, tuple[bytes, str | None]] = {
    "no signature": (BODY, None),
    "no header worth the name": (BODY, "v1"),
    "another secret": (BODY, signature(BODY, "whsec_other", AT)),
    "another body": (BODY + b" ", signature(BODY, SECRET, AT)),
    "another time": (BODY, signature(BODY, SECRET, AT).replace(str(AT), str(AT - 1))),
    "an old one": (BODY, signature(BODY, SECRET, AT - 301)),
    "not UTF-8": (b"\xff", signature(b"\xff", SECRET, AT)),
    "signed, no JSON": (b"{", signature(b"{", SECRET, AT)),
    "signed, no event": (b'{"object":"invoice"}', signature(b'{"object":"invoice"}', SECRET, AT)),
}


@pytest.mark.parametrize(("body", "header"), REFUSED.values(), ids=REFUSED.keys())
def test_a_webhook_that_cannot_be_believed_is_refused_and_not_kept(
    body: bytes, header: str | None
) -> None:
    response = sent(body, header)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert not StripeEvent.objects.exists()


def test_a_signature_is_good_for_five_minutes() -> None:
    assert sent(BODY, signature(BODY, SECRET, AT - 300)).status_code == 200


def test_a_large_body_is_refused_before_it_is_looked_at() -> None:
    body = b" " * (MAX_BYTES + 1)
    assert sent(body, signature(body, SECRET, AT)).status_code == 413
    assert not StripeEvent.objects.exists()


def test_without_a_secret_nothing_is_believed() -> None:
    with override_settings(STRIPE_WEBHOOK_SECRET=""):
        response = sent(BODY, signature(BODY, "", AT))
    assert response.status_code == 503
    assert "STRIPE_WEBHOOK_SECRET" in json.loads(response.content)["detail"]


def test_other_methods_are_not_understood() -> None:
    assert Client().get("/stripe/webhook").status_code == 405


def test_an_unknown_kind_is_kept_as_it_came_and_acknowledged() -> None:
    assert told(event("radar.early_fraud_warning.created")).status_code == 200
    kept = StripeEvent.objects.get()
    assert bytes(kept.body) == body_of(event("radar.early_fraud_warning.created"))
    assert (kept.type, kept.received_at) == ("radar.early_fraud_warning.created", NOW)
    assert kept.outcome.outcome == "ignored"


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ({"object": "invoice"}, "refused"),
        ({"object": "line_item", "id": "il_1"}, "ignored"),
        ({"object": "invoice", "status_transitions": []}, "refused"),
    ],
)
def test_an_event_that_cannot_be_read_does_not_come_back(
    content: dict[str, Any], outcome: str
) -> None:
    assert told(event("invoice.paid", **content)).status_code == 200
    assert StripeEventOutcome.objects.get().outcome == outcome
    assert apply_pending(now=NOW).total == 0


def later(double: StripeDouble, hours: int) -> None:
    double.books.clock = lambda: int((NOW + timedelta(hours=hours)).timestamp())


def life(double: StripeDouble, *steps: str) -> tuple[Invoice, list[dict[str, Any]]]:
    """A pushed invoice of which these things happen, an hour apart; its events."""
    emptied(double)
    double.books.events.clear()
    later(double, 0)
    invoice = approved(f"tenant-{Invoice.objects.count()}", SMALL)
    pushed(invoice, double)
    for hours, step in enumerate(steps, 1):
        later(double, hours)
        getattr(double.books, step)(held(double)["id"])
    about = [x for x in double.books.events if x["type"].startswith("invoice.")]
    return invoice, about


def test_events_in_any_order_and_twice_come_to_the_same_dates(double: StripeDouble) -> None:
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)):
        invoice, events = life(double, "mark_uncollectible", "pay")
        assert len(events) == 4
        for i in (*order, *order):
            assert told(events[i]).status_code == 200
        dates = {x.standing: x.since for x in invoice.standings.all()}
        assert dates == {
            "open": NOW,
            "uncollectible": NOW + timedelta(hours=1),
            "paid": NOW + timedelta(hours=2),
        }
        now = standing_of(invoice)
        assert now is not None
        assert now.standing == "paid"
    assert StripeEvent.objects.count() == StripeEventOutcome.objects.count() == 4 * 4
    assert not StripeFinding.objects.exists()


def test_one_event_tells_all_that_came_before_it(double: StripeDouble) -> None:
    invoice, events = life(double, "void")
    assert told(events[-1]).status_code == 200
    assert {x.standing for x in invoice.standings.all()} == {"open", "void"}


def test_an_event_may_come_before_we_know_that_its_draft_was_made(double: StripeDouble) -> None:
    emptied(double)
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoices", "lost")
    pushed(invoice, double, retries=0)
    (created,) = [x for x in double.books.events if x["type"] == "invoice.created"]
    assert StripePush.objects.get().stripe_invoice is None
    assert told(created).status_code == 200
    assert StripeEventOutcome.objects.get().outcome == "applied"
    assert pushed(invoice, double, NOW + timedelta(seconds=1)).status == "finalized"


def test_an_invoice_of_another_system_in_the_same_account_is_left_alone(
    double: StripeDouble,
) -> None:
    invoice, events = life(double)
    events[0]["data"]["object"] |= {"id": "in_other", "metadata": {}}
    told(events[0])
    assert StripeEventOutcome.objects.get().outcome == "ignored"
    events[1]["data"]["object"]["id"] = "in_copy"
    told(events[1])
    assert StripeFinding.objects.get(invoice=invoice).where == "in_copy"


def test_another_total_than_ours_is_a_finding(double: StripeDouble) -> None:
    invoice, events = life(double, "pay")
    events[-1]["data"]["object"]["total"] += 1
    told(events[-1])
    finding = StripeFinding.objects.get(invoice=invoice)
    assert finding.where == "paid total"
    assert "4950" in finding.what


def test_what_stripe_could_not_finalize_is_a_finding(double: StripeDouble) -> None:
    invoice, events = life(double)
    failed = {**events[0], "id": "evt_failed", "type": "invoice.finalization_failed"}
    failed["data"]["object"]["last_finalization_error"] = {"message": "no tax location"}
    told(failed)
    assert StripeFinding.objects.get(invoice=invoice).what == "no tax location"


def test_an_event_that_was_stored_only_is_applied_by_the_command(
    double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice, events = life(double, "pay")

    def unreachable(*_: object, **__: object) -> None:
        raise DatabaseError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr("billing.api.stripe_webhook.apply", unreachable)
        assert [told(x).status_code for x in events] == [200] * 3
    assert not StripeEventOutcome.objects.exists()
    out = StringIO()
    call_command("apply_stripe_events", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"events": 3, "outcomes": {"applied": 3}}
    assert invoice.standings.filter(standing="paid").exists()
    out = StringIO()
    call_command("apply_stripe_events", stdout=out)
    assert out.getvalue() == "0 events: nothing was pending\n"


def test_an_event_is_applied_whole_or_not_at_all(
    double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice, events = life(double, "pay")
    monkeypatch.setattr("billing.api.stripe_webhook.apply", lambda *_, **__: None)
    told(events[-1])
    kept = StripeEvent.objects.get()
    with monkeypatch.context() as patch:
        patch.setattr(StripeEventOutcome.objects, "create", lambda **_: 1 // 0)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            apply(kept.pk, now=NOW)
    assert {x.standing for x in invoice.standings.all()} == {"open"}
    assert apply(kept.pk, now=NOW) is not None
    assert apply(kept.pk, now=NOW) is None
    assert {x.standing for x in invoice.standings.all()} == {"open", "paid"}


CHANGES: dict[str, Callable[[], object]] = {
    "a body": lambda: StripeEvent.objects.update(body=b"{}"),
    "an outcome": lambda: StripeEventOutcome.objects.update(outcome="ignored"),
    "an event": lambda: StripeEvent.objects.all()._raw_delete("default"),
}


def test_what_stripe_told_cannot_be_changed(double: StripeDouble) -> None:
    told(event())
    for change in CHANGES.values():
        with pytest.raises(Error, match="Cannot"), transaction.atomic():
            change()
