"""Work as rows: who may do what, until when, and what became of it. A message is only a hint.

A run goes through named steps; a step is done in parts, which any worker may take. Whoever takes
a part holds a lease on it and the fence of that lease; what it did counts only if the fence is
still the same in the transaction that commits it (`metering.background.work`).
"""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q


class WorkRun(models.Model):
    """Something that is done in steps: of one kind and subject (a month) one is open at a time.

    `ended` is a run that another one has overtaken. `as_of` dates what the run makes, where that
    is not the clock's time. `step` is the one that is being done; empty when none is left.
    """

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        ENDED = "ended"

    kind = models.TextField()
    subject = models.TextField()
    state = models.TextField(choices=State.choices, default=State.OPEN)
    step = models.TextField(blank=True)
    author = models.TextField()
    arguments = models.JSONField(default=dict, blank=True)
    as_of = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    progressed_at = models.DateTimeField()

    class Meta:
        db_table = "work_run"
        ordering = ["kind", "subject", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(state="open"), name="one_open_run_of_a_kind"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "done", "ended"]), name="work_run_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="open") | ~Q(step=""), name="open_work_is_at_a_step"
            ),
        ]
        triggers = [
            pgtrigger.FSM(
                name="work_run_state_moves",
                field="state",
                transitions=[("open", "done"), ("open", "ended")],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} ({self.state})"


class WorkPart(models.Model):
    """A part of a step. `fence` counts the leases; `attempts` those that were not given back.

    `waiting` until `due_at`, `leased` until `lease_until`, then `done`; `failed` after the last
    attempt, with the `error` of each kept as it came last. `note` says what a part waits for, or
    what it found. `material` is what it needs and `result` what it left for later steps; both go
    when the run is over.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(WorkRun, on_delete=models.PROTECT, related_name="parts", db_index=False)
    step = models.TextField()
    part = models.TextField(blank=True)
    state = models.TextField(choices=State.choices, default=State.WAITING)
    due_at = models.DateTimeField()
    hinted_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    note = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    material = models.BinaryField(null=True, blank=True)
    result = models.BinaryField(null=True, blank=True)

    class Meta:
        db_table = "work_part"
        ordering = ["run_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "step", "part"], name="part_once_in_a_step"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "leased", "done", "failed"]),
                name="work_part_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="leased", lease_until__isnull=False)
                | (~Q(state="leased") & Q(lease_until__isnull=True)),
                name="a_lease_ends",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["done", "failed"], finished_at__isnull=False)
                | (~Q(state__in=["done", "failed"]) & Q(finished_at__isnull=True)),
                name="what_is_finished_has_its_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(error=""), name="a_failure_says_why"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(state__in=["waiting", "leased"]), name="work_to_do"
            )
        ]
        triggers = [
            pgtrigger.FSM(
                name="work_part_state_moves",
                field="state",
                transitions=[
                    ("waiting", "leased"),
                    ("leased", "waiting"),
                    ("leased", "done"),
                    ("leased", "failed"),
                    ("waiting", "failed"),
                ],
            ),
            pgtrigger.Trigger(
                name="a_fence_only_rises",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__fence__lt=pgtrigger.F("old__fence")),
                func="RAISE EXCEPTION 'the fence of work part % only rises', OLD.id"
                " USING ERRCODE = 'integrity_constraint_violation'; RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step} {self.part} ({self.state})".replace("  ", " ")


class ScheduleFiring(models.Model):
    """A schedule's due moment that somebody has answered: of two schedulers, one comes first."""

    schedule = models.TextField()
    due_at = models.DateTimeField()
    fired_at = models.DateTimeField()
    run = models.ForeignKey(
        WorkRun, on_delete=models.PROTECT, null=True, blank=True, related_name="firings"
    )

    class Meta:
        db_table = "schedule_firing"
        ordering = ["schedule", "due_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "due_at"], name="a_due_moment_is_answered_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} of {self.due_at:%Y-%m-%d %H:%M}"
