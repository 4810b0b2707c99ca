"""Re-rating a month as work: a part for each portion of its events, done by any worker.

A part's batches are each stored with its fence held, so that whoever was overtaken stores nothing;
begun anew, it finds what is done already. The act is begun with the first step and ended with the
last, each once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from django.db import transaction

from config.history import because
from config.roles import IMPORT_PRICES
from metering.background import work
from metering.background.flows import Flow, Leased, Part, Step, register
from metering.background.work import Started
from metering.domain.periods import Month
from metering.people import acting
from metering.pricing import rerating_acts as acts
from metering.pricing.portions import Portion, portions
from metering.pricing.rerating import Rerating
from metering.pricing.revaluation import Act, Differences, MonthClosed, must_be_open

KIND: Final = "rerate"


def start(
    month: Month, *, reason: str, by: str, now: datetime, model: str | None = None
) -> Started:
    """Start rating an open month anew (one executed model of it, if it is named), for a person with
    the right to; the same again joins what is at work.

    Raises `MonthClosed` or `metering.people.NotAllowed`.
    """
    must_be_open(month)
    with transaction.atomic():
        acting(by, IMPORT_PRICES)
        with because(reason):
            return work.start(
                KIND,
                f"{month} {model}" if model else str(month),
                author=by,
                now=now,
                arguments={"month": str(month), "model": model, "reason": reason},
            )


def begin(leased: Leased) -> None:
    """Begin the act, and open a part for each portion."""
    month, model, reason = _what(leased)
    must_be_open(month)
    with transaction.atomic():
        act = acts.begin(month, model=model, author=leased.author, reason=reason, now=leased.now)
        work.complete(
            leased,
            note=f"re-rating {act.pk}",
            result=str(act.pk).encode(),
            opens=[
                Part(f"{portion.day} {portion.keys.first[:4]}", msgspec.json.encode(portion))
                for portion in portions(month)
            ],
        )


def rate(leased: Leased) -> None:
    """Rate one portion. Its batches are stored one by one; the part is completed after them."""
    month, model, reason = _what(leased)
    act = _act(leased)

    def within(differences: Differences) -> None:
        work.hold(leased)
        acts.note(act, differences)

    doing = Rerating(month, Act(leased.author, reason, leased.now, within), model)
    found = doing(msgspec.json.decode(leased.material or b"", type=Portion))
    with transaction.atomic():
        work.complete(
            leased,
            note=f"{found.looked_at} events, {found.changed} changed",
            result=str(found.looked_at).encode(),
        )


def end(leased: Leased) -> None:
    """End the act."""
    month, _, _ = _what(leased)
    looked_at = sum(int(result) for result in work.results(leased.run_id, "rate"))
    with transaction.atomic():
        acts.end(_act(leased), month, looked_at=looked_at, now=leased.at)
        work.complete(leased, note=f"{looked_at} events looked at")


def _what(leased: Leased) -> tuple[Month, str | None, str]:
    said = leased.arguments
    return Month.parse(said["month"]), said["model"], said["reason"]


def _act(leased: Leased) -> int:
    [number] = work.results(leased.run_id, "begin")
    return int(number)


FLOW: Final = register(
    Flow(
        KIND,
        (
            Step("begin", begin, refused_by=(MonthClosed,)),
            Step("rate", rate, refused_by=(MonthClosed,)),
            Step("end", end),
        ),
    )
)
