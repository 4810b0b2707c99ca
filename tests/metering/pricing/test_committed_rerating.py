"""What a re-rating on record says where it is committed: of usage as it was, and of all owners."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from metering.ingestion import ingest
from metering.models import Rerating, ReratingDifference
from metering.pricing.price_imports import import_file
from metering.readings import usage_digest
from tests.metering.events import NOON, NOW, call
from tests.metering.pricing.test_revaluation import ALIAS, LATER, OCTOBER, done

DAYS = (0, 1, 10, 11, 12, 13, 27)
"""From 4 October on: of both halves of the month, and on both sides of where they meet."""


@pytest.mark.parametrize("days", [DAYS, DAYS[:2], DAYS[-2:], ()])
def test_usage_is_digested_by_halves_to_the_digest_of_the_whole(
    fresh_db: str, days: tuple[int, ...]
) -> None:
    assert not connection.in_atomic_block, "in a transaction one connection reads all of it"
    start = NOON.replace(day=4)
    ingest(
        [
            call(f"day-{day}", model="our-finetune", occurred_at=start + timedelta(days=day))
            for day in days
        ],
        now=NOW,
    )
    import_file(ALIAS, "own.csv", effective_at=LATER)
    before = usage_digest(OCTOBER.period)
    assert done().changed == len(days)
    act = Rerating.objects.get()
    assert act.usage_digest == before
    assert act.end.usage_digest == usage_digest(OCTOBER.period)
    assert (act.end.usage_digest == before) is (not days)


def test_what_differs_alike_is_noted_once_for_all_owners(fresh_db: str) -> None:
    ingest(
        [call(f"of-{name}", model="our-finetune", tenant_id=name) for name in ("acme", "globex")],
        now=NOW,
    )
    import_file(ALIAS, "own.csv", effective_at=LATER)
    found = done()
    assert {moved.owner_after.tenant for moved in found.differences} == {"acme", "globex"}
    noted = ReratingDifference.objects.get()
    assert noted.events == 2
    assert noted.cost_after == sum(sums.cost_after for sums in found.differences.values())
