"""A statement as a page: one self-contained file without scripts, for the screen and for A4."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.template import Context, Engine
from django.utils.safestring import mark_safe

from allocation.domain.statements import (
    DayReading,
    Settlement,
    Statement,
    StatementLine,
    sum_exact,
    totals_by,
)
from allocation.rendering import charts, figures
from metering.domain.money import EXACT, from_minor, plain, settle

TEMPLATE: Final = "allocation/statement.html"

_ENGINE: Final = Engine(dirs=[str(Path(__file__).parent.parent / "templates")])

STRATEGY_NAMES: Final = {
    "direct": "Direct",
    "activity-based": "Activity-based",
    "weighted": "Weighted",
    "assigned": "Assigned whole",
    "rounding": "Bill rounding",
}

NO_TENANT: Final = "No tenant"
_KINDS: Final = {"cost_centre": "Cost centre", "tenant": "Tenant", "company": "Company"}
_STATES: Final = {
    "draft": "Draft, not yet approved",
    "approved": "Approved, month still open",
    "closed": "Closed",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A name, its amount and its part of the whole; `width` is its bar in per cent of the
    longest one."""

    name: str
    amount: str
    share: str
    width: str
    credit: bool


@dataclass(frozen=True, slots=True)
class _Line:
    provider: str
    model: str
    strategy: str
    pool: str
    derivation: str
    share: str
    amount: str


@dataclass(frozen=True, slots=True)
class _Group:
    """One owner's lines, their sum, and what was settled from it."""

    name: str
    lines: list[_Line]
    exact: str
    rounding: str
    settled: str


def statement_html(statement: Statement) -> str:
    """The whole page. Every text in it that came from outside is escaped by the template."""
    return _ENGINE.get_template(TEMPLATE).render(Context(_context(statement)))


def _context(statement: Statement) -> dict[str, Any]:
    currency = statement.currency
    owed = statement.mode == "chargeback"
    return {
        "statement": statement,
        "title": "Chargeback statement" if owed else "Showback statement",
        "verb": "owes" if owed else "used",
        "total_label": "Amount owed" if owed else "Cost borne, for information",
        "kind": _KINDS[statement.subject.kind],
        "month": figures.month_name(statement.period),
        "state": _STATES[statement.state],
        "total": figures.money(statement.total_minor, currency),
        "exact": plain(statement.exact),
        "rounding": plain(statement.rounding),
        "rounded": figures.whole_amount(statement.rounding, currency)
        if settle(statement.rounding, currency)
        else "",
        "direct": figures.whole_amount(statement.direct, currency),
        "shared": figures.whole_amount(statement.shared, currency),
        "direct_share": _share(statement.direct, statement.exact),
        "shared_share": _share(statement.shared, statement.exact),
        "whole": figures.money(statement.whole_minor, currency),
        "whole_share": _share(Decimal(statement.total_minor), Decimal(statement.whole_minor)),
        "unallocated_total": figures.money(statement.unallocated_minor, currency),
        "unallocated_share": _share(
            Decimal(statement.unallocated_minor), Decimal(statement.whole_minor)
        ),
        "unallocated_parts": [
            {
                "pool": part.pool,
                "reason": part.reason,
                "amount": figures.amount(part.amount, currency),
            }
            for part in statement.unallocated
        ],
        "previous": _previous(statement),
        "strategies": _rows(
            {
                STRATEGY_NAMES.get(name, name): amount
                for name, amount in totals_by(statement.lines, "strategy").items()
            },
            currency,
        ),
        "groups": _groups(statement),
        "features": _features(statement),
        "by_model_svg": _svg_of_lines(statement),
        "by_model_text": _by_model_text(statement),
        "by_day_svg": _svg_of_days(statement),
        "by_day_text": _by_day_text(statement),
        "days": _day_totals(statement.metered.days, statement.metered.currency),
        "events": figures.quantity(Decimal(statement.evidence.events)),
        "unpriced_models": ", ".join(statement.metered.unpriced_models),
    }


def _share(part: Decimal, whole: Decimal) -> str:
    """In per cent; nothing where the whole is a credit or zero, of which no part is a share."""
    return figures.percent(EXACT.divide(part, whole)) if whole > 0 else ""


def _previous(statement: Statement) -> dict[str, str] | None:
    before = statement.previous
    if before is None:
        return None
    difference = statement.total_minor - before.total_minor
    return {
        "month": figures.month_name(before.period),
        "total": figures.money(before.total_minor, statement.currency),
        "difference": ("+" if difference > 0 else "")
        + figures.money(difference, statement.currency),
        "change": figures.change(EXACT.divide(Decimal(difference), Decimal(before.total_minor)))
        if before.total_minor > 0
        else "",
    }


