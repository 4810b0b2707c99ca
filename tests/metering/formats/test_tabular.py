"""Rows of tables: which column carries what, and that cells are converted exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import native
from metering.formats.tabular import UnfitColumns, parse_row, plan_columns

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEAST: dict[str, object] = {
    "externalRequestId": "r1",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputTokens": "540",
}


def parse(cells: dict[str, Any], **column_map: str) -> UsageEvent | Rejection:
    row = {**LEAST, **cells}
    columns = plan_columns(tuple(row), column_map)
    return parse_row(tuple(row.values()), columns, place="line 9", source="erp", received_at=NOW)


def accepted(cells: dict[str, Any], **column_map: str) -> UsageEvent:
    event = parse(cells, **column_map)
    assert isinstance(event, UsageEvent), event
    return event


def test_mapped_and_native_columns_are_used_and_the_rest_is_named() -> None:
    columns = plan_columns(
        ("Request", "provider", "model", "Model used", "inputTokens", "Remark", "tags.team"),
        {"externalRequestId": "Request", "model": "Model used"},
    )
    assert {(c.name, c.field, c.entry) for c in columns.used} == {
        ("Request", "externalRequestId", ""),
        ("Model used", "model", ""),
        ("provider", "provider", ""),
        ("inputTokens", "inputTokens", ""),
        ("tags.team", "tags", "team"),
    }
    assert columns.ignored == ("model", "Remark")


@pytest.mark.parametrize(
    ("names", "column_map", "said"),
    [
        (tuple(LEAST), {"outputTokens": "Out"}, r"'Out', mapped to outputTokens, is not .*'model'"),
        (tuple(LEAST), {"outputs": "model"}, r"'outputs' is no field.*outputTokens"),
        (("provider", "model", "inputTokens"), {}, r"required externalRequestId.*'provider'"),
        (("externalRequestId", "provider", "model"), {}, r"no column carries any usage"),
        ((*LEAST, "model"), {}, r"'model' is there more than once"),
        (("a;b;c",), {}, r"something other than commas"),
    ],
)
def test_columns_that_do_not_fit(
    names: tuple[str, ...], column_map: dict[str, str], said: str
) -> None:
    with pytest.raises(UnfitColumns, match=said):
        plan_columns(names, column_map)


@pytest.mark.parametrize(
    "cell", ["540", " 540 ", "540.0", 540, 540.0, Decimal(540), Decimal("5.4E+2")]
)
def test_integers_that_are_exactly_one(cell: object) -> None:
    assert accepted({"inputTokens": cell}).input_tokens == 540


@pytest.mark.parametrize(
    "cell",
    ["1,000", "1.000,0", "540.5", "5e2", "1_000", "٥٤٠", "abc", 540.5, 1e300, True, b"5", [1]],
)
def test_integers_that_are_not_are_refused_with_column_and_value(cell: object) -> None:
    rejection = parse({"Prompt": cell}, inputTokens="Prompt")
    assert isinstance(rejection, Rejection)
    assert (rejection.place, rejection.reason, rejection.key) == ("line 9", "wrong_type", "r1")
    assert "column 'Prompt' (inputTokens)" in rejection.message
    assert f"{cell!r}" in rejection.message


@pytest.mark.parametrize("empty", ["", None, float("nan")])
def test_an_empty_cell_is_absent(empty: object) -> None:
    event = accepted({"outputTokens": empty, "inputTokens": "1"})
    assert event.output_tokens is None


def test_objects_are_json_text_or_nested() -> None:
    shares = [{"tenantId": "a", "inputTokens": 500}]
    as_text = accepted({"tags": '{"a":"1"}', "tags.team": "growth", "shares": json.dumps(shares)})
    assert as_text == accepted({"tags": {"a": "1"}, "tags.team": "growth", "shares": shares})
    assert as_text.tags == {"a": "1", "team": "growth"}
    usage = accepted({"usage": '{"prompt_tokens": 540, "cost": 0.10}'})
    assert usage.usage_quality == "provider_reported"
    assert usage.usage == '{"cost":0.10,"prompt_tokens":540}'


def test_units_are_exact() -> None:
    event = accepted({"units.audio_seconds": "0.1", "units.images": Decimal("2.50")})
    assert event.units == {"audio_seconds": Decimal("0.1"), "images": Decimal("2.5")}
    rejection = parse({"units.audio_seconds": 0.1})
    assert isinstance(rejection, Rejection)
    assert "DECIMAL" in rejection.message


@pytest.mark.parametrize(
    ("cell", "at"),
    [
        ("2026-10-03T12:00:00Z", datetime(2026, 10, 3, 12, tzinfo=UTC)),
        ("2026-10-03 14:00:00.5+02:00", datetime(2026, 10, 3, 12, 0, 0, 500000, tzinfo=UTC)),
        (
            datetime(2026, 10, 3, 14, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 10, 3, 12, tzinfo=UTC),
        ),
    ],
)
def test_times_with_a_zone(cell: object, at: datetime) -> None:
    assert accepted({"occurredAt": cell}).occurred_at == at


def test_times_without_a_zone_need_a_word() -> None:
    naive = datetime(2026, 10, 3, 12)  # noqa: DTZ001 - as a table without zones holds it
    for cell in ("2026-10-03 12:00:00", naive):
        rejection = parse({"occurredAt": cell})
        assert isinstance(rejection, Rejection)
        assert "--naive-utc" in rejection.message
        row = {**LEAST, "occurredAt": cell}
        columns = plan_columns(tuple(row), {}, naive_utc=True)
        event = parse_row(
            tuple(row.values()), columns, place="row 1", source="erp", received_at=NOW
        )
        assert isinstance(event, UsageEvent)
        assert event.occurred_at == naive.replace(tzinfo=UTC)
    assert isinstance(parse({"occurredAt": "2026-10-03"}), Rejection)


def test_truth() -> None:
    assert accepted({"batch": "TRUE"}).batch
    assert not accepted({"batch": False}).batch
    assert isinstance(parse({"batch": "yes"}), Rejection)


def test_what_the_native_event_refuses_is_refused_here() -> None:
    rejection = parse({"latencyMs": "-1"})
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "out_of_range"
    assert accepted({"cachedInputTokens": "-1"}).usage_quality == "inconsistent"
    assert accepted({"cachedInputTokens": "541"}).usage_quality == "inconsistent"
    rejection = parse({"userId": "a\x00b"})
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "control_character"
    for cell, reason in ((" ", "empty_field"), ("ac\u2066me", "invisible_character")):
        rejection = parse({"tenantId": cell})
        assert isinstance(rejection, Rejection)
        assert rejection.reason == reason


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals()


@given(st.lists(cells | st.datetimes() | st.binary(), min_size=46, max_size=46))
def test_no_cell_raises(row: list[object]) -> None:
    names = (*sorted(native.FIELDS), "tags.a", "units.b", "x", "y")
    columns = plan_columns(names[:46], {})
    result = parse_row(row, columns, place="row 1", source="erp", received_at=NOW)
    assert isinstance(result, UsageEvent | Rejection)
