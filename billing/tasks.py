"""What Celery calls in billing. Importing it makes the flows of billing known to a
worker."""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from billing import monthly_run, push_run, stripe_events
from config.celery import app

__all__ = ["apply_stripe_events", "monthly_run", "push_run", "start_month"]

START_MONTH: Final = "billing.start_month"


@app.task(name=START_MONTH, bind=True)
def start_month(task: Any, rule: str | None = None) -> bool:
    """The schedule's name comes with the message; without one, it is the task's own."""
    headers = task.request.headers or {}
    name = headers.get("periodic_task_name") or START_MONTH
    return monthly_run.start_on_schedule(name, now=timezone.now(), rule=rule)


@app.task(name="billing.apply_stripe_events")
def apply_stripe_events() -> int:
    """A batch of what is pending; the next message does the next."""
    return stripe_events.apply_pending(now=timezone.now()).total
