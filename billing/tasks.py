"""What Celery calls in billing. Importing it makes the flows of billing known to a
worker."""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from billing import monthly_run, push_run, stripe_events, verification_run
from config.celery import app

__all__ = [
    "apply_stripe_events",
    "monthly_run",
    "push_run",
    "start_month",
    "start_verification",
]

START_MONTH: Final = "billing.start_month"
START_VERIFICATION: Final = "billing.start_verification"


@app.task(name=START_MONTH, bind=True)
def start_month(task: Any, rule: str | None = None) -> bool:
    return monthly_run.start_on_schedule(_schedule(task), now=timezone.now(), rule=rule)


@app.task(name=START_VERIFICATION, bind=True)
def start_verification(task: Any) -> bool:
    return verification_run.start_on_schedule(_schedule(task), now=timezone.now())


def _schedule(task: Any) -> str:
    """The schedule's name, which comes with the message; without one, it is the task's own."""
    headers = task.request.headers or {}
    return str(headers.get("periodic_task_name") or task.name)


@app.task(name="billing.apply_stripe_events")
def apply_stripe_events() -> int:
    """A batch of what is pending; the next message does the next."""
    return stripe_events.apply_pending(now=timezone.now()).total
