"""Valuing stored events anew: as revisions, with signed differences, in open months only."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering import dispositions, owners
from metering.dispositions import ClosedMonth
from metering.domain.cells import Owner
from metering.domain.periods import Month
from metering.domain.usage import Share, UsageEvent
from metering.ingestion import ingest
from metering.management.revaluing import in_words
from metering.pricing import portions, rerating
from metering.pricing.price_imports import import_contract, import_file
from metering.pricing.rating_scan import Scanned, scan
from metering.pricing.reattribution import reattribute
from metering.pricing.rerating import rerate
from metering.pricing.revaluation import MonthClosed, Moved, Revalued, Sums
from metering.rollups import USAGE, fold
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month(2026, 10)
LATER = NOW + timedelta(days=1)
ALIAS = "provider,model,valid_from,price_of\nopenai,our-finetune,2026-10-01,gpt-4o-mini\n"
SEARCH = {"units": {"web_search": Decimal(3)}, "model": "gpt-4o"}


def several(each: int = 3) -> list[UsageEvent]:
    return [
        *(call(f"plain-{i}") for i in range(each)),
        *(call(f"tuned-{i}", model="our-finetune") for i in range(each)),
        call(
            "shared",
            model="our-finetune",
            shares=(
                Share(tenant_id="acme", input_tokens=333, output_tokens=100),
                Share(tenant_id="globex", input_tokens=333, output_tokens=50),
            ),
        ),
        call("searched", **SEARCH),
        call("cached", served_from="caller_cache"),
        call("escaped", trace_id="back\\slash", region="eu"),
        call("next-day", model="our-finetune", occurred_at=NOON + timedelta(days=1)),
    ]


def done(**how: Any) -> Revalued:
    return rerate(OCTOBER, author="finance", reason="a finetune has a price", now=LATER, **how)


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def total() -> Decimal | None:
    [(cost,)] = rows(f"SELECT sum(cost) FROM {USAGE.relation()} u")
    return Decimal(cost) if cost is not None else None


@pytest.mark.django_db
class TestRerating:
    def test_nothing_differs_while_no_price_does(self) -> None:
        ingest(several(), now=NOW)
        found = done()
        assert (found.looked_at, found.changed) == (11, 0)
        assert rows("SELECT count(*) FROM event_revision") == [(0,)]

    def test_what_was_unpriced_gets_its_price_as_a_revision(self) -> None:
        ingest(several(), now=NOW)
        before = total()
        assert before is not None
        import_file(ALIAS, "own.csv", effective_at=LATER)
        found = done()
        [(moved, sums)] = found.differences.items()
        assert (moved.pricing_before, moved.pricing_after, sums.events) == ("unpriced", "priced", 5)
        assert total() == before + sums.cost_after
        assert rows("SELECT DISTINCT revision, author, reason FROM event_revision") == [
            (1, "finance", "a finetune has a price")
        ]
        [(parts, cost)] = rows("SELECT count(*), sum(cost) FROM event_share WHERE revision = 1")
        assert (parts, cost) == (3, sums.cost_after / 5)
        assert rows(f"SELECT sum(events) FROM ({_unpriced()}) u") == [(0,)]
        assert list(check_month(OCTOBER)) == []
        fold()
        assert list(check_month(OCTOBER)) == []

    def test_twice_is_once(self) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        assert done().changed == 5
        assert done().changed == 0
        assert rows("SELECT count(*) FROM event_revision") == [(5,)]

    def test_each_later_price_is_a_revision_of_the_one_before(self) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        done()
        text = "provider,model,valid_from,discount_percent\nopenai,gpt-4o-mini,2026-10-01,50\n"
        import_contract(text, "c.csv", book="contract:acme", now=LATER)
        found = done()
        assert found.changed == 4
        assert list(check_month(OCTOBER)) == []
        import_contract(text.replace(",50", ",100"), "c.csv", book="contract:acme", now=LATER)
        assert {moved.pricing_after for moved in done().differences} == {"free"}
        assert rows("SELECT max(revision) FROM event_revision") == [(2,)]
        assert list(check_month(OCTOBER)) == []

    def test_a_trial_lists_the_same_and_stores_nothing(self) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        trial = done(dry_run=True)
        assert rows("SELECT count(*) FROM event_revision") == [(0,)]
        assert done().differences == trial.differences

    def test_one_model_alone(self) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        assert done(model="gpt-4o-mini").changed == 0
        assert done(model="our-finetune").changed == 5

    def test_what_does_not_count_is_left(self) -> None:
        ingest([call("a", model="our-finetune", data_mode="test")], now=NOW)
        what = dispositions.TryOuts("test", "test")
        dispositions.uncount(what, reason="tried", author="me", now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        assert done().looked_at == 0

    def test_a_closed_month_is_never_touched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        monkeypatch.setattr(
            dispositions, "_guards", [lambda month: ClosedMonth(NOW, f"{month} was closed")]
        )
        with pytest.raises(MonthClosed, match="2026-10 was closed"):
            done()
        with pytest.raises(CommandError, match="next open month"):
            call_command("rerate", "2026-10")
        assert rows("SELECT count(*) FROM event_revision") == [(0,)]

    def test_what_has_no_price_is_not_said_to_cost_0(self) -> None:
        """Neither before nor after: unknown is not zero."""
        ingest([call("a", model="our-finetune")], now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        out = StringIO()
        call_command("rerate", "2026-10", "--dry-run", stdout=out)
        assert "our-finetune: 1 event, unpriced → priced, no cost → 0." in out.getvalue()
        owner = Owner("centre", "tenant")
        lost = Moved("openai", "m", "priced", "unpriced", owner, owner, "EUR", "USD")
        assert in_words(lost, Sums(2, Decimal("1.5"))) == (
            "openai m: 2 events, priced → unpriced, 1.5 USD → no cost"
        )
        other = lost._replace(pricing_after="priced")
        assert in_words(other, Sums(2, Decimal(1), Decimal(2))) == (
            "openai m: 2 events, 1 USD → 2 EUR"
        )
        still = lost._replace(pricing_before="unpriced")
        assert in_words(still, Sums(2)) == "openai m: 2 events, no cost as before"

    def test_the_command_answers_with_every_difference(self) -> None:
        ingest(several(), now=NOW)
        import_file(ALIAS, "own.csv", effective_at=LATER)
        out = StringIO()
        call_command("rerate", "2026-10", "--json", stdout=out)
        answer = json.loads(out.getvalue())
        assert (answer["lookedAt"], answer["changed"]) == (11, 5)
        [difference] = answer["differences"]
        assert difference["pricing"] == ["unpriced", "priced"]
        out = StringIO()
        call_command("rerate", "2026-10", stdout=out)
        assert re.fullmatch(
            r"re-rating \d+ of 2026-10: 11 events looked at, 0 changed\n", out.getvalue()
        )


def _unpriced() -> str:
    return f"SELECT * FROM {USAGE.relation()} c WHERE pricing = 'unpriced'"


def test_two_at_once_have_the_effect_of_one(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "SIZE", 3)
    ingest(several(20), now=NOW)
    import_file(ALIAS, "own.csv", effective_at=LATER)

    def one(_: int) -> int:
        try:
            return done().changed
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        changed = list(pool.map(one, range(2)))
    assert sum(changed) == 22
    assert rows("SELECT count(*), max(revision) FROM event_revision") == [(22, 1)]
    assert list(check_month(OCTOBER)) == []


def test_several_processes_find_what_one_does(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(several(20), now=NOW)
    import_file(ALIAS, "own.csv", effective_at=LATER)
    alone = done(dry_run=True)
    monkeypatch.setattr(portions, "WORTH_IT", 0)
    assert done(dry_run=True) == alone
    assert alone.changed == 22


def test_what_is_cut_off_is_finished_by_doing_it_again(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "SIZE", 3)
    ingest(several(20), now=NOW)
    import_file(ALIAS, "own.csv", effective_at=LATER)
    scans = count(1)

    def failing(*portion: Any, **how: Any) -> Scanned:
        scanned = scan(*portion, **how)
        if next(scans) > 9:
            raise OSError("cut off, after the rows of this portion were written")
        return scanned

    monkeypatch.setattr(rerating, "scan", failing)
    with pytest.raises(OSError, match="cut off"):
        done()
    [(stored,)] = rows("SELECT count(*) FROM event_revision")
    assert 0 < stored < 22
    assert list(check_month(OCTOBER)) == []
    monkeypatch.undo()
    assert done().changed == 22 - stored
    assert list(check_month(OCTOBER)) == []


@pytest.mark.django_db
class TestReattributing:
    def test_a_backdated_mapping_moves_what_it_maps_and_its_shares(self, tmp_path: Path) -> None:
        ingest([*several(), call("user", user_id="ann", tenant_id=None)], now=NOW)
        before = total()
        path = tmp_path / "owners.csv"
        path.write_text(
            "kind,key,target,valid_from,responsible\n"
            "cost_centre,cc-new,New,,someone\n"
            "owner:tenant,globex,cc-new,2026-10-01,\n"
            "owner:user,ann,cc-new,2026-10-01,\n"
            "owner:endpoint_tag,checkout.summary,cc-tag,2026-10-01,\n".replace("cc-tag", "cc-new")
        )
        owners.import_file(path)
        kept = reattribute(OCTOBER, author="f", reason="moved", now=LATER, dry_run=True)
        found = reattribute(OCTOBER, author="f", reason="moved", now=LATER)
        assert found.differences == kept.differences
        assert found.changed == 12
        assert total() == before
        owned = f"SELECT cost_centre FROM {USAGE.relation()} u GROUP BY 1 HAVING sum(events) > 0"
        assert rows(owned) == [("cc-new",)]
        assert list(check_month(OCTOBER)) == []
        again = reattribute(OCTOBER, author="f", reason="moved", now=LATER)
        assert (again.looked_at, again.changed) == (12, 0)
        assert done().changed == 0
