"""What kinds of work there are, and in which steps each is done. No rows here: see `work.py`.

A flow is registered once, by whoever knows all of its steps; a step's `perform` does one part of
it and tells `metering.background.work.complete` so in the transaction that commits what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple


class FenceLost(RuntimeError):
    """The part has been given to somebody else, or its run is over: nothing done for this lease
    may be committed. Raised inside the transaction, which so is rolled back."""


class UnknownWork(LookupError):
    """No flow of that kind, or no such step in it, is registered in this process."""


class Part(NamedTuple):
    """A part of a step that is to be opened: its name within the step, and what it needs."""

    name: str = ""
    material: bytes | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """A part that was leased, with the fence by which its effect is committed or refused.

    `attempt` counts from 1. `at` is the instant of the lease.
    """

    part_id: int
    fence: int
    attempt: int
    at: datetime
    run_id: int
    kind: str
    subject: str
    author: str
    step: str
    part: str
    as_of: datetime | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    material: bytes | None = field(default=None, repr=False)

    @property
    def now(self) -> datetime:
        """What the effect is dated: the run's own instant, else that of the lease."""
        return self.as_of or self.at


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a flow. Whoever performs it may raise anything; the part is then tried again, a
    bounded number of times.

    What is raised of `waits_for` is no failure: the part waits `looks_again` and says for what.
    What is raised of `refused_by` a person must see to: trying again would not help.
    """

    name: str
    perform: Callable[[Leased], None]
    waits_for: tuple[type[Exception], ...] = ()
    looks_again: timedelta = timedelta(hours=1)
    refused_by: tuple[type[Exception], ...] = ()


class Flow(NamedTuple):
    """A kind of work, and its steps in order."""

    kind: str
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """Raises `UnknownWork`."""
        for step in self.steps:
            if step.name == name:
                return step
        raise UnknownWork(f"work of kind {self.kind!r} has no step {name!r}")

    def after(self, name: str) -> tuple[Step, ...]:
        """The steps that follow, in order."""
        return self.steps[self.steps.index(self.step(name)) + 1 :]


_FLOWS: Final[dict[str, Flow]] = {}


def register(flow: Flow) -> Flow:
    """Make the flow known to this process; registering it again replaces it."""
    names = [step.name for step in flow.steps]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"work of kind {flow.kind!r} needs steps, each with a name of its own")
    _FLOWS[flow.kind] = flow
    return flow


def flow_of(kind: str) -> Flow:
    """Raises `UnknownWork`: the process was started without the app that registers the flow."""
    try:
        return _FLOWS[kind]
    except KeyError:
        raise UnknownWork(
            f"no flow {kind!r} is registered here; known: {', '.join(sorted(_FLOWS)) or 'none'}"
        ) from None
