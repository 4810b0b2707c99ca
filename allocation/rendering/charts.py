"""The pictures on a statement: Vega-Lite specifications drawn as SVG text, with no script in it.

A picture's numbers reach the renderer as decimal strings; binary numbers begin inside it, where
only the length of a bar depends on them. Every label is data, never part of a specification.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import vl_convert

from allocation.domain.statements import DayReading, StatementLine, sum_exact, totals_by
from allocation.rendering.figures import whole_amount
from metering.domain.money import plain
from metering.domain.periods import Month

DIRECT_COLOUR: Final = "#1d4e5f"
SHARED_COLOUR: Final = "#d39a3c"
MODEL_COLOURS: Final = ("#1d4e5f", "#4b9190", "#a6cbb0", "#d39a3c", "#a9502f", "#a4abb5")
"""Told apart by lightness as well as by hue; the last is for all the rest."""

BARS: Final = 8
"""At most so many bars; where there are more models, the last bar is for all the rest."""

NO_MODEL: Final = "not tied to a model"

_WEEKLY: Final = (
    "indexof([1, 8, 15, 22, 29], utcdate(datum.value)) < 0 ? '' : utcFormat(datum.value, '%-d %b')"
)
"""Every seventh day has a label: more of them run into each other."""

_FONT: Final = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_INK: Final = "#3b4754"
_RULE: Final = "#e3e7ea"


def by_model_svg(lines: Sequence[StatementLine], currency: str) -> str:
    """Horizontal bars of what is borne per executed model, direct and shared stacked."""
    totals = totals_by(lines, "model")
    largest = _first(sorted(totals, key=lambda model: (-abs(totals[model]), model)), BARS)
    named = {model: model or NO_MODEL for model in largest}
    rest = f"{len(totals) - len(largest)} others"
    parts: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for line in lines:
        part = "Shared" if line.shared else "Direct"
        parts[named.get(line.model, rest), part].append(line.amount)
    bars: dict[str, Decimal] = defaultdict(Decimal)
    ends: dict[str, Decimal] = defaultdict(Decimal)
    for (model, _), amounts in parts.items():
        amount = sum_exact(amounts)
        bars[model] = sum_exact([bars[model], amount])
        ends[model] = sum_exact([ends[model], max(amount, Decimal(0))])
    order = [*named.values(), *([rest] if rest in bars else [])]
    values = [
        {"model": model, "part": part, "amount": plain(sum_exact(amounts))}
        for (model, part), amounts in sorted(parts.items())
    ]
    labels = [
        {
            "model": model,
            "amount": plain(ends[model]),
            "label": whole_amount(bars[model], currency),
        }
        for model in order
    ]
    axis = {"title": None, "labelLimit": 170, "ticks": False, "domain": False, "labelPadding": 8}
    model_axis = {"field": "model", "type": "nominal", "sort": order, "axis": axis}
    bar = {
        "data": _data(values),
        "mark": {"type": "bar", "height": 15},
        "encoding": {
            "y": model_axis,
            "x": {"field": "amount", "type": "quantitative", "axis": None},
            "color": {
                "field": "part",
                "type": "nominal",
                "scale": {"domain": ["Direct", "Shared"], "range": [DIRECT_COLOUR, SHARED_COLOUR]},
                "legend": {"title": None, "orient": "top", "symbolType": "square"},
            },
            "order": {"field": "part"},
        },
    }
    text = {
        "data": _data(labels),
        "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11, "color": _INK},
        "encoding": {
            "y": model_axis,
            "x": {"field": "amount", "type": "quantitative"},
            "text": {"field": "label"},
        },
    }
    return _svg({"width": 210, "height": {"step": 25}, "layer": [bar, text]})


def by_day_svg(month: Month, days: Sequence[DayReading], currency: str) -> str:
    """Columns of metered cost per UTC day of the month, the costliest models stacked."""
    per_model: dict[str, list[Decimal]] = defaultdict(list)
    for reading in days:
        per_model[reading.model].append(reading.metered_cost)
    ranked = sorted(per_model, key=lambda model: (-sum_exact(per_model[model]), model))
    shown = _first(ranked, len(MODEL_COLOURS))
    named = {model: model or NO_MODEL for model in shown}
    rest = f"{len(ranked) - len(shown)} others"
    columns: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for day in month.period.days():
        columns[day.isoformat(), named[shown[0]]].append(Decimal(0))
    for reading in days:
        key = (reading.day.isoformat(), named.get(reading.model, rest))
        columns[key].append(reading.metered_cost)
    values = [
        {"day": day, "model": model, "amount": plain(sum_exact(amounts))}
        for (day, model), amounts in sorted(columns.items())
    ]
    domain = [*named.values(), *([rest] if len(ranked) > len(shown) else [])]
    for position, value in enumerate(domain):
        for row in values:
            if row["model"] == value:
                row["order"] = str(position)
    return _svg(
        {
            "width": 390,
            "height": 190,
            "data": _data(values),
            "mark": {"type": "bar"},
            "encoding": {
                "x": {
                    "field": "day",
                    "type": "ordinal",
                    "timeUnit": "utcyearmonthdate",
                    "scale": {"paddingInner": 0.25},
                    "axis": {
                        "title": None,
                        "labelExpr": _WEEKLY,
                        "labelAngle": 0,
                        "labelOverlap": False,
                        "ticks": False,
                        "grid": False,
                    },
                },
                "y": {
                    "field": "amount",
                    "type": "quantitative",
                    "axis": {"title": currency, "format": ",~f", "tickCount": 4, "ticks": False},
                },
                "color": {
                    "field": "model",
                    "type": "nominal",
                    "scale": {"domain": domain, "range": list(MODEL_COLOURS[: len(domain)])},
                    "legend": {
                        "title": None,
                        "orient": "top",
                        "columns": 2,
                        "symbolType": "square",
                        "labelLimit": 190,
                    },
                },
                "order": {"field": "order", "type": "quantitative"},
            },
        }
    )


def _first(ranked: Sequence[str], places: int) -> Sequence[str]:
    """As many as there are places, or one fewer and a place for all the rest."""
    return ranked if len(ranked) <= places else ranked[: places - 1]


def _data(values: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {
        "values": list(values),
        "format": {"parse": {"amount": "number", "order": "number"}},
    }


def _svg(picture: dict[str, Any]) -> str:
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "padding": 2,
        "config": {
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {
                "labelColor": _INK,
                "titleColor": _INK,
                "titleFontWeight": "normal",
                "gridColor": _RULE,
                "domainColor": "#9aa5b0",
                "labelFontSize": 11,
                "titleFontSize": 11,
            },
            "legend": {"labelColor": _INK, "labelFontSize": 11, "symbolSize": 90},
        },
        **picture,
    }
    text = msgspec.json.encode(specification).decode()
    return vl_convert.vegalite_to_svg(text, vl_version="5.21")
