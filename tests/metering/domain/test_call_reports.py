"""What is known of a span is the same in whatever order, and however often, it was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import (
    SUPPOSED,
    CallReport,
    Span,
    first_said,
    join,
    told_by,
    told_once,
)
from tests.metering.calls.call_reports import report
from tests.metering.events import NOON

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "input_tokens": st.integers(0, 3),
    "output_tokens": st.integers(0, 3),
    "usage": st.fixed_dictionaries({"prompt_tokens": st.integers(0, 3)}),
    "usage_quality": st.sampled_from(["estimated", "provider_reported"]),
    "model": st.sampled_from(["a", "b", None]),
    f"{SUPPOSED}model": st.sampled_from(["c", "d"]),
    f"{SUPPOSED}input_tokens": st.integers(4, 6),
    "tags": st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
}
REPORTS = st.builds(
    lambda fields, after, rank, is_call, ended, parent, ancestors: report(
        fields=fields,
        after=after,
        rank=rank,
        is_call=is_call,
        ended=ended,
        parent_span_id=parent,
        ancestors=tuple(ancestors),
    ),
    st.fixed_dictionaries({}, optional=VALUES),
    st.integers(0, 2),
    st.integers(0, 1),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, True]),
    st.sampled_from([None, "p", "q"]),
    st.lists(st.sampled_from("ab"), max_size=2),
)


@given(
    told=REPORTS,
    ended_at=st.sampled_from([None, NOON + timedelta(seconds=3)]),
    timed=st.booleans(),
)
def test_a_span_of_one_report_says_what_the_report_says(
    told: CallReport,
    ended_at: datetime | None,
    timed: bool,  # noqa: FBT001 - drawn
) -> None:
    fields = {**told.fields, "occurred_at": NOON.isoformat() if timed else None}
    whole = msgspec.structs.replace(told, fields=fields, ended_at=ended_at)
    span, once = told_by(whole), told_once(whole, fields)
    assert (once.fields(), once.supposed()) == (span.fields(), span.supposed())
    assert (once.parent, [*once.ancestors]) == (span.parent, [*span.ancestors])
    assert (once.is_call, once.ended) == (span.is_call, span.ended)
    assert once.said_at == first_said(span)


def known(reports: list[CallReport]) -> Span:
    return reduce(join, map(told_by, reports))


@given(st.lists(REPORTS, min_size=1, max_size=6), st.randoms())
def test_order_and_repetition_change_nothing(reports: list[CallReport], order: Any) -> None:
    shuffled = [*reports, *order.choices(reports, k=3)]
    order.shuffle(shuffled)
    assert known(shuffled) == known(reports)
    assert known(shuffled).fields() == known(reports).fields()


@given(st.lists(REPORTS, min_size=3, max_size=3))
def test_parts_are_joined_in_any_grouping(reports: list[CallReport]) -> None:
    a, b, c = map(told_by, reports)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a
    assert join(a, b) == join(b, a)


def test_the_later_message_wins_field_by_field() -> None:
    created = report(fields={"model": "gpt-4o", "endpoint_tag": "chat"}, after=1)
    updated = report(fields={"model": "gpt-4o-mini", "input_tokens": 5}, after=2)
    assert known([updated, created]).fields() == {
        "model": "gpt-4o-mini",
        "endpoint_tag": "chat",
        "input_tokens": 5,
    }


def test_at_the_same_instant_the_rank_decides() -> None:
    updated = report(fields={"model": "b"}, rank=1)
    created = report(fields={"model": "z"}, rank=0)
    assert known([updated, created]).fields() == {"model": "b"}


def test_tags_are_told_one_by_one() -> None:
    spans = [
        report(fields={"tags": {"team": "growth", "tier": "free"}}),
        report(fields={"tags": {"tier": "pro"}}, after=1),
    ]
    assert known(spans).fields() == {"tags": {"team": "growth", "tier": "pro"}}


def test_nothing_said_takes_nothing_back() -> None:
    silent = report(fields={"model": None, "tags": None}, after=9, is_call=None, ended=None)
    told = report(fields={"model": "a"}, parent_span_id="p")
    together = known([told, silent])
    assert together.fields() == {"model": "a"}
    assert (together.parent, together.is_call, together.ended) == ("p", True, True)


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ({"usage": {"a": 1}, "usage_format": "x"}, {"input_tokens": 2}, {"input_tokens": 2}),
        ({"input_tokens": 2, "output_tokens": 1}, {"usage": {"a": 1}}, {"usage": {"a": 1}}),
        (
            {"output_tokens": 2, "usage_quality": "estimated"},
            {"output_tokens": 3},
            {"output_tokens": 3},
        ),
    ],
    ids=["counts after the object", "the object after counts", "an estimate before the report"],
)
def test_what_a_later_message_says_of_usage_is_not_held_to_an_older_one(
    first: dict[str, Any], second: dict[str, Any], left: dict[str, Any]
) -> None:
    assert known([report(fields=first), report(fields=second, after=1)]).fields() == left
    both = {**second, **first}
    assert known([report(fields=both)]).fields() == both


def test_when_it_was_first_told_is_kept_to_the_microsecond() -> None:
    at = NOON + timedelta(microseconds=123_457)
    assert first_said(known([report(said_at=at), report(after=5)])) == at


def test_what_is_supposed_holds_until_somebody_tells() -> None:
    """However late the supposition and however early the word."""
    supposed = report(fields={f"{SUPPOSED}endpoint_tag": "chain"}, after=9)
    assert known([supposed]).fields() == {"endpoint_tag": "chain"}
    said = report(fields={"endpoint_tag": "checkout"}, after=0)
    assert known([supposed, said]).fields() == {"endpoint_tag": "checkout"}


def test_estimates_hold_of_a_call_that_is_over_and_whose_usage_nobody_told() -> None:
    asked = report(fields={f"{SUPPOSED}input_tokens": 12}, after=0, ended=None)
    answered = report(fields={f"{SUPPOSED}output_tokens": 3}, after=9, ended=True)
    assert known([asked]).fields() == {}
    assert known([asked, answered]).fields() == {
        "input_tokens": 12,
        "output_tokens": 3,
        "usage_quality": "estimated",
    }
    for told in ({"input_tokens": 14}, {"usage": {"prompt_tokens": 14}}):
        assert known([asked, answered, report(fields=told, after=5)]).fields() == told
    failed = report(fields={"status": "error"}, after=9)
    assert known([asked, answered, failed]).fields() == {"status": "error"}


@pytest.mark.parametrize(
    ("began", "seconds", "latency"),
    [
        (NOON.isoformat(), 1.5, 1500),
        (NOON.isoformat().replace("+00:00", "Z"), 0, 0),
        (NOON.isoformat(), -1, None),
        (NOON.isoformat(), 2_000_000, None),
        ("no time", 1, None),
        (None, 1, None),
    ],
)
def test_the_latency_is_told_by_two_messages(
    began: str | None, seconds: float, latency: int | None
) -> None:
    start = report(fields={} if began is None else {"occurred_at": began}, ended=None)
    end = report(fields={}, ended_at=NOON + timedelta(seconds=seconds))
    assert known([end, start]).fields().get("latency_ms") == latency
    told = report(fields={"latency_ms": 7})
    assert known([end, told, start]).fields()["latency_ms"] == 7
