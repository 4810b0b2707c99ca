"""Work as rows: opened, leased, completed under a fence, given back, failed.

Any number of workers, schedulers and repeated messages may act on these rows at once, and any of
them may be killed between two lines: a part's effect is committed together with its completion, or
not at all. Locks are taken in one order: the run, then its parts.

Instants are arguments; workers' clocks may differ. A clock that is wrong makes a part be taken too
early or too late, never twice: that is the fence's doing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from metering.background import hints
from metering.background.flows import FenceLost, Leased, Part, flow_of
from metering.models import WorkPart, WorkRun

ATTEMPTS: Final = 5
"""After so many the part has failed. A lease that ran out was an attempt too."""
FIRST_PAUSE: Final = timedelta(seconds=10)
"""Before the second attempt; doubled before each one after."""
ERROR_LENGTH: Final = 4_000

_UNFINISHED: Final = Q(state__in=[WorkPart.State.WAITING, WorkPart.State.LEASED])


class Started(NamedTuple):
    """The open run, and whether it is new or was at work already."""

    run: WorkRun
    new: bool


def start(
    kind: str,
    subject: str,
    *,
    author: str,
    now: datetime,
    arguments: Mapping[str, Any] | None = None,
    as_of: datetime | None = None,
) -> Started:
    """Open a run at its first step, or join the one that is at work on the subject.

    A run that only waits (for a person, a bill) or has failed is ended, and begun anew: what it
    waited for may have come, and every step finds what is done already. Of two that start at once
    one begins and the other joins. Raises `UnknownWork`.
    """
    first = flow_of(kind).steps[0]
    while True:
        with transaction.atomic():
            current = _open_run(kind, subject)
            if current is not None:
                if _at_work(current):
                    return Started(current, new=False)
                _end(current)
            try:
                with transaction.atomic():
                    run = WorkRun.objects.create(
                        kind=kind,
                        subject=subject,
                        author=author,
                        arguments=dict(arguments or {}),
                        as_of=as_of,
                        step=first.name,
                        started_at=now,
                        progressed_at=now,
                    )
            except IntegrityError:
                continue  # somebody else has started it since: look again
            _open_parts(run, first.name, [Part()], now=now)
            return Started(run, new=True)


def lease(part_id: int, *, now: datetime) -> Leased | None:
    """Take the part, for `WORK_LEASE_SECONDS`; `None` if it is not there to be taken: done, not
    due, another's, being committed just now, or of a run that is over.

    A lease that ran out is taken over; whoever held it can commit nothing any more. If that was
    the last attempt, the part has failed.
    """
    with transaction.atomic():
        part = (
            WorkPart.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("run")
            .filter(_ready(now), pk=part_id, run__state=WorkRun.State.OPEN)
            .first()
        )
        if part is None:
            return None
        if part.attempts >= ATTEMPTS:
            lost = f"no worker came back from it in {ATTEMPTS} attempts. {part.error}".strip()
            _finish(part, WorkPart.State.FAILED, error=lost)
            return None
        part.state, part.lease_until = WorkPart.State.LEASED, now + lease_length()
        part.fence += 1
        part.attempts += 1
        part.save(update_fields=["state", "lease_until", "fence", "attempts"])
    run = part.run
    return Leased(
        part_id=part.pk,
        fence=part.fence,
        attempt=part.attempts,
        at=now,
        run_id=run.pk,
        kind=run.kind,
        subject=run.subject,
        author=run.author,
        step=part.step,
        part=part.part,
        as_of=run.as_of,
        arguments=run.arguments,
        material=None if part.material is None else bytes(part.material),
    )


def lease_length() -> timedelta:
    """How long a part may take. Longer than a task may run, so that nobody is overtaken alive."""
    return timedelta(seconds=settings.WORK_LEASE_SECONDS)


def hold(leased: Leased) -> None:
    """Hold the part until the caller's transaction ends, for an effect that completes nothing yet.

    Raises `FenceLost` if it is somebody else's by now.
    """
    _held(leased)


def complete(
    leased: Leased,
    *,
    note: str = "",
    result: bytes | None = None,
    opens: Collection[Part] = (Part(),),
) -> None:
    """Commit the part with its effect: called last, inside the transaction that has the effect.

    The one that completes the last part of a step opens the next one, with the parts in `opens`
    (a step that has no parts is passed over), or ends the run. Raises `FenceLost`: the caller's
    transaction must not be committed, so do not catch it there.
    """
    # Not only locked but changed: in a snapshot older than another part's completion this fails,
    # where a mere lock would let two parts each take the other for unfinished.
    WorkRun.objects.filter(pk=leased.run_id).update(progressed_at=Now())
    part = _held(leased)
    _finish(part, WorkPart.State.DONE, note=note, result=result)
    run = WorkRun.objects.get(pk=leased.run_id)
    if not run.parts.filter(~Q(state=WorkPart.State.DONE), step=run.step).exists():
        _go_on(run, list(opens), now=leased.at)


def postpone(leased: Leased, reason: str, *, until: datetime) -> None:
    """Give the part back, to be taken again from `until` on: it waits for something outside."""
    with transaction.atomic():
        part = _held(leased)
        part.attempts -= 1
        _give_back(part, due_at=until, note=reason, error="")


def fail(leased: Leased, error: str, *, for_good: bool = False) -> bool:
    """Give the part back after an attempt that failed; whether it has failed for good, which it
    has after the last attempt."""
    with transaction.atomic():
        part = _held(leased)
        error = error[:ERROR_LENGTH] or "no reason was given"
        if for_good or part.attempts >= ATTEMPTS:
            _finish(part, WorkPart.State.FAILED, error=error)
            return True
        pause = FIRST_PAUSE * 2 ** (part.attempts - 1)
        _give_back(part, due_at=leased.at + pause, note="", error=error)
        return False


def wake(kind: str, subject: str, *, now: datetime) -> None:
    """What the open run waited for has come, as far as the caller knows: look now."""
    with transaction.atomic():
        waiting = WorkPart.objects.filter(
            ~Q(note=""),
            run__kind=kind,
            run__subject=subject,
            run__state=WorkRun.State.OPEN,
            state=WorkPart.State.WAITING,
            due_at__gt=now,
        )
        found = list(waiting.select_for_update(of=("self",)).values_list("pk", flat=True))
        WorkPart.objects.filter(pk__in=found).update(due_at=now, hinted_at=now)
        hints.after_commit(found)


def begin_anew(kind: str, subject: str, *, now: datetime) -> Started | None:
    """Something has come that the open run began without: where it only waits, or has failed, it
    is begun anew, by its own author and with its own arguments. `None` where it is at work (it
    may have read what came, or the next look will) or where no run is open."""
    with transaction.atomic():
        current = _open_run(kind, subject)
        if current is None or _at_work(current):
            return None
        return start(
            kind,
            subject,
            author=current.author,
            now=now,
            arguments=current.arguments,
            as_of=current.as_of,
        )


def results(run_id: int, step: str) -> list[bytes]:
    """What the parts of a step left, in the order they were opened in."""
    found = WorkPart.objects.filter(run_id=run_id, step=step, result__isnull=False)
    left = found.order_by("pk").values_list("result", flat=True)
    return [bytes(result) for result in left if result is not None]


def to_be_hinted(*, now: datetime, again_after: timedelta, most: int) -> list[int]:
    """Parts that can be taken and about which no message is under way, as far as is known; they
    count as hinted from now on."""
    ready_at = {"waiting": F("due_at"), "leased": F("lease_until")}
    untold = Q(hinted_at__isnull=True) | Q(hinted_at__lt=now - again_after)
    for state, instant in ready_at.items():
        untold |= Q(state=state, hinted_at__lt=instant)
    with transaction.atomic():
        found = list(
            WorkPart.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(_ready(now), untold, run__state=WorkRun.State.OPEN)
            .order_by("due_at", "pk")
            .values_list("pk", flat=True)[:most]
        )
        WorkPart.objects.filter(pk__in=found).update(hinted_at=now)
    return found


def ready_parts(run_id: int, *, now: datetime) -> list[int]:
    """The run's parts that can be taken now."""
    found = WorkPart.objects.filter(_ready(now), run_id=run_id, run__state=WorkRun.State.OPEN)
    return list(found.order_by("pk").values_list("pk", flat=True))


