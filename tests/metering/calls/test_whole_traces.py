"""A trace that is told as a whole comes to what it would come to span by span."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zstandard import ZstdDecompressor

from metering.calls.made_events import Maker
from metering.calls.report_admission import Admission
from metering.calls.trace_rows import TraceName, spans_told, text_of
from metering.calls.trace_settlement import settle
from metering.calls.whole_traces import decide, spans_of
from metering.domain.call_reports import SUPPOSED, CallReport, Span, join, told_by
from metering.domain.traces import Call
from metering.domain.usage import Rejection
from metering.ingestion import Books
from metering.prepared_events import PreparedEvent
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.calls.test_call_reports import counted, kinds, told
from tests.metering.events import NOON, NOW
from tests.metering.test_dispositions import rows, totals

TRACE = TraceName("test", "", "t1")
CALL = {**MODEL, **USED, "occurred_at": NOON.isoformat()}
SELDOM = {"shares", f"{SUPPOSED}workflow"}
SPAN_IDS = ("t1", "a", "b", "c")
"""The first is the trace's own."""

FIELDS = st.sampled_from(
    [
        CALL,
        {**CALL, "occurred_at": None, "user_id": "ada", "tags": {"team": "growth"}},
        {**CALL, f"{SUPPOSED}endpoint_tag": "chat", "latency_ms": 5},
        {**MODEL, f"{SUPPOSED}input_tokens": 12},
        {"tenant_id": "acme", "endpoint_tag": "search", "tags": {"plan": None}},
        {**CALL, "units": {"web_search": "2"}},
        {},
        {**CALL, "cached_input_tokens": 9_999},
        {**CALL, "model": "m" * 300},
        {**CALL, "tenant_id": ["acme"]},
        {**CALL, f"{SUPPOSED}workflow": ""},
        {**CALL, "provider": "opnai"},
        {**CALL, "occurred_at": "2030-01-01T00:00:00Z"},
        {**CALL, "shares": [{"tenantId": "acme", "inputTokens": 1, "outputTokens": 1}]},
    ]
)


def spans(draw: Any) -> list[CallReport]:
    """Spans of one trace, most of them told once."""
    ids = SPAN_IDS[: draw(st.integers(1, 4))]
    again = draw(st.lists(st.sampled_from(ids), max_size=2))
    return [
        report(
            span_id,
            after=draw(st.integers(0, 2)),
            parent_span_id=draw(st.sampled_from([None, *SPAN_IDS, "elsewhere"])),
            ancestors=draw(st.sampled_from([(), (), ("a",), ("elsewhere", "b")])),
            is_call=draw(st.sampled_from([True, True, False, None])),
            ended=draw(st.sampled_from([True, True, None])),
            ended_at=draw(st.sampled_from([None, NOON])),
            rank=draw(st.integers(0, 1)),
            fields=draw(FIELDS),
        )
        for span_id in draw(st.permutations([*ids, *again]))
    ]


WHOLE = st.composite(spans)()


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WHOLE)
def test_a_whole_trace_comes_to_what_its_spans_come_to(reports: list[CallReport]) -> None:
    books = Books.current()
    admission, maker = Admission("test", None, books.hash_key, NOW), Maker(books, NOW)
    whole = decide(TRACE, reports, admission=admission, maker=maker, now=NOW)
    checked = [admission.checked(each) for each in reports]
    known: dict[str, Span] = {}
    adds = True
    for each in checked:
        if isinstance(each, CallReport):
            told = told_by(each)
            before = known.get(each.span_id)
            known[each.span_id] = told if before is None else join(before, told)
            adds = adds and known[each.span_id] != before

    def build(span_id: str, call: Call, version: int, said_at: Any) -> PreparedEvent | Rejection:
        return maker.made(TRACE, span_id, call, version, said_at)

    settled = settle(known, {}, build)
    if whole is None:
        assert (
            any(isinstance(each, Rejection) for each in checked)
            or not adds
            or settled.refused
            or any(
                state.place == "waiting" and (span_id, state.reason) != ("t1", "waiting_for_kind")
                for span_id, state in settled.states.items()
            )
            or any(SELDOM & each.fields.keys() for each in reports)
        ), "an ordinary trace goes the long way"
        return
    assert adds
    assert not any(isinstance(each, Rejection) for each in checked)
    assert whole.events == settled.events
    kept = spans_of(TRACE, whole.told)
    assert {span_id: row.state for span_id, row in kept.items()} == settled.states
    assert {span_id: row.text for span_id, row in kept.items()} == {
        span_id: text_of(span) for span_id, span in known.items()
    }


