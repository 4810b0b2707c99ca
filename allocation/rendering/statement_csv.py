"""A statement as a table for a spreadsheet.

One row a line, and one row per bill and owner with what settling it in minor units added, so that
the column `amount` adds up to the total. Amounts are exact decimal strings with a point.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from allocation.domain.statements import Settlement, Statement, StatementLine
from allocation.rendering.statement_json import share_text
from metering.domain.money import EXACT, from_minor, plain

COLUMNS: Final = (
    "period",
    "mode",
    "state",
    "run",
    "row",
    "cost_centre",
    "tenant",
    "provider",
    "bill",
    "model",
    "strategy",
    "pool",
    "rule",
    "basis",
    "driver_value",
    "driver_total",
    "share",
    "amount",
    "currency",
)

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - the full-width signs are meant


def statement_csv(statement: Statement) -> str:
    """The statement's rows under a header; lines end in CR LF, as RFC 4180 has it."""
    return statements_csv([statement])


def statements_csv(statements: Iterable[Statement]) -> str:
    """The rows of several statements under one header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for statement in statements:
        head = [str(statement.period), statement.mode, statement.state, str(statement.run.number)]
        for line in statement.lines:
            writer.writerow([*head, *_line_cells(line), statement.currency])
        for settlement in statement.settlements:
            writer.writerow(
                [*head, *_rounding_cells(settlement, statement.currency), statement.currency]
            )
    return text.getvalue()


def guarded(text: str) -> str:
    """The text such that no spreadsheet takes it for a formula: a leading `'` where a cell would
    start with = + - @ (full width too), a tab or a line break, spaces before them aside (OWASP,
    CSV injection). Numbers are never passed through here, so a minus sign stays one."""
    if text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text


def _line_cells(line: StatementLine) -> list[str]:
    return [
        "line",
        guarded(line.cost_centre),
        guarded(line.tenant),
        guarded(line.provider),
        guarded(line.bill),
        guarded(line.model),
        guarded(line.strategy),
        guarded(line.pool),
        guarded(line.rule),
        guarded(line.basis),
        "" if line.driver_value is None else plain(line.driver_value),
        "" if line.driver_total is None else plain(line.driver_total),
        share_text(line) or "",
        plain(line.amount),
    ]


def _rounding_cells(settlement: Settlement, currency: str) -> list[str]:
    money = from_minor(settlement.amount_minor, currency)
    return [
        "rounding",
        guarded(settlement.cost_centre),
        guarded(settlement.tenant),
        guarded(settlement.provider),
        guarded(settlement.bill),
        *[""] * 8,
        plain(EXACT.subtract(money, settlement.exact)),
    ]
