"""Bill lines and metered cells: each gets one verdict, whatever the order they come in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.domain.bill_lines import BillLine, LineKind
from allocation.domain.matching import (
    EmptyGroup,
    Group,
    Join,
    Verdict,
    comparable_quantity,
    is_capacity,
    match,
    undated,
)
from metering.domain.cells import Cell, MeteredCell
from metering.domain.price_book import CAPACITY_TIERS
from tests.allocation.domain.bills import DAY, bill_line, reading


def hows(bill: Sequence[BillLine], metered: Sequence[MeteredCell]) -> list[tuple[Join, Verdict]]:
    return [(g.how, g.verdict) for g in match(bill, metered).groups]


def test_the_same_cell_on_both_sides_matches_exactly() -> None:
    bill = [bill_line(1, project="p", tier="standard")]
    metered = [reading(project="p", owner="a"), reading(project="p", owner="b")]
    (group,) = match(bill, metered).groups
    assert (group.how, group.verdict) == ("exact", "matched")
    assert group.bill == tuple(bill)
    assert [m.owner.cost_centre for m in group.metered] == ["a", "b"]
    assert group.cell == Cell("openai", "p", DAY, "gpt-4o-2024-08-06", "input", "standard")


def test_what_has_no_counterpart_stands_alone() -> None:
    bill = [bill_line(1, model="o3-2025-04-16")]
    assert hows(bill, [reading()]) == [("none", "metered_only"), ("none", "bill_only")]


def test_a_tier_that_the_bill_leaves_open_is_settled_by_all_tiers_together() -> None:
    bill = [bill_line(1, quantity=30)]
    metered = [reading(tier="standard", quantity=20), reading(tier="batch", quantity=10)]
    (group,) = match(bill, metered).groups
    assert (group.how, group.cell.tier) == ("tier", "")
    assert group.billed_quantity == group.metered_quantity == 30


def test_a_batch_line_leaves_the_open_line_to_the_standard_calls() -> None:
    bill = [bill_line(1, quantity=20), bill_line(2, tier="batch", quantity=10)]
    metered = [reading(tier="standard", quantity=20), reading(tier="batch", quantity=10)]
    assert {g.cell.tier: g.how for g in match(bill, metered).groups} == {
        "standard": "tier",
        "batch": "exact",
    }


def test_usage_without_project_joins_the_projects_that_the_bill_counts_more_of() -> None:
    bill = [bill_line(1, project="p", quantity=10), bill_line(2, project="q", quantity=30)]
    metered = [reading(project="p", quantity=10), reading(project="", quantity=30)]
    groups = {g.bill[0].line_no: g for g in match(bill, metered).groups}
    assert groups[1].how == "tier"
    assert groups[2].how == "project"
    assert [m.cell.project for m in groups[2].metered] == [""]


def test_usage_without_project_also_fills_up_a_project_that_is_half_known() -> None:
    bill = [bill_line(1, project="p", quantity=40)]
    metered = [reading(project="p", quantity=10), reading(project="", quantity=30)]
    (group,) = match(bill, metered).groups
    assert group.how == "project"
    assert group.metered_quantity == 40


def test_a_bill_without_projects_is_settled_by_all_projects_together() -> None:
    metered = [reading(project="p"), reading(project="q")]
    (group,) = match([bill_line(1, quantity=20)], metered).groups
    assert (group.how, group.cell.project) == ("project", "")


def test_two_known_projects_never_meet() -> None:
    assert len(match([bill_line(1, project="p")], [reading(project="q")]).groups) == 2


@pytest.mark.parametrize(
    ("snapshot", "alias"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-haiku@20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("gpt-4o", "gpt-4o"),
        ("o3-mini-2025", "o3-mini-2025"),
        ("model-123456789", "model-123456789"),
    ],
)
def test_only_a_date_at_the_end_makes_a_snapshot(snapshot: str, alias: str) -> None:
    assert undated(snapshot) == alias


def test_an_alias_joins_its_snapshot_also_when_the_project_is_unknown() -> None:
    bill = [bill_line(1, project="p", model="gpt-4o-2024-08-06")]
    (group,) = match(bill, [reading(model="gpt-4o")]).groups
    assert (group.how, group.cell.model) == ("alias", "gpt-4o-2024-08-06")


def test_two_snapshots_of_one_alias_are_two_models() -> None:
    bill = [bill_line(1, model="gpt-4o-2024-05-13")]
    assert len(match(bill, [reading(model="gpt-4o-2024-08-06")]).groups) == 2


def test_an_alias_leaves_a_snapshot_in_peace_that_already_agrees() -> None:
    bill = [bill_line(1, model="gpt-4o-2024-08-06"), bill_line(2, model="gpt-4o-2024-11-20")]
    metered = [reading(model="gpt-4o-2024-08-06"), reading(model="gpt-4o")]
    groups = {g.bill[0].line_no: g for g in match(bill, metered).groups}
    assert {m.cell.model for m in groups[1].metered} == {"gpt-4o-2024-08-06"}
    assert {m.cell.model for m in groups[2].metered} == {"gpt-4o"}


def test_a_day_that_the_bill_does_not_break_down_pays_for_all_that_is_left_of_it() -> None:
    bill = [
        bill_line(1, model="", token_class="", quantity=None),
        bill_line(2, tier="standard"),
    ]
    metered = [reading(), reading(model="o3"), reading(model="o3", token_class="output")]
    groups = {g.bill[0].line_no: g for g in match(bill, metered).groups}
    assert groups[2].how == "exact"
    assert (groups[1].how, {m.cell.model for m in groups[1].metered}) == ("day", {"o3"})


def test_two_whole_day_lines_share_a_day_whose_projects_are_unknown() -> None:
    bill = [
        bill_line(n, project=p, model="", token_class="", quantity=None)
        for n, p in enumerate(("p", "q"), 1)
    ]
    (group,) = match(bill, [reading(cost="9"), reading(model="o3", cost="9")]).groups
    assert (len(group.bill), len(group.metered)) == (2, 2)
    assert group.cell == Cell("openai", "", DAY, "", "input", "standard")


def test_a_whole_day_line_takes_nothing_from_cells_that_have_their_own_line() -> None:
    bill = [
        bill_line(1, model="", token_class="", quantity=None),
        bill_line(2, tier="standard", quantity=10),
    ]
    assert hows(bill, [reading(quantity=15)]) == [("none", "bill_only"), ("exact", "matched")]


def test_a_whole_day_line_stays_within_its_day_provider_and_project() -> None:
    bill = [bill_line(1, project="p", model="", token_class="", quantity=None)]
    others = [
        reading(project="p", day=date(2026, 10, 4)),
        reading(project="p", provider="groq"),
        reading(project="q"),
    ]
    assert {g.verdict for g in match(bill, others).groups} == {"bill_only", "metered_only"}


def test_a_tool_line_finds_the_calls_of_its_unit_in_any_model() -> None:
    bill = [bill_line(1, kind="fee", model="", token_class="web_search", quantity=2)]
    metered = [reading(token_class="web_search", quantity=2), reading(token_class="output")]
    groups = match(bill, metered).of("matched")
    assert [(g.how, g.cell.token_class) for g in groups] == [("unit", "web_search")]


@pytest.mark.parametrize("kind", ["fee", "credit", "tax", "adjustment"])
def test_kinds_that_metering_never_counts_stand_apart(kind: LineKind) -> None:
    bill = [bill_line(1, kind=kind, model="", token_class="", amount="-1")]
    assert ("apart", "bill_only") in hows(bill, [reading()])


def test_a_group_needs_members() -> None:
    with pytest.raises(EmptyGroup):
        Group(reading().cell, "none", (), ())


PROJECTS = st.sampled_from(["", "p", "q"])
MODELS = st.sampled_from(["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "o3"])
CLASSES = st.sampled_from(["input", "output", "web_search"])
DAYS = st.sampled_from([date(2026, 10, 3), date(2026, 10, 4)])
COUNTS = st.integers(0, 50)


@st.composite
def bills(draw: st.DrawFn) -> list[BillLine]:
    size = draw(st.integers(0, 8))
    return [
        bill_line(
            n,
            project=draw(PROJECTS),
            day=draw(DAYS),
            model=draw(MODELS | st.just("")),
            token_class=draw(CLASSES | st.just("")),
            tier=draw(st.sampled_from(["", "standard", "batch"])),
            kind=draw(st.sampled_from(["usage", "usage", "usage", "fee", "credit"])),
            quantity=draw(COUNTS | st.none()),
            amount=draw(st.integers(-5, 50)),
        )
        for n in range(1, size + 1)
    ]


@st.composite
def meterings(draw: st.DrawFn) -> list[MeteredCell]:
    keys = st.tuples(
        PROJECTS, DAYS, MODELS, CLASSES, st.sampled_from(["standard", "batch"]), st.just("a")
    )
    return [
        reading(
            project=p,
            day=d,
            model=m,
            token_class=c,
            tier=t,
            owner=o,
            quantity=draw(COUNTS),
            cost=draw(st.integers(0, 50) | st.none()),
        )
        for p, d, m, c, t, o in draw(st.lists(keys, max_size=8, unique=True))
    ]


@given(bills(), meterings(), st.randoms())
def test_everything_is_in_exactly_one_group_in_any_order(
    bill: list[BillLine], metered: list[MeteredCell], random: Random
) -> None:
    found = match(bill, metered)
    assert sorted(line.line_no for g in found.groups for line in g.bill) == [
        line.line_no for line in bill
    ]
    assert sorted((m.cell, m.owner) for g in found.groups for m in g.metered) == sorted(
        (m.cell, m.owner) for m in metered
    )
    random.shuffle(bill)
    random.shuffle(metered)
    assert match(bill, metered) == found


@given(bills(), meterings())
def test_a_group_never_reaches_beyond_what_its_members_allow(
    bill: list[BillLine], metered: list[MeteredCell]
) -> None:
    for group in match(bill, metered).groups:
        days = {line.day for line in group.bill} | {m.cell.day for m in group.metered}
        assert len(days) == 1
        models = {line.model for line in group.bill} | {m.cell.model for m in group.metered}
        if group.how in ("exact", "tier", "project", "alias"):
            assert len({undated(m) for m in models}) == 1
        if group.how in ("exact", "tier"):
            assert len(models) == 1
        if group.how == "exact":
            assert all(m.cell == group.cell for m in group.metered)
        assert sum((line.amount for line in group.bill), Decimal(0)) == group.amount


def test_a_bill_may_call_a_unit_otherwise_than_those_who_used_it() -> None:
    used = reading(token_class="web_search", quantity=5, cost="0.05")
    for name in ("web_searches", "web_search_requests", "web_search"):
        [group] = match([bill_line(token_class=name, tier="standard", quantity=5)], [used]).groups
        assert (group.verdict, group.how, group.cell.token_class) == (
            "matched",
            "exact",
            "web_search",
        )
    other = bill_line(token_class="storage_searches", model="", quantity=5)
    assert {group.verdict for group in match([other], [used]).groups} == {
        "bill_only",
        "metered_only",
    }


def test_two_tiers_that_are_both_told_are_not_one() -> None:
    found = match([bill_line(tier="batch")], [reading(tier="standard")])
    assert {g.verdict for g in found.groups} == {"bill_only", "metered_only"}


def test_an_amount_for_usage_without_a_price_is_no_surplus() -> None:
    """It cannot be told from it whether the bill asks for more, so other usage is left apart."""
    line = bill_line(project="p", quantity=None, amount=5)
    own, other = reading(project="p", cost=None), reading(project="", cost=1)
    found = match([line], [own, other])
    assert {(g.cell.project, g.verdict) for g in found.groups} == {
        ("p", "matched"),
        ("", "metered_only"),
    }


def test_a_count_below_zero_compares_with_nothing() -> None:
    assert comparable_quantity(bill_line(quantity=-5)) is None


def test_tokens_of_a_tier_that_is_paid_by_the_hour_are_usage() -> None:
    tier = min(CAPACITY_TIERS)
    assert not is_capacity(bill_line(tier=tier, token_class="input"))
    assert is_capacity(bill_line(tier=tier, token_class=""))
