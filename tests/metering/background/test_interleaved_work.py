"""Work in any order of acts, by a machine: a part has its effect once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from metering.background import work
from metering.background.flows import FenceLost, Leased, Part
from metering.models import WorkPart, WorkRun
from tests.metering.background.made_work import NOW

pytestmark = pytest.mark.usefixtures("db", "test_flow")
_serial = count(1)


class Workers(RuleBasedStateMachine):
    """Workers that lease, complete, fail, give back and die, by a clock that runs on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.subject = f"subject {next(_serial)}"
        self.tokens: list[Leased] = []
        self.effects: Counter[int] = Counter()
        self.fences: dict[int, int] = {}
        self.runs = 0

    @initialize()
    def begin(self) -> None:
        self.start_again()

    @rule()
    def start_again(self) -> None:
        started = work.start("test", self.subject, author="schedule", now=self.now)
        self.runs += started.new
        assert WorkRun.objects.filter(subject=self.subject).count() == self.runs

    @rule(seconds=st.integers(1, 1000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data())
    def lease_a_part(self, data: st.DataObject) -> None:
        parts = list(WorkPart.objects.filter(run__subject=self.subject).select_related("run"))
        part = data.draw(st.sampled_from(parts))
        ready = part.run.state == "open" and (
            (part.state == "waiting" and part.due_at <= self.now)
            or (part.lease_until is not None and part.lease_until < self.now)
        )
        leased = work.lease(part.pk, now=self.now)
        assert (leased is not None) == (ready and part.attempts < work.ATTEMPTS)
        if leased is not None:
            assert leased.fence > part.fence
            self.tokens.append(leased)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), wide=st.booleans())
    def complete_one(self, data: st.DataObject, wide: bool) -> None:  # noqa: FBT001
        leased = data.draw(st.sampled_from(self.tokens))
        opens = [Part("a"), Part("b")] if wide else [Part()]
        if self._done(leased, lambda: work.complete(leased, opens=opens)):
            self.effects[leased.part_id] += 1

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def fail_one(self, data: st.DataObject) -> None:
        leased = data.draw(st.sampled_from(self.tokens))
        self._done(leased, lambda: work.fail(leased, "broken"))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def postpone_one(self, data: st.DataObject) -> None:
        leased = data.draw(st.sampled_from(self.tokens))
        until = self.now + timedelta(minutes=1)
        self._done(leased, lambda: work.postpone(leased, "waits", until=until))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def hold_one(self, data: st.DataObject) -> None:
        self._done(leased := data.draw(st.sampled_from(self.tokens)), lambda: work.hold(leased))

    def _done(self, leased: Leased, act: Callable[[], object]) -> bool:
        """Whether it could be done, which is so for the last lease of an unfinished part only."""
        part = WorkPart.objects.get(pk=leased.part_id)
        current = part.state == "leased" and part.fence == leased.fence
        try:
            with transaction.atomic():
                act()
        except FenceLost:
            assert not current
            return False
        assert current
        return True

    @invariant()
    def every_effect_is_had_once(self) -> None:
        done = WorkPart.objects.filter(run__subject=self.subject, state="done")
        assert self.effects == Counter(done.values_list("pk", flat=True))

    @invariant()
    def fences_only_rise(self) -> None:
        fences = dict(WorkPart.objects.filter(run__subject=self.subject).values_list("pk", "fence"))
        assert all(fences[pk] >= fence for pk, fence in self.fences.items())
        self.fences = fences

    @invariant()
    def steps_follow_each_other(self) -> None:
        for run in WorkRun.objects.filter(subject=self.subject):
            steps = list(run.parts.values_list("step", flat=True).distinct().order_by())
            if run.state == "done":
                assert set(steps) == {"first", "second", "third"}
                assert not run.parts.exclude(state="done").exists()
            if run.state == "open":
                assert run.parts.filter(step=run.step).exclude(state="done").exists()
                assert not run.parts.exclude(step=run.step).exclude(state="done").exists()


def test_however_workers_interleave_each_effect_is_had_once() -> None:
    run_state_machine_as_test(
        Workers, settings=hypothesis_settings(max_examples=15, stateful_step_count=25)
    )
