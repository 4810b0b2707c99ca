"""Which spans of a trace count hangs on all that is known of it, and on nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metering.domain import traces
from metering.domain.call_reports import CallReport, Span, join, told_by
from metering.domain.traces import Call, Silent, calls_of, counting
from tests.metering.calls.call_reports import MODEL, USED, report

CALL = {**MODEL, **USED}


def spans_of(reports: list[CallReport]) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    for each in reports:
        told = told_by(each)
        known = spans.get(each.span_id)
        spans[each.span_id] = told if known is None else join(known, told)
    return spans


def standing(reports: list[CallReport]) -> dict[str, str]:
    """Each span's place in the end: `counts`, or why not."""
    spans = spans_of(reports)
    found = calls_of(spans)
    calls = {span_id: call for span_id, call in found.items() if isinstance(call, Call)}
    silent = {span_id: call for span_id, call in found.items() if isinstance(call, Silent)}
    silent |= counting(spans, calls)
    return {span_id: silent[span_id].reason if span_id in silent else "counts" for span_id in spans}


def child(span_id: str, parent: str | None, **different: Any) -> CallReport:
    return report(span_id, parent_span_id=parent, **{"fields": CALL, **different})


def agent(span_id: str, parent: str | None = None, **different: Any) -> CallReport:
    return child(span_id, parent, is_call=False, **different)


def test_only_the_leaves_of_nested_calls_count() -> None:
    assert standing([agent("a"), child("b", "a"), child("c", "b"), child("d", "b")]) == {
        "a": traces.NOT_A_CALL,
        "b": traces.IN_ITS_LEAVES,
        "c": "counts",
        "d": "counts",
    }


def test_a_leaf_is_found_through_spans_that_say_nothing() -> None:
    between = [agent("b", "a", fields={}), child("c", "b", is_call=None, fields={})]
    assert standing([child("a", None), *between, child("d", "c")])["a"] == traces.IN_ITS_LEAVES


def test_a_leaf_that_knows_all_its_ancestors_needs_no_span_between() -> None:
    leaf = child("d", None, ancestors=("a", "b", "c"))
    assert standing([child("a", None), leaf])["a"] == traces.IN_ITS_LEAVES


def test_a_leaf_that_is_void_gives_the_count_back() -> None:
    nested = [child("a", None), child("b", "a")]
    assert standing(nested)["a"] == traces.IN_ITS_LEAVES
    void = child("b", "a", is_call=False, fields={}, after=1)
    assert standing([*nested, void]) == {"a": "counts", "b": traces.NOT_A_CALL}


def test_a_call_without_usage_does_not_count_beside_one_that_has_it() -> None:
    assert standing([child("a", None, fields=MODEL), child("b", "a")]) == {
        "a": traces.IN_ITS_LEAVES,
        "b": "counts",
    }
    assert standing([child("a", None), child("b", "a", fields=MODEL)]) == {
        "a": "counts",
        "b": traces.IN_ITS_PARENT,
    }
    neither = [child("a", None, fields=MODEL), child("b", "a", fields=MODEL)]
    assert standing(neither) == {"a": traces.IN_ITS_LEAVES, "b": "counts"}


def test_what_a_span_waits_for_is_said() -> None:
    waiting = [
        child("kind", None, is_call=None, fields=MODEL),
        child("usage", None, fields=MODEL, ended=None),
        child("model", None, fields=USED),
        child("told", None, is_call=None),
    ]
    assert standing(waiting) == {
        "kind": traces.NO_KIND,
        "usage": traces.NO_USAGE,
        "model": traces.NO_MODEL,
        "told": "counts",
    }


def test_of_spans_that_name_one_another_as_parents_one_counts() -> None:
    assert standing([child("a", "b"), child("b", "a"), child("c", "c"), child("d", "b")]) == {
        "a": traces.IN_ITS_LEAVES,
        "b": traces.IN_ITS_LEAVES,
        "c": "counts",
        "d": "counts",
    }


def attribution(reports: list[CallReport], span_id: str) -> dict[str, Any]:
    call = calls_of(spans_of(reports))[span_id]
    assert isinstance(call, Call)
    return {name: value for name, value in call.fields.items() if name not in CALL}


