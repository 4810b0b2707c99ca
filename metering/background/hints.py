"""Messages that say which part there is to do. A lost one costs time, nothing else.

Every database has a queue of its own, so that two installations on one broker (the demo beside
the real books) do not empty each other's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from django.db import connection, transaction
from kombu.exceptions import OperationalError

TASK: Final = "metering.do_part"

logger = logging.getLogger(__name__)


def after_commit(part_ids: Sequence[int]) -> None:
    """Send them once the transaction is committed; what it rolls back is never told of."""
    if part_ids:
        transaction.on_commit(partial(send, part_ids), robust=True)


def send(part_ids: Sequence[int]) -> None:
    """Tell the workers of these parts. Without a broker the sweeper tells them later."""
    from config.celery import app

    queue = queue_of(str(connection.settings_dict["NAME"]))
    try:
        with app.producer_or_acquire() as producer:
            for part_id in part_ids:
                app.send_task(TASK, [part_id], producer=producer, queue=queue, retry=False)
    except OperationalError as error:
        logger.warning("the broker is not there; the sweeper sends it later: %s", error)


def queue_of(database: str) -> str:
    """The queue of the installation that works on that database."""
    return f"apportion.{database}"