def _rows(amounts: dict[str, Decimal], currency: str) -> list[_Row]:
    whole = sum_exact(amounts.values())
    longest = max((abs(amount) for amount in amounts.values()), default=Decimal(0))
    return [
        _Row(
            name=name,
            amount=figures.amount(amount, currency, extra=0),
            share=_share(amount, whole),
            width=f"{EXACT.divide(abs(amount), longest) * 100:.2f}" if longest else "0",
            credit=amount < 0,
        )
        for name, amount in amounts.items()
    ]


def _groups(statement: Statement) -> list[_Group]:
    lines: dict[tuple[str, str], list[StatementLine]] = defaultdict(list)
    settled: dict[tuple[str, str], list[Settlement]] = defaultdict(list)
    for line in statement.lines:
        lines[line.cost_centre, line.tenant].append(line)
    for settlement in statement.settlements:
        settled[settlement.cost_centre, settlement.tenant].append(settlement)
    return [
        _group(_owner_name(statement, owner), lines[owner], settled[owner], statement.currency)
        for owner in sorted(settled)
    ]


def _owner_name(statement: Statement, owner: tuple[str, str]) -> str:
    cost_centre, tenant = owner
    match statement.subject.kind:
        case "cost_centre":
            return tenant or NO_TENANT
        case "tenant":
            return cost_centre
        case "company":
            return f"{cost_centre} · {tenant or NO_TENANT}"


def _group(
    name: str, lines: Sequence[StatementLine], settled: Sequence[Settlement], currency: str
) -> _Group:
    exact = sum_exact(line.amount for line in lines)
    minor = sum(settlement.amount_minor for settlement in settled)
    ordered = sorted(lines, key=lambda line: (line.shared, -line.amount, line.model, line.pool))
    return _Group(
        name=name,
        lines=[_line(line, currency) for line in ordered],
        exact=figures.amount(exact, currency),
        rounding=figures.amount(EXACT.subtract(from_minor(minor, currency), exact), currency),
        settled=figures.money(minor, currency),
    )


def _line(line: StatementLine, currency: str) -> _Line:
    derivation = line.basis.removeprefix("driver:").replace("_", " ")
    derivation = derivation.replace(" x weight", " \N{MULTIPLICATION SIGN} weight")
    if line.driver_value is not None and line.driver_total is not None:
        value, total = figures.quantity(line.driver_value), figures.quantity(line.driver_total)
        derivation = f"{derivation}: {value} of {total}"
    return _Line(
        provider=line.provider,
        model=line.model,
        strategy=STRATEGY_NAMES.get(line.strategy, line.strategy),
        pool=line.pool,
        derivation=derivation,
        share="" if line.share is None else figures.percent(line.share),
        amount=figures.amount(line.amount, currency),
    )


def _features(statement: Statement) -> list[_Row]:
    readings = {f.endpoint_tag or "(no tag)": f.metered_cost for f in statement.metered.features}
    ordered = dict(sorted(readings.items(), key=lambda item: (-item[1], item[0])))
    return _rows(ordered, statement.metered.currency) if ordered else []


def _svg_of_lines(statement: Statement) -> str:
    if not statement.lines:
        return ""
    return mark_safe(charts.by_model_svg(statement.lines, statement.currency))  # noqa: S308 - drawn by our own renderer, which escapes labels


def _svg_of_days(statement: Statement) -> str:
    if not statement.metered.days:
        return ""
    metered = statement.metered
    svg = charts.by_day_svg(statement.period, metered.days, metered.currency)
    return mark_safe(svg)  # noqa: S308 - as above


def _by_model_text(statement: Statement) -> str:
    named = [
        f"{model or charts.NO_MODEL} {figures.whole_amount(amount, statement.currency)}"
        for model, amount in totals_by(statement.lines, "model").items()
    ]
    return f"Bar chart of cost by model, direct and shared: {'; '.join(named)}."


def _day_totals(days: Sequence[DayReading], currency: str) -> list[tuple[str, str]]:
    totals: dict[Any, list[Decimal]] = defaultdict(list)
    for reading in days:
        totals[reading.day].append(reading.metered_cost)
    return [
        (figures.day_name(day), figures.amount(sum_exact(totals[day]), currency, extra=0))
        for day in sorted(totals)
    ]


def _by_day_text(statement: Statement) -> str:
    totals: dict[Any, Decimal] = defaultdict(Decimal)
    for reading in statement.metered.days:
        totals[reading.day] = sum_exact([totals[reading.day], reading.metered_cost])
    if not totals:
        return ""
    peak = max(totals, key=lambda day: (totals[day], day))
    return (
        f"Column chart of metered cost per day over {len(totals)} days; the highest is "
        f"{figures.whole_amount(totals[peak], statement.metered.currency)} on "
        f"{figures.day_name(peak)}."
    )
