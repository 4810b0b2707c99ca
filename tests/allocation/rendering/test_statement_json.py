"""The JSON form holds every digit as a string, and what it says adds up."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from allocation.domain.statements import Statement, sum_exact
from allocation.rendering.statement_json import statement_value


def floats_in(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, dict):
        return [f for v in value.values() for f in floats_in(v)]
    if isinstance(value, list):
        return [f for v in value for f in floats_in(v)]
    return []


def test_it_is_plain_json_without_binary_floats(statement: Statement) -> None:
    value = json.loads(json.dumps(statement_value(statement)))
    assert floats_in(value) == []


def test_lines_and_rounding_are_the_total(statement: Statement) -> None:
    value = statement_value(statement)
    lines = sum_exact(Decimal(line["amount"]) for line in value["lines"])
    assert lines + Decimal(value["rounding"]) == Decimal(value["total"])
    assert sum(s["amount_minor"] for s in value["settlements"]) == value["total_minor"]
    assert Decimal(value["direct"]) + Decimal(value["shared"]) == lines


def test_each_measured_line_shows_what_it_came_from(statement: Statement) -> None:
    for line in statement_value(statement)["lines"]:
        ratio = Decimal(line["driver_value"]) / Decimal(line["driver_total"])
        assert abs(Decimal(line["share"]) - ratio) <= Decimal("1E-12")
        assert line["basis"]


def test_it_carries_the_digests(statement: Statement) -> None:
    value = statement_value(statement)
    assert value["digest"] == statement.digest
    assert value["run"]["digest"] == statement.run.digest
    assert value["evidence"]["digest"] == statement.evidence.digest
