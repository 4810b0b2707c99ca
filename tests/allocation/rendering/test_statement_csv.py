"""The CSV adds up to the total, to the last digit, and no spreadsheet runs anything in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal

import pytest

from allocation.domain.statements import Statement, sum_exact
from allocation.rendering.statement_csv import COLUMNS, guarded, statement_csv


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_amounts_add_up_to_the_settled_total(statement: Statement) -> None:
    rows = rows_of(statement_csv(statement))
    assert sum_exact(Decimal(row["amount"]) for row in rows) == statement.total
    assert [row["row"] for row in rows].count("line") == len(statement.lines)
    assert {row["currency"] for row in rows} == {"USD"}


def test_amounts_keep_every_digit_and_negative_ones_stay_numbers(
    of_lines: Callable[..., Statement], make_line: Callable[..., object]
) -> None:
    exact = Decimal("-0.000000000001")
    row = rows_of(statement_csv(of_lines((make_line(amount=exact),))))[0]
    assert row["amount"] == "-0.000000000001"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\N{FULLWIDTH EQUALS SIGN}1",
        "\N{FULLWIDTH HYPHEN-MINUS}1",
        '=HYPERLINK("x")',
    ],
)
def test_text_that_a_spreadsheet_would_run_is_quoted(
    text: str, with_text: Callable[[str], Statement]
) -> None:
    rows = rows_of(statement_csv(with_text(text)))
    outside = {"cost_centre", "tenant", "provider", "bill", "model", "strategy", "pool", "basis"}
    for column in outside:
        assert rows[0][column] == "'" + text
    assert rows[0]["amount"] == "10.5"


@pytest.mark.parametrize("text", ["", "acme", "a=b", "cc-growth", "o4-mini", 'say "hi", twice'])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert guarded(text) == text


def test_commas_quotes_and_line_breaks_survive(with_text: Callable[[str], Statement]) -> None:
    text = 'Growth, "North"\nand South'
    assert rows_of(statement_csv(with_text(text)))[0]["tenant"] == text


def test_the_header_is_the_documented_one(statement: Statement) -> None:
    assert statement_csv(statement).split("\r\n", 1)[0] == ",".join(COLUMNS)
