"""What the month's days cost, as values for django-unfold's charts. Amounts travel as texts."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.utils.safestring import SafeString

from metering.admin.figures import money
from metering.domain.money import EXACT, plain
from metering.domain.periods import Month
from metering.month_usage import DayCost, NamedCost

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


def main_currency(costs: Iterable[DayCost]) -> str:
    """The currency of most days' and models' cost (the first of several); empty: no cost."""
    used = Counter(each.currency for each in costs if each.cost)
    return min(used, key=lambda currency: (-used[currency], currency), default="")


def daily_by_model(costs: Iterable[DayCost], currency: str, month: Month) -> Chart | None:
    """Cost in a currency by day, stacked by executed model; `None`: no cost."""
    own = [each for each in costs if each.cost and each.currency == currency]
    if not own:
        return None
    days = month.period.days()
    totals = _totals((each.model, each.cost) for each in own)
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


def split(costs: Iterable[NamedCost], currency: str) -> list[tuple[str, SafeString, str]]:
    """The largest names with their cost in a currency and part of the whole, the others summed
    up."""
    totals = _totals((each.name, each.cost) for each in costs if each.currency == currency)
    rest = sum((cost for _, cost in totals[NAMED:]), start=Decimal(0))
    shown = [*totals[:NAMED], *([(OTHERS, rest)] if rest else [])]
    whole = sum((cost for _, cost in totals), start=Decimal(0))
    return [(name, money(cost, currency), _per_cent(cost, whole)) for name, cost in shown if cost]


def _per_cent(part: Decimal, whole: Decimal) -> str:
    if not whole:
        return "0"
    return str((EXACT.divide(part, whole) * 100).quantize(Decimal("0.1")))


def _totals(costs: Iterable[tuple[str, Decimal]]) -> list[tuple[str, Decimal]]:
    totals: dict[str, Decimal] = {}
    for name, cost in costs:
        totals[name] = EXACT.add(totals.get(name, Decimal(0)), cost)
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
