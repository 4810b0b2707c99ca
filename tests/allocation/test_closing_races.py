"""A close and usage of its month at the same time, on connections of their own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from django.db import connection

from allocation import period_close
from allocation.verification import check_month as check_allocation
from metering import seals
from metering.calls.late_usage import late_usage
from metering.ingestion import ingest
from metering.models import Seal
from metering.outcomes import Outcome
from metering.verification.event_verification import check_month
from tests.allocation import october
from tests.allocation.october import CONTROLLER, NOW, OCTOBER
from tests.metering.events import call
from tests.threads import until_somebody_waits


def test_usage_that_comes_while_its_month_is_closed_waits_and_is_told(
    fresh_db: str, owner_connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Else it would be neither in the seal, which does not see it, nor in the queue."""
    october.ready(tmp_path)
    told: list[Future[list[Outcome]]] = []
    seal = seals.seal

    def send() -> list[Outcome]:
        try:
            return ingest([call("meanwhile")], now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as sender:

        def sent_meanwhile(*args: Any, **terms: Any) -> list[Seal]:
            told.append(sender.submit(send))
            until_somebody_waits(owner_connection, "advisory")
            return seal(*args, **terms)

        with mock.patch.object(seals, "seal", sent_meanwhile):
            period_close.close(OCTOBER, by=CONTROLLER, now=NOW)
        (outcome,) = told[0].result(timeout=60)
    assert (outcome.outcome, outcome.reason) == ("accepted", "late_period_closed")
    (waiting,) = late_usage(OCTOBER)
    assert (waiting.kind, waiting.events) == ("arrived", 1)
    assert list(check_month(OCTOBER)) == []
    assert list(check_allocation(OCTOBER)) == []
