"""Re-ratings as acts: what is put on record, as a command, as work, and on pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.urls import reverse
from django.utils import timezone

from metering import dispositions, people
from metering.background import work, work_status, workers
from metering.background.flows import FenceLost
from metering.dispositions import ClosedMonth
from metering.ingestion import ingest
from metering.models import Rerating, ReratingDifference, ReratingEnd, WorkPart, WorkRun
from metering.people import NotAllowed
from metering.pricing import portions, rerating_work, revaluation
from metering.pricing.price_imports import import_file
from metering.pricing.rerating_acts import differences_of, totals_of
from metering.pricing.revaluation import MonthClosed, Revalued
from metering.readings import usage_digest
from metering.verification.event_verification import check_month
from tests.admin_pages import browser, person, text
from tests.metering.events import NOW
from tests.metering.pricing.test_revaluation import (
    ALIAS,
    LATER,
    OCTOBER,
    done,
    rows,
    several,
    total,
)

pytestmark = pytest.mark.django_db
WHY = "a finetune has a price"


@pytest.fixture(autouse=True)
def _a_price_that_came_later() -> None:
    ingest(several(), now=NOW)
    import_file(ALIAS, "own.csv", effective_at=LATER)


def started(model: str | None = None) -> WorkRun:
    people.add("controller", ["finance"])
    return rerating_work.start(OCTOBER, reason=WHY, by="controller", now=LATER, model=model).run


def worked_off(run: WorkRun, *, now: datetime = LATER) -> work_status.RunStatus:
    workers.work_off(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return work_status.status(run)


def act_of(found: Revalued) -> Rerating:
    assert found.run is not None
    return Rerating.objects.get(pk=found.run)


def test_an_act_names_who_why_what_and_what_came_of_it() -> None:
    before = usage_digest(OCTOBER.period)
    found = done()
    act = act_of(found)
    assert (act.month, act.model, act.author, act.reason) == ("2026-10", "", "finance", WHY)
    assert (act.usage_digest, act.end.usage_digest) == (before, usage_digest(OCTOBER.period))
    assert act.usage_digest != act.end.usage_digest
    assert act.end.looked_at == 11
    [difference] = differences_of(act.pk)
    assert (difference.model, difference.events) == ("our-finetune", 5)
    assert (difference.pricing_before, difference.pricing_after) == ("unpriced", "priced")
    [sums] = found.differences.values()
    [(currency, nothing, cost)] = totals_of([difference])
    assert (currency, nothing, cost) == ("USD", Decimal(0), sums.cost_after)
    assert found.totals == totals_of([difference])


def test_one_that_finds_nothing_and_a_trial() -> None:
    assert done(dry_run=True).run is None
    assert not Rerating.objects.exists()
    done()
    again = done()
    act = act_of(again)
    assert differences_of(act.pk) == []
    assert act.usage_digest == act.end.usage_digest


def test_every_event_one_by_one_comes_to_the_same() -> None:
    assert done(dry_run=True, recompute=True) == done(dry_run=True)
    recomputed = done(recompute=True)
    assert recomputed.changed == 5
    assert done().changed == 0
    assert list(check_month(OCTOBER)) == []


def test_the_command_names_the_act() -> None:
    out = StringIO()
    call_command("rerate", "2026-10", "--json", "--reason", WHY, stdout=out)
    answer = json.loads(out.getvalue())
    act = Rerating.objects.get(pk=answer["run"])
    assert (act.author, act.reason) == ("manage.py", WHY)
    [told] = answer["totals"]
    assert told["currency"] == "USD"
    assert [Decimal(cost) for cost in told["cost"]] == list(
        totals_of(differences_of(act.pk))[0][1:]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda: Rerating.objects.update(reason="another"),
        lambda: Rerating.objects.all().delete(),
        lambda: ReratingDifference.objects.update(events=1),
        lambda: ReratingEnd.objects.update(looked_at=1),
        lambda: ReratingDifference.objects.create(
            rerating=Rerating.objects.get(),
            provider="openai",
            model="x",
            pricing_before="priced",
            pricing_after="priced",
            currency_before="USD",
            currency_after="USD",
            events=1,
            cost_before=Decimal(1),
            cost_after=Decimal(2),
        ),
    ],
)
def test_what_is_on_record_stays(change: Callable[[], Any]) -> None:
    done()
    with pytest.raises(DatabaseError), transaction.atomic():
        change()


class TestAsWork:
    def test_it_does_what_the_command_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(portions, "SIZE", 3)
        trial = done(dry_run=True)
        run = started()
        status = worked_off(run)
        assert (status.state, status.author) == ("done", "controller")
        assert run.parts.filter(step="rate").count() > 2
        act = Rerating.objects.get()
        assert (act.author, act.reason, act.end.looked_at) == ("controller", WHY, 11)
        assert totals_of(differences_of(act.pk)) == trial.totals
        assert rows("SELECT count(*), max(revision) FROM event_revision") == [(5, 1)]
        assert list(check_month(OCTOBER)) == []

    def test_the_same_again_joins_what_is_at_work(self) -> None:
        run = started()
        again = rerating_work.start(OCTOBER, reason="also", by="controller", now=LATER)
        assert (again.new, again.run.pk) == (False, run.pk)
        assert rerating_work.start(
            OCTOBER, reason=WHY, by="controller", now=LATER, model="our-finetune"
        ).new

    def test_a_part_that_was_killed_is_done_by_another_worker_and_nothing_twice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed after a batch was stored: that batch and its differences stay, once."""
        monkeypatch.setattr(revaluation, "BATCH", 2)

        class Killed(BaseException):
            pass

        run = started()
        [first] = work.ready_parts(run.pk, now=LATER)
        workers.perform(first, now=LATER)
        part = WorkPart.objects.filter(run=run, step="rate").order_by("pk")[0]
        with monkeypatch.context() as patched:

            def killed(*_: object, **__: object) -> None:
                raise Killed

            patched.setattr(work, "complete", killed)
            with pytest.raises(Killed):
                workers.perform(part.pk, now=LATER)
        assert sum(each.events for each in differences_of(Rerating.objects.get().pk)) > 0
        assert not ReratingEnd.objects.exists()
        assert worked_off(run, now=LATER + timedelta(hours=1)).state == "done"
        [difference] = differences_of(Rerating.objects.get().pk)
        assert difference.events == 5
        assert rows("SELECT count(*), max(revision) FROM event_revision") == [(5, 1)]
        assert list(check_month(OCTOBER)) == []

    def test_who_was_overtaken_stores_nothing(self) -> None:
        run = started()
        [first] = work.ready_parts(run.pk, now=LATER)
        workers.perform(first, now=LATER)
        before = total()
        part = WorkPart.objects.filter(run=run, step="rate").order_by("pk")[0]
        leased = work.lease(part.pk, now=LATER)
        assert leased is not None
        assert work.lease(part.pk, now=LATER + timedelta(hours=1)) is not None
        with pytest.raises(FenceLost), transaction.atomic():
            rerating_work.rate(leased)
        assert rows("SELECT count(*) FROM event_revision") == [(0,)]
        assert total() == before

    def test_a_month_that_closes_meanwhile_stops_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = started()
        monkeypatch.setattr(
            dispositions, "_guards", [lambda month: ClosedMonth(NOW, f"{month} was closed")]
        )
        status = worked_off(run)
        assert status.state == "failed"
        assert "2026-10 was closed" in str(status)
        assert rows("SELECT count(*) FROM event_revision") == [(0,)]
        with pytest.raises(MonthClosed, match="next open month"):
            started()

    def test_only_a_person_with_the_right_starts_it(self) -> None:
        people.add("looker", ["viewer"])
        with pytest.raises(NotAllowed, match="lacks the right"):
            rerating_work.start(OCTOBER, reason=WHY, by="looker", now=LATER)
        assert not WorkRun.objects.exists()


