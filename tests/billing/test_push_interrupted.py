"""A push killed between any two steps, and pushed again: the effect of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import push as pushes
from billing import stripe_requests
from billing.models import Invoice, StripeRequest
from billing.stripe_gateway import StripeGateway
from tests.billing.billed import NOW
from tests.billing.pushed import LATER, SMALL, approved, double, is_whole, pushed
from tests.doubles.stripe import StripeDouble

__all__ = ["double"]
pytestmark = pytest.mark.usefixtures("fresh_db")

STEPS: list[tuple[Any, str]] = [
    *((stripe_requests, name) for name in ("_intend", "_mark_sent", "_confirm")),
    *((pushes, name) for name in ("_begin", "record")),
    *((pushes._Push, name) for name in ("_keep", "_compared", "_done")),
    *((StripeGateway, name) for name in ("send", "invoice", "customers_with", "invoice_items")),
    (stripe_requests.Lease, "take"),
]
"""Whatever reads, writes or calls: a push is killed before each of them, and after it."""

serial = count()


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(step: int) -> Iterator[list[int]]:
    """End the process at the step of this number, before or after something was done; gives how
    many steps there were."""
    seen = [0]

    def strike() -> None:
        seen[0] += 1
        if seen[0] == step + 1:
            raise Killed

    def wrapped(owner: Any, name: str) -> Any:
        done = getattr(owner, name)

        def around(*args: Any, **terms: Any) -> Any:
            strike()
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


def emptied(double: StripeDouble) -> None:
    """A Stripe of one invoice again, whose search has not yet seen anything."""
    for held in (double.books.customers, double.books.invoices, double.books.items):
        held.clear()
    double.books.search_lag = 1


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
    assert step > 60


@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(steps=st.lists(st.integers(0, 70), min_size=2, max_size=4), next_day=st.booleans())
def test_several_kills_have_the_effect_of_none(
    double: StripeDouble, steps: list[int], *, next_day: bool
) -> None:
    emptied(double)
    killed_and_repeated(approved(f"tenant-{next(serial)}", SMALL), double, steps, next_day=next_day)


def test_while_the_lease_of_a_killed_push_lasts_nobody_goes_on(double: StripeDouble) -> None:
    invoice = approved()
    with killed_at(12), pytest.raises(Killed):
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
