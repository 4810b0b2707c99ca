"""The Celery application: carries hints over Redis; what is to be done stands in PostgreSQL.

A task is acknowledged when it is done, so a worker that dies loses no message; one that comes
twice finds its part done or leased (`metering.background.work`).
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from celery import Celery
from celery.signals import task_prerun
from django.conf import settings
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TIME_LIMIT_SECONDS: Final = 300
"""No task runs longer; a part's lease (`WORK_LEASE_SECONDS`) must be longer than this."""
VISIBILITY_SECONDS: Final = 1800
"""After so long Redis delivers a message again that nobody has acknowledged."""

_TASKS_OF_A_CONNECTION: Final = 1_000_000

app = Celery("apportion", task_cls="config.history:RecordedTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue=f"apportion.{settings.DATABASES['default']['NAME']}",
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=TIME_LIMIT_SECONDS,
    task_soft_time_limit=TIME_LIMIT_SECONDS - 20,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    broker_connection_retry_on_startup=True,
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    enable_utc=True,
    CELERY_DB_REUSE_MAX=_TASKS_OF_A_CONNECTION,
)
app.autodiscover_tasks()


@task_prerun.connect(weak=False)
def _look_after_connections(task: Any, **_: object) -> None:
    """Celery opens a connection to the database for each task. Here it serves one after the other,
    as in the web workers: as long as `CONN_MAX_AGE` says, and only while it answers. A task that
    is called in the caller's own process uses the caller's."""
    if not task.request.is_eager:
        close_old_connections()


def worker_arguments(*, concurrency: int = 2) -> list[str]:
    """What Celery is told to be a worker."""
    # Workers need nothing of each other: what is to be done stands in PostgreSQL.
    alone = ("--without-gossip", "--without-mingle")
    return ["--quiet", "worker", "--loglevel", "INFO", "--concurrency", str(concurrency), *alone]


def worker_command(*, concurrency: int = 2) -> list[str]:
    """The command line of a worker, for a supervisor; the environment decides on what."""
    return [*_CELERY, *worker_arguments(concurrency=concurrency)]


def scheduler_command() -> list[str]:
    """The command line of a scheduler. Two of them do no harm."""
    return [*_CELERY, "--quiet", "beat", "--loglevel", "INFO", "--pidfile="]


_CELERY: Final = [sys.executable, "-m", "celery", "--app", "config.celery"]
