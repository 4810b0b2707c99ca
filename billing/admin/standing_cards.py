"""The month's stations as cards: usage, bills, reconciliation, run, close, invoices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from allocation.models import Reconciliation
from allocation.month_standing import AllocationStanding, ProviderStanding, RunStanding
from billing.month_standing import InvoicesStanding, MonthStanding
from metering.admin.figures import NOTHING, instant, label, link, listing, minor, money, number
from metering.admin.tables import Text
from metering.admin.urls import list_url
from metering.background.work_status import RunStatus
from metering.domain.periods import Month
from metering.month_usage import MonthUsage

_ZERO: Final = Decimal(0)


class Fact(NamedTuple):
    """A line of a card."""

    title: Text
    value: Text


@dataclass(frozen=True, slots=True)
class Card:
    """A station of the month: its state, what it comes to, and what that consists of."""

    title: str
    url: str
    state: SafeString
    headline: Text
    facts: Sequence[Fact] = ()


def cards(found: MonthStanding, proof: RunStatus | None) -> list[Card]:
    """The stations, in the order in which a month passes them; last, how its newest verification
    stands (`None`: there was none)."""
    allocation = found.allocation
    return [
        _usage(found.usage),
        _bills(found.month, allocation.providers),
        _reconciliation(allocation),
        _run(allocation.run),
        _close(found.month, allocation),
        _invoices(found.month, found.invoices),
        _proof(proof),
    ]


def _usage(usage: MonthUsage) -> Card:
    if not usage.events:
        state = label("none", "nothing yet")
    elif usage.unpriced:
        state = label("expired", f"{number(usage.unpriced)} unpriced")
    else:
        state = label("in", "all priced")
    late = "not sealed yet" if usage.late is None else number(usage.late)
    return Card(
        "Usage",
        list_url("metering_usageevent"),
        state,
        format_html("{} events", number(usage.events)),
        [
            Fact("without a price", number(usage.unpriced)),
            Fact("came in after the close", late),
            Fact("too old to take in", number(usage.too_old)),
        ],
    )


def _bills(month: Month, providers: Sequence[ProviderStanding]) -> Card:
    missing = sum(one.is_missing for one in providers)
    billed = [one for one in providers if one.payable is not None]
    if missing:
        state = label("missing", f"{missing} missing")
    else:
        state = label("in", "all in") if billed else label("none", "none yet")
    return Card(
        "Provider bills",
        list_url("allocation_providerbill", month=month),
        state,
        _sums(billed) or "no bill",
        [Fact(one.provider, _bill(one)) for one in providers],
    )


def _bill(one: ProviderStanding) -> SafeString:
    if one.payable is not None:
        return money(one.payable, one.currency)
    return label("missing") if one.is_expected else label("none", "none expected")


def _sums(billed: Sequence[ProviderStanding]) -> SafeString:
    totals: dict[str, list[ProviderStanding]] = {}
    for one in billed:
        totals.setdefault(one.currency, []).append(one)
    return format_html_join(
        " + ",
        "{}",
        (
            (money(sum((one.payable for one in own if one.payable), start=_ZERO), currency),)
            for currency, own in sorted(totals.items())
        ),
    )


def _reconciliation(allocation: AllocationStanding) -> Card:
    latest = allocation.reconciliation
    if latest is None:
        return Card(
            "Reconciliation",
            list_url("allocation_reconciliation", month=allocation.month),
            label("none", "not yet"),
            NOTHING,
        )
    open_ = [one for one in allocation.providers if one.unexplained]
    if any(one.is_beyond_tolerance for one in open_):
        state = label("expired", "beyond tolerance")
    else:
        state = label("in", "explained" if not open_ else "within tolerance")
    return Card(
        "Reconciliation",
        list_url("allocation_reconciliation", month=allocation.month),
        state,
        _unexplained(open_, latest),
        [
            Fact(
                one.provider,
                format_html(
                    "{} metered, {} left",
                    money(one.metered, one.currency),
                    money(one.unexplained, one.currency),
                ),
            )
            for one in allocation.providers
            if one.reconciled and one.unexplained is not None
        ],
    )


def _unexplained(open_: Sequence[ProviderStanding], latest: Reconciliation) -> SafeString | str:
    """What is left without a cause, leading to the waterfall."""
    left = format_html_join(" + ", "{}", ((money(one.unexplained, one.currency),) for one in open_))
    words = format_html("{} unexplained", left) if open_ else "all explained"
    return link("allocation_reconciliation", latest.pk, words)


def _run(standing: RunStanding | None) -> Card:
    if standing is None:
        return Card(
            "Allocation", list_url("allocation_allocationrun"), label("none", "not yet"), NOTHING
        )
    run = standing.run
    return Card(
        "Allocation",
        list_url("allocation_allocationrun", month=run.month),
        label(run.state),
        link("allocation_allocationrun", run.pk, f"run {run.number}"),
        [
            Fact("to cost centres", _minors(standing.allocated)),
            Fact("unallocated", _minors(standing.unallocated)),
            Fact(
                "statements issued",
                listing("allocation_statement", standing.statements, run__exact=run.pk),
            ),
        ],
    )


def _minors(totals: Mapping[str, int]) -> SafeString:
    found = format_html_join(
        " + ", "{}", ((minor(amount, currency),) for currency, amount in sorted(totals.items()))
    )
    return found or NOTHING


def _close(month: Month, allocation: AllocationStanding) -> Card:
    run, close = allocation.run, allocation.close
    url = list_url("allocation_periodclose", month=month)
    if close is None:
        waiting = label("open") if run is None or not run.approved_by else label("approved")
        return Card(
            "Close",
            url,
            waiting,
            "open",
            [
                Fact("run made by", run.run.author or "the program")
                if run
                else Fact("run", NOTHING),
                Fact("approved by", run.approved_by or "nobody yet")
                if run
                else Fact("bills", NOTHING),
            ],
        )
    return Card(
        "Close",
        url,
        label("closed"),
        link("allocation_periodclose", close.pk, f"by {close.closed_by}"),
        [
            Fact("run made by", close.prepared_by),
            Fact("approved by", close.approved_by),
            Fact("closed", instant(close.closed_at)),
        ],
    )


def _invoices(month: Month, invoices: InvoicesStanding) -> Card:
    states = invoices.states
    url = list_url(
        "billing_invoice",
        end_day__gt=month.first_day().isoformat(),
        end_day__lte=month.next().first_day().isoformat(),
    )
    if not invoices.count:
        state = label("none", "none yet")
    elif drafts := states.get("draft"):
        state = label("draft", f"{drafts} draft{'s' if drafts != 1 else ''}")
    elif approved := states.get("approved"):
        state = label("approved", f"{approved} to send")
    else:
        state = label("finalized", "all sent")
    return Card(
        "Invoices",
        url,
        state,
        _minors(invoices.totals),
        [
            Fact(title, number(states.get(key, 0)))
            for key, title in (
                ("draft", "drafts"),
                ("approved", "approved"),
                ("finalized", "sent"),
            )
        ],
    )


def _proof(run: RunStatus | None) -> Card:
    """Whether the month was what its raw events say when it was last computed again."""
    url = list_url("metering_workrun", kind="verification")
    if run is None:
        return Card("Verification", url, label("none", "not yet"), NOTHING)
    broken = len(run.errors)
    match run.state:
        case "done":
            state, headline = label("in", "all holds"), "computed again from the raw events"
        case "failed":
            state = label("failed", f"{broken} do not hold")
            headline = ", ".join(part.part or part.step for part in run.told if part.error)
        case _:
            state, headline = label("running"), "is being computed again"
    (*_, checks) = run.steps
    return Card(
        "Verification",
        url,
        state,
        link("metering_workrun", run.run_id, headline),
        [
            Fact("last", instant(run.progressed_at)),
            Fact("checks that hold", f"{number(checks.done)} of {number(checks.parts)}"),
            Fact("that do not", number(broken)),
        ],
    )