def span_rows() -> list[tuple[Any, ...]]:
    return rows("SELECT span_id, place, version FROM call_span ORDER BY 1")


@pytest.mark.django_db
def test_a_whole_trace_has_one_row_until_more_is_told_of_it() -> None:
    top = report("top", is_call=False, fields={"tenant_id": "acme"})
    leaf = report("leaf", parent_span_id="top")
    assert kinds(told(top, leaf)) == ["accepted: not_a_call", "accepted"]
    assert span_rows() == []
    before = totals()
    assert kinds(told(leaf, top)) == ["duplicate", "duplicate: not_a_call"]
    assert kinds(told(leaf)) == ["duplicate"]
    assert (span_rows(), totals()) == ([], before)
    late = report("leaf", after=5, fields={"endpoint_tag": "chat"})
    assert kinds(told(late)) == ["amended"]
    assert span_rows() == [("leaf", "counted", 2), ("top", "silent", 0)]
    assert rows("SELECT told FROM call_trace") == [(None,)]
    assert kinds(told(late, top, leaf)) == ["duplicate", "duplicate: not_a_call", "duplicate"]
    assert counted()[0] == 1


@pytest.mark.django_db
def test_a_span_that_comes_after_a_whole_trace_takes_the_usage_of_the_one_above_it() -> None:
    assert kinds(told(report("top"), report("other"))) == ["accepted", "accepted"]
    assert kinds(told(report("leaf", parent_span_id="top"))) == ["accepted"]
    assert [each[0] for each in span_rows()] == ["leaf", "other", "top"]
    assert counted()[0] == 2


@pytest.mark.django_db
def test_a_call_that_is_created_and_updated_in_one_batch_is_told_as_a_whole() -> None:
    begun = report("a", ended=None, fields={**MODEL, "tenant_id": "acme"})
    over = report("a", after=1, fields=USED)
    assert kinds(told(begun, over)) == ["accepted", "accepted"]
    assert span_rows() == []
    before = totals()
    assert kinds(told(over, begun)) == ["duplicate", "duplicate"]
    assert (counted()[0], totals()) == (1, before)
    assert kinds(told(report("a", after=2, fields={"endpoint_tag": "chat"}))) == ["amended"]
    assert span_rows() == [("a", "counted", 2)]
    assert counted()[0] == 1


@pytest.mark.django_db
def test_a_report_that_adds_nothing_to_another_of_its_batch_is_told_so() -> None:
    chain = report("a", is_call=False, fields={"tenant_id": "acme"})
    assert kinds(told(chain, chain)) == ["accepted: not_a_call", "duplicate: not_a_call"]
    assert [each[0] for each in span_rows()] == ["a"]


@pytest.mark.django_db
def test_a_trace_that_was_stored_unpacked_is_known_too() -> None:
    """As all were before whole traces were packed."""
    assert kinds(told(report("a"), report("b"))) == ["accepted", "accepted"]
    [(packed,)] = rows("SELECT told FROM call_trace")
    plain = ZstdDecompressor().decompress(packed)
    assert plain.startswith(b"[[")
    assert spans_told(packed) == spans_told(plain)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE call_trace SET told = %s", [plain])
    assert kinds(told(report("b"))) == ["duplicate"]
    assert kinds(told(report("a", after=1, fields={"endpoint_tag": "chat"}))) == ["amended"]
    assert counted()[0] == 2