def test_a_silent_call_takes_its_attribution_from_the_nearest_that_tells() -> None:
    root = agent("r", fields={"tenant_id": "acme", "environment": "dev", "user_id": "u"})
    middle = agent("m", "r", fields={"endpoint_tag": "chat", "tags": {"x": "1", "y": "1"}})
    own = {**CALL, "tags": {"x": "2"}}
    assert attribution([child("c", "m", fields=own), root, middle], "c") == {
        "tenant_id": "acme",
        "environment": "dev",
        "user_id": "u",
        "endpoint_tag": "chat",
        "tags": {"x": "2", "y": "1"},
    }


def test_the_trace_speaks_for_a_call_whose_parents_never_come() -> None:
    root = agent("t1", fields={"tenant_id": "acme", "endpoint_tag": "chat"})
    lost = child("c", "never-sent", fields={**CALL, "tenant_id": "globex"})
    assert attribution([root, lost], "c") == {"tenant_id": "globex", "endpoint_tag": "chat"}


def test_who_called_is_taken_over_whole() -> None:
    root = agent("r", fields={"user_id": "ann", "anon_id": "x"})
    assert attribution([root, child("c", "r", fields={**CALL, "anon_id": "y"})], "c") == {
        "anon_id": "y"
    }


SPAN_IDS = st.sampled_from(list("abcdef"))
REPORTS = st.builds(
    lambda span, parent, is_call, ended, fields, after: report(
        span, parent_span_id=parent, is_call=is_call, ended=ended, fields=fields, after=after
    ),
    SPAN_IDS,
    st.one_of(st.none(), SPAN_IDS),
    st.sampled_from([True, True, False, None]),
    st.sampled_from([True, None]),
    st.sampled_from([{}, MODEL, CALL, {**CALL, "output_tokens": 7}, {"tenant_id": "acme"}]),
    st.integers(0, 3),
)


@given(st.lists(REPORTS, min_size=1, max_size=12), st.randoms())
def test_what_counts_is_a_function_of_the_set_of_reports(
    reports: list[CallReport], order: Any
) -> None:
    shuffled = [*reports, *order.choices(reports, k=2)]
    order.shuffle(shuffled)
    assert standing(shuffled) == standing(reports)
    assert calls_of(spans_of(shuffled)) == calls_of(spans_of(reports))


@settings(max_examples=200)
@given(st.lists(REPORTS, min_size=1, max_size=12))
def test_of_a_chain_of_calls_one_counts(reports: list[CallReport]) -> None:
    spans = spans_of(reports)
    places = standing(reports)
    for span_id in spans:
        chain = [span_id]
        while (up := spans[chain[-1]].parent if chain[-1] in spans else None) is not None:
            if up in chain:
                break
            chain.append(up)
        else:
            counted = [each for each in chain if places.get(each) == "counts"]
            assert len(counted) <= 1


@given(st.lists(REPORTS, min_size=1, max_size=12))
def test_usage_that_is_told_is_counted_somewhere(reports: list[CallReport]) -> None:
    """Whatever has its usage elsewhere names a call that counts."""
    spans = spans_of(reports)
    found = calls_of(spans)
    calls = {span_id: call for span_id, call in found.items() if isinstance(call, Call)}
    silent = counting(spans, calls)
    if any(call.has_usage for call in calls.values()):
        assert calls.keys() - silent.keys()
    for each in silent.values():
        assert each.by in calls
        assert each.by not in silent


def endpoint_of(*reports: CallReport) -> object:
    call = calls_of(spans_of(list(reports)))["c"]
    assert isinstance(call, Call)
    return call.fields.get("endpoint_tag")


def test_what_is_told_above_holds_against_what_is_supposed_beneath() -> None:
    call = child("c", "b", fields={**CALL, "~~endpoint_tag": "service"})
    middle = agent("b", "a", fields={"~~endpoint_tag": "agent"})
    top = agent("a", fields={"endpoint_tag": "checkout"})
    silent = child("c", "b")
    assert endpoint_of(call, middle, top) == "checkout"
    assert endpoint_of(silent, middle, top) == "checkout"
    assert endpoint_of(call, middle) == "service"
    assert endpoint_of(silent, middle) == "agent"
    told = child("c", "b", fields={**CALL, "endpoint_tag": "own"})
    assert endpoint_of(told, middle, top) == "own"
