"""A push killed between any two steps, and pushed again: the effect of one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import push as pushes
from billing import push_verification, stripe_requests
from billing.approvals import approve
from billing.invoice_run import run
from billing.models import Invoice, StripeRequest
from billing.stripe_gateway import StripeGateway
from metering.domain.periods import Month
from tests.billing.billed import NOW
from tests.billing.pushed import LATER, SMALL, approved, double, emptied, is_whole, pushed
from tests.doubles.stripe import StripeDouble

__all__ = ["double"]
pytestmark = pytest.mark.usefixtures("fresh_db")

STEPS: list[tuple[Any, str]] = [
    *((stripe_requests, name) for name in ("_intend", "_mark_sent", "_confirm")),
    *((pushes, name) for name in ("_begin", "record")),
    *((pushes._Push, name) for name in ("_compared", "_done")),
    *((StripeGateway, name) for name in ("send", "invoice", "customers_with", "invoice_items")),
    *((stripe_requests.Lease, name) for name in ("take", "tell")),
]
"""Whatever reads, writes or calls: a push is killed after each of them."""

serial = count()


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(step: int) -> Iterator[list[int]]:
    """End the process after the step of this number; gives how many steps there were."""
    seen = [0]

    def strike() -> None:
        seen[0] += 1
        if seen[0] == step + 1:
            raise Killed

    def wrapped(owner: Any, name: str) -> Any:
        done = getattr(owner, name)

        def around(*args: Any, **terms: Any) -> Any:
            result = done(*args, **terms)
            strike()
            return result

        return mock.patch.object(owner, name, around)

    patches = [wrapped(owner, name) for owner, name in STEPS]
    for patch in patches:
        patch.start()
    try:
        yield seen
    finally:
        for patch in patches:
            patch.stop()


def killed_and_repeated(
    invoice: Invoice, double: StripeDouble, steps: list[int], *, next_day: bool
) -> bool:
    """Kill one push after the other at these steps, and push once more; whether the first was
    killed at all."""
    was_killed = False
    for tries, step in enumerate(steps):
        with killed_at(step):
            try:
                pushed(invoice, double, NOW + tries * (LATER - NOW))
            except Killed:
                was_killed = True
    if next_day:
        double.api.forget_keys()
    last = NOW + timedelta(days=1 if next_day else 0) + len(steps) * (LATER - NOW)
    assert pushed(invoice, double, last).done
    is_whole(invoice, double)
    return was_killed


def test_a_kill_anywhere_and_another_push_have_the_effect_of_one(double: StripeDouble) -> None:
    for step in count():
        emptied(double)
        invoice = approved(f"tenant-{next(serial)}", SMALL)
        if not killed_and_repeated(invoice, double, [step], next_day=step % 2 == 1):
            break
    assert step > 25


@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(steps=st.lists(st.integers(0, 35), min_size=2, max_size=4), next_day=st.booleans())
def test_several_kills_have_the_effect_of_none(
    double: StripeDouble, steps: list[int], *, next_day: bool
) -> None:
    emptied(double)
    killed_and_repeated(approved(f"tenant-{next(serial)}", SMALL), double, steps, next_day=next_day)


def test_while_the_lease_of_a_killed_push_lasts_nobody_goes_on(double: StripeDouble) -> None:
    invoice = approved()
    with killed_at(6), pytest.raises(Killed):
        pushed(invoice, double)
    outcome = pushed(invoice, double, NOW + timedelta(minutes=9))
    assert (outcome.status, outcome.done) == ("busy", False)
    assert pushed(invoice, double, LATER).status == "finalized"


def test_a_killed_push_leaves_the_intent_of_what_it_was_about_to_do(double: StripeDouble) -> None:
    invoice = approved()
    with (
        mock.patch.object(StripeGateway, "send", side_effect=Killed),
        pytest.raises(Killed),
    ):
        pushed(invoice, double)
    (request,) = StripeRequest.objects.all()
    assert (request.purpose, request.state, request.object_id) == ("customer", "sent", "")


def test_a_restored_database_finds_what_it_has_forgotten(
    double: StripeDouble, owner_connection: psycopg.Connection
) -> None:
    invoice = approved("acme", SMALL)
    pushed(invoice, double)
    with owner_connection.cursor() as cursor:
        for table in ("stripe_request", "stripe_push", "stripe_customer", "invoice_standing"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE invoice DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM stripe_request; DELETE FROM stripe_push")
        cursor.execute("DELETE FROM stripe_customer; DELETE FROM invoice_standing")
        cursor.execute("UPDATE invoice SET state='approved', number=NULL, finalized_at=NULL")
        for table in ("stripe_request", "stripe_push", "stripe_customer", "invoice_standing"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("ALTER TABLE invoice ENABLE TRIGGER USER")
    double.api.forget_keys()
    assert pushed(invoice, double, LATER).status == "finalized"
    is_whole(invoice, double)


def test_no_call_is_made_inside_a_transaction(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    asked = StripeGateway.send

    def outside(*args: Any, **terms: Any) -> Any:
        assert not connection.in_atomic_block
        return asked(*args, **terms)

    with mock.patch.object(StripeGateway, "send", outside):
        assert pushed(invoice, double).status == "finalized"
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        pushed(approved("globex", SMALL), double)


def test_two_pushes_at_once_have_the_effect_of_one(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    gate = threading.Barrier(4)

    def one(_: int) -> str:
        try:
            gate.wait(timeout=30)
            return pushed(invoice, double).status
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(one, range(4)))
    assert statuses.count("finalized") == 1
    assert set(statuses) <= {"finalized", "busy", "already"}
    is_whole(invoice, double)


def test_two_invoices_of_a_new_customer_at_once_make_one_customer(double: StripeDouble) -> None:
    october = approved("acme", SMALL)
    outcome = run(Month(2026, 9), author="schedule", now=NOW, tenants=["acme"]).outcomes[0]
    september = approve(outcome.invoice_id or 0, by="controller", now=NOW)
    double.books.search_lag = 1
    gate = threading.Barrier(2)

    def one(invoice: Invoice) -> bool:
        try:
            gate.wait(timeout=30)
            return pushed(invoice, double).done
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(one, (september, october)))
    assert len(double.books.list_customers({})) == 1
    assert len(double.books.list_invoices({})) == 2


def test_a_push_that_was_taken_over_stops_and_does_no_harm(double: StripeDouble) -> None:
    """One stands still for longer than its lease, while another does its work."""
    invoice = approved("acme", SMALL)
    compared = pushes._Push._compared

    def overtaken(*args: Any) -> Any:
        result = compared(*args)
        with mock.patch.object(pushes._Push, "_compared", compared):
            assert pushed(invoice, double, LATER).status == "finalized"
        return result

    with mock.patch.object(pushes._Push, "_compared", overtaken):
        assert pushed(invoice, double).status == "busy"
    is_whole(invoice, double)


def test_verification_finds_a_line_that_was_not_asked_for_as_it_stands(
    double: StripeDouble, owner_connection: psycopg.Connection
) -> None:
    invoice = approved("acme", SMALL)
    pushed(invoice, double)
    assert list(push_verification.check(Month(2026, 10))) == []
    assert list(push_verification.check(Month(2026, 9))) == []
    with owner_connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stripe_request DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE stripe_request SET params = jsonb_set(params, '{amount}', '51')"
            " WHERE purpose = 'item' AND stem LIKE '%%-2'"
        )
    (finding,) = push_verification.check(Month(2026, 10))
    assert finding.where.endswith("line 2")
    assert finding.what == "50 is owed in Stripe's units, 51 was asked for"
