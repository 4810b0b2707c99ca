"""What a person reads at the end of the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from allocation.domain.statements import Statement
from allocation.domain.variances import Cause
from billing.demo.checks import Check, differences, expected_outcomes
from billing.demo.documents import MadeMonth
from billing.demo.journey import ClosedMonth, Journey
from metering.domain.money import from_minor, minor_digits, plain, settle

SHOWN_INVOICES: Final = 8
YES: Final = "[green]✓[/]"
NO: Final = "[red]✗[/]"

CAUSE_NAMES: Final[dict[Cause, str]] = {
    "metered_not_billed": "metered, but not billed",
    "unmetered": "billed, but not metered",
    "unpriced": "no known price",
    "executed_not_requested": "another model executed",
    "estimated_usage": "usage that was estimated",
    "free_allowance": "free units",
    "volume_price": "price by volume",
    "price_difference": "another price",
    "reserved_capacity": "reserved capacity",
    "committed_minimum": "agreed minimum",
    "fees": "fees",
    "credits": "credits",
    "tax": "tax",
    "adjustments": "adjustments",
    "rounding": "rounding",
    "unexplained": "unexplained",
}


def mark(*, holds: bool) -> str:
    return YES if holds else NO


def statement_parts(statement: Statement) -> tuple[int, int, int]:
    """Direct, shared and rounding in minor units, which add up to the total as they are shown.

    Money arises for each bill and tenant, so the rounding may be more than one minor unit.
    """
    direct = settle(statement.direct, statement.currency)
    shared = settle(statement.shared, statement.currency)
    return direct, shared, statement.total_minor - direct - shared


def _figure(amount_minor: int, currency: str) -> str:
    return f"{from_minor(amount_minor, currency):,.{minor_digits(currency)}f}"


def money(amount_minor: int, currency: str) -> str:
    """Settled money with all its decimals and its currency."""
    return f"{_figure(amount_minor, currency)} {currency}"


def usage_table(journey: Journey, made: MadeMonth | None) -> Table:
    """What came in, by outcome."""
    table = _table("Usage that came in", "outcome", ">lines", *([">made", ""] if made else []))
    found = {
        "accepted": journey.ingested.accepted,
        "duplicates": journey.ingested.duplicates,
        "conflicts": journey.ingested.conflicts,
        "rejected": journey.ingested.rejected,
    }
    wanted = expected_outcomes(made.lines) if made else {}
    for name, lines in found.items():
        row = [name, f"{lines:,}"]
        if made:
            row += [f"{wanted[name]:,}", mark(holds=wanted[name] == lines)]
        table.add_row(*row)
    return table


def waterfall_table(closed: ClosedMonth, made: MadeMonth | None) -> Table:
    """From metered cost to bill by cause; beside each what was planted."""
    columns = ["provider", "cause", ">found", *([">planted", ""] if made else []), ">lines"]
    table = _table(f"From metered cost to the bill, {closed.month}", *columns)
    rows = list(differences(closed, made))
    blank = ["", ""] if made else []
    for result in closed.results:
        groups = Counter(row.cause for row in result.evidence)
        table.add_row(result.provider, "[bold]metered cost[/]", _exact(result.metered), *blank, "")
        for row in rows:
            if row.provider != result.provider:
                continue
            planted = (
                [_exact(row.planted), mark(holds=row.holds)] if row.planted is not None else []
            )
            name = CAUSE_NAMES[row.cause]
            table.add_row("", name, _exact(row.found), *planted, str(groups[row.cause]))
        bill = "no bill: metered cost" if result.bill is None else _exact(result.bill)
        table.add_row("", "[bold]bill[/]", f"[bold]{bill}[/]", *blank, "", end_section=True)
    return table


def statements_table(closed: ClosedMonth, statements: Sequence[Statement]) -> Table:
    """Who bears what: the statements' totals, which sum to the bills."""
    table = _table(
        f"Statements, {closed.month} (run {closed.run.number})",
        "cost centre", "mode", ">direct", ">shared", ">rounding", ">total", ">events",
    )  # fmt: skip
    for s in statements:
        table.add_row(
            s.subject.name,
            s.mode,
            *(_figure(part, s.currency) for part in statement_parts(s)),
            money(s.total_minor, s.currency),
            f"{s.evidence.events:,}",
        )
    table.add_section()
    totals: dict[str, int] = {}
    for s in statements:
        totals[s.currency] = totals.get(s.currency, 0) + s.total_minor
    for currency, minor in totals.items():
        table.add_row(
            "[bold]all, as billed[/]", "", "", "", "", f"[bold]{money(minor, currency)}[/]", ""
        )
    return table