def _ready(now: datetime) -> Q:
    return Q(state=WorkPart.State.WAITING, due_at__lte=now) | Q(
        state=WorkPart.State.LEASED, lease_until__lt=now
    )


def _held(leased: Leased) -> WorkPart:
    if not connection.in_atomic_block:
        raise RuntimeError("work is completed inside the transaction that has its effect")
    part = (
        WorkPart.objects.select_for_update()
        .defer("material", "result")
        .filter(pk=leased.part_id, fence=leased.fence, state=WorkPart.State.LEASED)
        .first()
    )
    if part is None:
        raise FenceLost(
            f"{leased.kind} {leased.subject}: {leased.step} {leased.part} is not this worker's any "
            f"more (fence {leased.fence}); nothing of it was stored"
        )
    return part


def _finish(
    part: WorkPart, state: str, *, note: str = "", error: str = "", result: bytes | None = None
) -> None:
    WorkPart.objects.filter(pk=part.pk).update(
        state=state, lease_until=None, finished_at=Now(), note=note, error=error, result=result
    )


def _give_back(part: WorkPart, *, due_at: datetime, note: str, error: str) -> None:
    part.state, part.lease_until = WorkPart.State.WAITING, None
    part.due_at, part.note, part.error = due_at, note, error
    part.save(update_fields=["state", "lease_until", "due_at", "note", "error", "attempts"])


def _go_on(run: WorkRun, parts: list[Part], *, now: datetime) -> None:
    """Open the next step that has parts. The run's row is held."""
    following = flow_of(run.kind).after(run.step)
    if not parts:
        following, parts = following[1:], [Part()]
    if following:
        run.step = following[0].name
        run.save(update_fields=["step"])
        _open_parts(run, run.step, parts, now=now)
        return
    run.step, run.state = "", WorkRun.State.DONE
    run.save(update_fields=["step", "state"])
    run.parts.update(material=None, result=None)


def _open_parts(run: WorkRun, step: str, parts: Iterable[Part], *, now: datetime) -> None:
    made = WorkPart.objects.bulk_create(
        [
            WorkPart(run=run, step=step, part=name, material=material, due_at=now, hinted_at=now)
            for name, material in parts
        ],
        batch_size=500,
    )
    hints.after_commit([part.pk for part in made])


def _open_run(kind: str, subject: str) -> WorkRun | None:
    return (
        WorkRun.objects.select_for_update()
        .filter(kind=kind, subject=subject, state=WorkRun.State.OPEN)
        .first()
    )


def _at_work(run: WorkRun) -> bool:
    """Whether something is being done, or about to be; not merely waited for."""
    return run.parts.filter(_UNFINISHED, note="").exists()


def _end(run: WorkRun) -> None:
    """End the run: whoever is still at a part of it can commit nothing."""
    run.parts.filter(_UNFINISHED).update(fence=F("fence") + 1)
    run.step, run.state = "", WorkRun.State.ENDED
    run.save(update_fields=["step", "state"])
    run.parts.update(material=None, result=None)
