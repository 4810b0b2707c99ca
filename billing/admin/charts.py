"""What the month's days cost, as values for django-unfold's charts. Amounts travel as texts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.utils.safestring import SafeString

from metering.admin.figures import money
from metering.domain.money import EXACT, plain
from metering.domain.periods import Month
from metering.month_usage import DayCost

NAMED: Final = 6
"""So many models or owners have a colour of their own; the others are one."""

COLOURS: Final = ("#0369a1", "#0d9488", "#ca8a04", "#c2410c", "#7c3aed", "#be185d", "#94a3b8")
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's data and options as JSON, and what it shows in words."""

    data: str
    options: str
    words: str


def daily_by_model(costs: Iterable[DayCost], month: Month) -> Chart | None:
    """Cost by day, stacked by executed model, in the currency of most of it; `None`: no cost."""
    own, currency = _of_one_currency(costs)
    if not own:
        return None
    days = month.period.days()
    totals = _totals(own, lambda each: each.model)
    named = [name for name, _ in totals[:NAMED]]
    stacks: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for each in own:
        name = each.model if each.model in named else OTHERS
        at = each.day.day - 1
        stacks[name][at] = EXACT.add(stacks[name].get(at, Decimal(0)), each.cost)
    order = [*named, OTHERS] if OTHERS in stacks else named
    data = {
        "labels": [str(day.day) for day in days],
        "datasets": [
            {
                "label": name,
                "data": [plain(stacks[name].get(at, Decimal(0))) for at in range(len(days))],
                "backgroundColor": COLOURS[i if name != OTHERS else -1],
                "borderRadius": 2,
            }
            for i, name in enumerate(order)
        ],
    }
    whole = sum((cost for _, cost in totals), start=Decimal(0))
    words = f"Metered cost by day and model, {plain(whole)} {currency} in all."
    return Chart(json.dumps(data), _options(currency), words)


def split(
    costs: Iterable[DayCost], name_of: Callable[[DayCost], str]
) -> list[tuple[str, SafeString, str]]:
    """The largest names with their cost and part of the whole, the others summed up."""
    own, currency = _of_one_currency(costs)
    totals = _totals(own, name_of)
    rest = sum((cost for _, cost in totals[NAMED:]), start=Decimal(0))
    shown = [*totals[:NAMED], *([(OTHERS, rest)] if rest else [])]
    whole = sum((cost for _, cost in totals), start=Decimal(0))
    return [(name, money(cost, currency), _per_cent(cost, whole)) for name, cost in shown if cost]


def _per_cent(part: Decimal, whole: Decimal) -> str:
    if not whole:
        return "0"
    return str((EXACT.divide(part, whole) * 100).quantize(Decimal("0.1")))


def _of_one_currency(costs: Iterable[DayCost]) -> tuple[list[DayCost], str]:
    by_currency: dict[str, list[DayCost]] = defaultdict(list)
    for each in costs:
        if each.cost:
            by_currency[each.currency].append(each)
    if not by_currency:
        return [], ""
    currency = max(sorted(by_currency), key=lambda key: len(by_currency[key]))
    return by_currency[currency], currency


def _totals(
    costs: Sequence[DayCost], name_of: Callable[[DayCost], str]
) -> list[tuple[str, Decimal]]:
    totals: dict[str, Decimal] = {}
    for each in costs:
        name = name_of(each)
        totals[name] = EXACT.add(totals.get(name, Decimal(0)), each.cost)
    return sorted(totals.items(), key=lambda entry: (-entry[1], entry[0]))


def _options(currency: str) -> str:
    grey = "#94a3b8"
    return json.dumps(
        {
            "maintainAspectRatio": False,
            "animation": False,
            "interaction": {"mode": "index", "intersect": False},
            "plugins": {
                "legend": {
                    "position": "bottom",
                    "labels": {"boxWidth": 10, "boxHeight": 10, "color": grey},
                }
            },
            "scales": {
                "x": {"stacked": True, "grid": {"display": False}, "ticks": {"color": grey}},
                "y": {
                    "stacked": True,
                    "ticks": {"color": grey, "maxTicksLimit": 6},
                    "title": {"display": True, "text": currency, "color": grey},
                },
            },
        }
    )
