"""Where a run of work stands: for pages, commands and other apps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from metering.background.flows import flow_of
from metering.models import WorkPart, WorkRun

State = Literal["at work", "waiting", "failed", "done", "ended"]


class StepStatus(NamedTuple):
    """A step of the flow: its parts so far, and how many of them are done or have failed."""

    name: str
    parts: int
    done: int
    failed: int


class PartStatus(NamedTuple):
    """A part that has something to say: a note (what it waits for, what it found) or an error."""

    step: str
    part: str
    state: str
    note: str
    error: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as it stands.

    `at work`: something is being done, or about to be. `waiting`: for what `waits_for` says.
    `failed`: nothing goes on before a person has seen to `errors` and started the work again.
    `ended`: another run has overtaken it.
    """

    run_id: int
    kind: str
    subject: str
    state: State
    step: str
    author: str
    started_at: datetime
    progressed_at: datetime
    steps: tuple[StepStatus, ...]
    told: tuple[PartStatus, ...]

    @property
    def waits_for(self) -> tuple[str, ...]:
        return tuple(p.note for p in self.told if p.note and p.state in ("waiting", "leased"))

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(f"{p.step} {p.part}: {p.error}" for p in self.told if p.error)


def latest(kind: str, subject: str) -> RunStatus | None:
    """How the newest run of the kind and subject stands; `None` if there never was one."""
    run = WorkRun.objects.filter(kind=kind, subject=subject).order_by("-pk").first()
    return None if run is None else status(run)


def is_at_work(run: WorkRun) -> bool:
    """Whether the run's state is `at work`: for who asks again and again."""
    unfinished = [WorkPart.State.WAITING, WorkPart.State.LEASED]
    going_on = run.parts.filter(state__in=unfinished, note="", run__state=WorkRun.State.OPEN)
    return going_on.exists()


def status(run: WorkRun) -> RunStatus:
    """How the run stands now."""
    parts = [
        PartStatus(*row)
        for row in run.parts.order_by("pk").values_list(
            "step", "part", "state", "note", "error", "attempts"
        )
    ]
    counted = Counter((part.step, part.state) for part in parts)
    opened = Counter(part.step for part in parts)
    return RunStatus(
        run_id=run.pk,
        kind=run.kind,
        subject=run.subject,
        state=_state(run, parts),
        step=run.step,
        author=run.author,
        started_at=run.started_at,
        progressed_at=run.progressed_at,
        steps=tuple(
            StepStatus(
                step.name,
                opened[step.name],
                counted[step.name, WorkPart.State.DONE],
                counted[step.name, WorkPart.State.FAILED],
            )
            for step in flow_of(run.kind).steps
        ),
        told=tuple(part for part in parts if part.note or part.error),
    )


def _state(run: WorkRun, parts: list[PartStatus]) -> State:
    match run.state:
        case WorkRun.State.DONE:
            return "done"
        case WorkRun.State.ENDED:
            return "ended"
        case _:
            pass
    unfinished = [part for part in parts if part.state in ("waiting", "leased")]
    if any(not part.note for part in unfinished):
        return "at work"
    return "waiting" if unfinished else "failed"


def value(status: RunStatus) -> dict[str, Any]:
    """The status as plain JSON values."""
    return {
        "subject": status.subject,
        "kind": status.kind,
        "state": status.state,
        "step": status.step,
        "author": status.author,
        "started_at": status.started_at.isoformat(),
        "progressed_at": status.progressed_at.isoformat(),
        "waits_for": list(status.waits_for),
        "errors": list(status.errors),
        "steps": [step._asdict() for step in status.steps],
        "told": [part._asdict() for part in status.told],
    }
