"""A month as one run of work: reconcile, allocate, wait for people to close it, draft invoices.

It prepares, and never approves: what it makes waits for people, and so does the run itself. What
is done in which order stands here; how, in `allocation.month_steps` and `billing.invoice_run`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Final

import msgspec
from django.db import transaction

from allocation.month_steps import STEPS
from billing import invoice_run
from billing.invoice_run import InvoiceRun
from metering.background import schedules, work, work_status
from metering.background.flows import Flow, Leased, Part, Step, register
from metering.background.schedules import SCHEDULE
from metering.background.work import Started
from metering.background.work_status import RunStatus
from metering.domain.periods import Month

KIND: Final = "month"

CUSTOMERS_A_PART: Final = 25
"""So many share one pass over the events of their cycles, which costs the same for one as for
all; and so many are drafted again if a worker dies."""


def start(
    month: Month,
    *,
    author: str = SCHEDULE,
    now: datetime,
    rule: str | None = None,
    as_of: datetime | None = None,
) -> Started:
    """Start the month's run, join the one at work, or begin one anew that only waits or failed.

    Without a rule, the one in use (`allocation_run.rule_in_use`). `as_of` dates what is made; by
    default that is the clock's time.
    """
    return work.start(
        KIND, str(month), author=author, now=now, arguments={"rule": rule}, as_of=as_of
    )


def start_on_schedule(name: str, *, now: datetime, rule: str | None = None) -> bool:
    """Start the month before the schedule's due moment, once for each moment, unless its run is
    done; whether this call did."""

    def begin(due_at: datetime) -> Started | None:
        month = Month.of(due_at).previous()
        standing = monthly_run_status(month)
        if standing is not None and standing.state == "done":
            return None
        return start(month, now=now, rule=rule)

    return schedules.answer(name, now=now, begin=begin)


def go_on(month: Month, *, now: datetime) -> None:
    """The month has been closed: let its run look at once, not in a while."""
    work.wake(KIND, str(month), now=now)


def bill_came(month: Month, *, now: datetime) -> None:
    """A bill has come, the first or another: a run that waits (for one, or for people to close the
    month without it) begins anew, so that what they are asked to agree with has it in. A run that
    is dividing just now sees at its end that its inputs have changed."""
    work.begin_anew(KIND, str(month), now=now)


def monthly_run_status(month: Month) -> RunStatus | None:
    """Where the month's newest run stands; `None`: it was never started."""
    return work_status.latest(KIND, str(month))


def find_customers(leased: Leased) -> None:
    """Open the parts in which all customers who may be due an invoice are drafted."""
    with transaction.atomic():
        due = invoice_run.tenants_due(Month.parse(leased.subject))
        parts = in_even_parts(due, most=CUSTOMERS_A_PART)
        work.complete(
            leased,
            note=f"{len(due)} customers",
            opens=[Part(_name(some), msgspec.json.encode(some)) for some in parts],
        )


def draft_invoices(leased: Leased) -> None:
    """Draft the invoices of a part's customers.

    Each is stored in a transaction of its own that holds the part; drafting again what is stored
    finds it, so a worker that dies between an invoice and the part's end does no harm.
    """
    result = invoice_run.run(
        Month.parse(leased.subject),
        author=leased.author,
        now=leased.now,
        tenants=msgspec.json.decode(leased.material or b"", type=list[str]),
        may_store=partial(work.hold, leased),
    )
    with transaction.atomic():
        work.complete(leased, note=_told(result))


def in_even_parts(customers: Sequence[str], *, most: int) -> list[Sequence[str]]:
    """As few parts as there can be of at most so many, none much longer than another: the last
    one to be done is what the month waits for."""
    number = -(-len(customers) // most)
    edges = [len(customers) * n // number for n in range(number + 1)] if number else [0]
    return [customers[begin:end] for begin, end in pairwise(edges)]


def _name(customers: Sequence[str]) -> str:
    first, last = customers[0], customers[-1]
    return first if first == last else f"{first} to {last} ({len(customers)})"


def _told(result: InvoiceRun) -> str:
    counted = Counter(outcome.status for outcome in result.outcomes)
    messages = [f"{x.tenant}: {x.message}" for x in result.outcomes if x.message]
    numbers = ", ".join(f"{status} {count}" for status, count in sorted(counted.items()))
    return "; ".join([numbers or "nothing to draft", *messages])


FLOW: Final = register(
    Flow(KIND, (*STEPS, Step("customers", find_customers), Step("invoices", draft_invoices)))
)