def invoices_table(closed: ClosedMonth) -> Table:
    """The largest invoices, and what they all come to."""
    table = _table(
        f"Invoices, cycles ending in {closed.month}",
        "customer", "plan", "cycle", ">overage", ">total",
    )  # fmt: skip
    largest = sorted(closed.invoices.outcomes, key=lambda x: (-x.total_minor, x.tenant))
    for x in largest[:SHOWN_INVOICES]:
        over = sum(line["amount_minor"] for line in x.lines if line["kind"] == "overage")
        table.add_row(
            x.tenant,
            x.plan,
            f"{x.cycle.first_day:%-d %b} to {x.cycle.last_day:%-d %b}",
            money(over, x.currency),
            money(x.total_minor, x.currency),
        )
    rest = len(largest) - SHOWN_INVOICES
    if rest > 0:
        table.add_row(f"… and {rest} more", "", "", "", "")
    table.add_section()
    for currency, minor in closed.invoices.totals_minor().items():
        table.add_row("[bold]all[/]", "", "", "", f"[bold]{money(minor, currency)}[/]")
    return table


def invoices_told(closed: ClosedMonth) -> Iterator[str]:
    """What the table of invoices does not say: where they are, and who gets none."""
    finalized = sum(x.done for x in closed.pushed)
    if closed.pushed:
        yield (
            f"{finalized} of {len(closed.pushed)} invoices are at Stripe, compared line by line"
            " before they were finalized."
        )
    else:
        yield "Nothing was pushed to Stripe."
    for gap in closed.invoices.not_billed:
        yield f"{gap.tenant} has no plan: {gap.requests:,} requests are not billed."


def checks_table(found: Iterable[Check]) -> Table:
    table = _table("What must hold", "", "check", "detail")
    for check in found:
        table.add_row(mark(holds=check.holds), check.what, "" if check.holds else check.detail)
    return table


def timings_table(seconds: dict[str, float]) -> Table:
    table = _table("Time", "step", ">seconds")
    for name, taken in seconds.items():
        table.add_row(name, f"{taken:.1f}")
    table.add_section()
    table.add_row("[bold]all[/]", f"[bold]{sum(seconds.values()):.1f}[/]")
    return table


def print_summary(
    console: Console,
    journey: Journey,
    made: MadeMonth | None,
    statements: dict[str, Sequence[Statement]],
    found: Sequence[Check],
) -> None:
    """Everything in the order of the path. `statements` are those of each month."""
    console.print(usage_table(journey, made))
    for closed in journey.months:
        console.print(waterfall_table(closed, made))
        console.print(statements_table(closed, statements[str(closed.month)]))
        console.print(invoices_table(closed))
        for line in invoices_told(closed):
            console.print(escape(line))
        if closed.close is None:
            console.print(f"[bold]{closed.month} stays open.[/] {escape(closed.not_closed)}")
    console.print(timings_table(journey.seconds))
    console.print(checks_table(found))


def _table(title: str, *columns: str) -> Table:
    """A column that begins with `>` is of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left")
    return table


def _exact(amount: Decimal | None) -> str:
    return "" if amount is None else plain(amount)