class TestPages:
    def test_finance_has_an_open_month_rated_anew_and_sees_what_differed(self) -> None:
        page = reverse("admin:metering_rerating_rerate")
        finance = browser(person("finance", "finance"))
        assert 'value="2026-10"' in finance.get(page).text
        assert "This field is required" in finance.post(page, {"month": "2026-10"}).text
        filled = {"month": "2026-10", "model": "our-finetune", "reason": WHY}
        assert "in the background" in finance.post(page, filled, follow=True).text
        run = WorkRun.objects.get()
        assert run.subject == "2026-10 our-finetune"
        assert worked_off(run, now=timezone.now()).state == "done"
        listed = text(finance.get(reverse("admin:metering_rerating_changelist")))
        assert WHY in listed
        act = Rerating.objects.get()
        shown = text(finance.get(reverse("admin:metering_rerating_change", args=[act.pk])))
        assert "our-finetune" in shown
        assert "unpriced" in shown
        differences = shown.partition("Differences")[2]
        assert 'title="0 USD"' not in differences  # what had no price had no cost

    def test_others_look_only(self) -> None:
        done()
        viewer = browser(person("viewer", "viewer"))
        listed = viewer.get(reverse("admin:metering_rerating_changelist"))
        assert "Rate an open month anew" not in listed.text
        assert viewer.get(reverse("admin:metering_rerating_rerate")).status_code == 403

    def test_a_closed_month_is_not_offered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            dispositions, "_guards", [lambda month: ClosedMonth(NOW, f"{month} was closed")]
        )
        finance = browser(person("finance", "finance"))
        page = reverse("admin:metering_rerating_rerate")
        assert "2026-10" not in finance.get(page).text
        filled = {"month": "2026-10", "reason": WHY}
        assert "not one of the available choices" in finance.post(page, filled).text
        assert not WorkRun.objects.exists()
