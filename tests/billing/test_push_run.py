"""Pushing as work: a part for each invoice, which waits, fails or is done as its push says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.test import override_settings
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from billing import push_run
from billing.models import Invoice, StripeEvent, StripeEventOutcome
from billing.push import push
from billing.push_run import NothingToPush
from billing.stripe_gateway import StripeNotConfigured
from billing.tasks import apply_stripe_events
from metering import people
from metering.background import work, work_status, workers
from metering.background.flows import FenceLost
from metering.background.work_status import RunStatus
from metering.models import WorkRun
from metering.people import NotAllowed
from tests.admin_pages import browser, person, text, told
from tests.billing.billed import NOW
from tests.billing.pushed import SMALL, approved, double, held, is_whole
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.server import KEY

__all__ = ["double"]
pytestmark = pytest.mark.django_db

LATER = NOW + push_run.LOOKS_AGAIN


@pytest.fixture(autouse=True)
def _configured(double: StripeDouble) -> Iterator[None]:
    with override_settings(STRIPE_API_KEY=KEY, STRIPE_BASE_URL=double.url):
        yield


def worked_off(*invoices: Invoice, now: datetime = NOW) -> RunStatus:
    started = push_run.start([x.pk for x in invoices], by="controller", now=now)
    return go_on(started.run, now)


def go_on(run: WorkRun, now: datetime) -> RunStatus:
    workers.work_off(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return work_status.status(run)


def test_each_invoice_is_a_part_that_says_its_number(double: StripeDouble) -> None:
    invoices = [approved("acme", SMALL), approved("globex", SMALL.replace('"pro"', '"small"'))]
    status = worked_off(*invoices)
    assert (status.state, status.author) == ("done", "controller")
    numbers = {x["metadata"]["apportion_tenant"]: x["number"] for x in
               double.books.list_invoices({})}  # fmt: skip
    assert {part.part: part.note for part in status.told} == {
        f"invoice {x.pk} ({x.tenant})": f"finalized: {numbers[x.tenant]}" for x in invoices
    }
    assert set(Invoice.objects.values_list("state", flat=True)) == {"finalized"}


def test_it_waits_for_a_stripe_that_does_not_answer(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r".*", "unavailable", times=-1)
    status = worked_off(invoice)
    assert status.state == "waiting"
    (waits_for,) = status.waits_for
    assert waits_for
    double.api.faults.clear()
    run = WorkRun.objects.get()
    assert go_on(run, NOW + timedelta(minutes=1)).state == "waiting", "it is not due yet"
    assert go_on(run, LATER).state == "done"
    is_whole(invoice, double)


def test_it_waits_while_another_pushes(
    double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = approved("acme", SMALL)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("billing.push._Push._done", killed)
        with pytest.raises(Killed):
            push(invoice.pk, now=NOW)
    status = worked_off(invoice, now=NOW + timedelta(seconds=1))
    assert status.waits_for == ("another push of it is under way, or was cut off lately",)
    for minutes in (6, 12):
        status = go_on(WorkRun.objects.get(), NOW + timedelta(minutes=minutes))
    assert status.state == "done"
    is_whole(invoice, double)


def test_what_stripe_holds_otherwise_is_failed_for_a_person_to_see(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    started = push_run.start([invoice.pk], by="controller", now=NOW)
    double.api.fault(r"POST /v1/invoices/.*/finalize", "unavailable", times=-1)
    assert go_on(started.run, NOW).state == "waiting"
    (item,) = [x for x in double.books.items.values() if x["amount"] == 4_900]
    item["amount"] += 1
    status = go_on(started.run, LATER)
    assert status.state == "failed"
    (error,) = status.errors
    assert error.startswith(f"push invoice {invoice.pk} (acme): Stripe's draft invoice")
    assert held(double)["status"] == "draft"


def test_the_same_invoices_join_the_run_that_is_at_work() -> None:
    invoices = [approved("acme", SMALL), approved("globex", SMALL.replace('"pro"', '"small"'))]
    keys = [x.pk for x in invoices]
    first = push_run.start(keys, by="controller", now=NOW)
    again = push_run.start([*reversed(keys), 0], by="another", now=NOW)
    assert (again.run, again.new) == (first.run, False)
    one = push_run.start(keys[:1], by="controller", now=NOW)
    assert one.new
    assert {go_on(run, NOW).state for run in (one.run, first.run)} == {"done"}


def test_who_was_overtaken_completes_nothing(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    run = push_run.start([invoice.pk], by="controller", now=NOW).run
    workers.perform(*work.ready_parts(run.pk, now=NOW), now=NOW)
    (part_id,) = work.ready_parts(run.pk, now=NOW)
    slow = work.lease(part_id, now=NOW)
    assert slow is not None
    later = NOW + work.lease_length() + timedelta(seconds=1)
    assert workers.perform(part_id, now=later) == "done"
    with pytest.raises(FenceLost):
        push_run.push_invoice(slow)
    is_whole(invoice, double)


def test_refusals_before_anything_is_begun() -> None:
    invoice = approved("acme", SMALL)
    people.add("reader", ["viewer"])
    with pytest.raises(NotAllowed):
        push_run.start([invoice.pk], by="reader", now=NOW)
    with pytest.raises(NothingToPush):
        push_run.start([invoice.pk + 1], by="controller", now=NOW)
    with override_settings(STRIPE_API_KEY=""), pytest.raises(StripeNotConfigured):
        push_run.start([invoice.pk], by="controller", now=NOW)
    assert not WorkRun.objects.exists()


class TestAdmin:
    LIST = reverse("admin:billing_invoice_changelist")

    def test_one_is_pushed_by_its_page(self) -> None:
        invoice = approved("acme", SMALL)
        url = reverse("admin:billing_invoice_push", args=[invoice.pk])
        client = browser(person("second", "finance", "approver"))
        assert "Push the invoice of acme to Stripe" in text(client.get(url))
        assert not WorkRun.objects.exists()
        page = client.post(url, follow=True)
        run = WorkRun.objects.get()
        assert (run.subject, run.author) == (f"invoice {invoice.pk}", "second")
        assert f"On its way to Stripe: invoice {invoice.pk}" in told(page)
        assert f'<a href="{reverse("admin:metering_workrun_change", args=[run.pk])}"' in told(page)
        assert "&lt;a" not in text(page)

    def test_the_chosen_ones_are_pushed_by_one_run(self) -> None:
        invoices = [approved("acme", SMALL), approved("globex", SMALL.replace('"pro"', '"small"'))]
        chosen = {"action": "push_chosen", "_selected_action": [x.pk for x in invoices]}
        client = browser(person("second", "approver"))
        assert "On its way to Stripe: 2 invoices" in told(
            client.post(self.LIST, chosen, follow=True)
        )
        with override_settings(STRIPE_API_KEY=""):
            assert "STRIPE_API_KEY is not set" in told(client.post(self.LIST, chosen, follow=True))
        assert WorkRun.objects.count() == 1

    def test_without_the_right_nothing_is_pushed(self) -> None:
        invoice = approved("acme", SMALL)
        client = browser(person("v", "viewer"))
        assert "push_chosen" not in text(client.get(self.LIST))
        url = reverse("admin:billing_invoice_push", args=[invoice.pk])
        assert client.post(url).status_code == 403
        assert not WorkRun.objects.exists()


def test_webhooks_that_were_kept_are_applied_by_a_schedule() -> None:
    schedule = PeriodicTask.objects.get(task=apply_stripe_events.name)
    assert schedule.enabled
    assert (schedule.interval.every, schedule.interval.period) == (5, "minutes")
    StripeEvent.objects.create(
        event="evt_1",
        type="customer.created",
        created_at=NOW,
        received_at=NOW,
        livemode=False,
        digest="",
        body=b"{}",
    )
    assert apply_stripe_events.apply().get() == 1
    assert StripeEventOutcome.objects.get().outcome == "ignored"
    assert apply_stripe_events.apply().get() == 0
