"""Runs as stored: once, conserved by the database's own sum, superseded but never changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, connection, connections, transaction
from django.db.models import Model

from allocation import allocation_run
from allocation.allocation_run import NoBills, digest_now, read_inputs, run
from allocation.closed_months import MonthIsClosed
from allocation.domain.allocations import Allocation, OwnerSettlement
from allocation.models import (
    AllocationBill,
    AllocationLine,
    AllocationRun,
    AllocationSettlement,
    AllocationSource,
    PeriodClose,
    RunApproval,
)
from allocation.rule_book import NoSuchRule
from allocation.run_rows import outputs_digest, read_allocation, write_rows
from metering.domain.digests import digest_of
from metering.domain.drivers import DriverQuery
from metering.domain.periods import Month
from tests.allocation.month_of_usage import (
    NOW,
    OCTOBER,
    B,
    MonthOfUsage,
    bill_line,
    metered,
)


def october(author: str = "ana", rule: str | None = None) -> AllocationRun:
    return run(OCTOBER, rule=rule, author=author, now=NOW)


def digest_of_now(made: AllocationRun, usage: MonthOfUsage) -> str:
    return digest_now(made, usage=digest_of(usage.cells), now=NOW)


@pytest.mark.usefixtures("db", "usage")
class TestRun:
    def test_every_cent_lands_on_an_owner(self) -> None:
        made = october()
        stored = read_allocation(made.pk)
        assert (made.number, made.state, made.author) == (1, "draft", "ana")
        (bill,) = stored.bills
        assert (bill.exact, bill.payable, bill.payable_minor) == (
            Decimal("9.005"),
            Decimal("9.00"),
            900,
        )
        assert [(s.cost_centre, s.amount_minor) for s in stored.settlements] == [
            ("cc-a", 600),
            ("cc-b", 300),
        ]
        assert {s.line_no: s.pool for s in stored.sources} == {
            1: "metered usage",
            2: "unmetered tokens",
            3: "credits",
        }

    def test_what_is_read_back_is_what_was_divided(self) -> None:
        made = october()
        assert outputs_digest(read_allocation(made.pk)) == made.outputs_digest

    @pytest.mark.parametrize("odd", ["a\tb", "a\nb", "a\r\nb", "a\\b\\N", "\\.", "\\t", "é\u2028"])
    def test_names_are_read_back_as_they_were_whatever_is_in_them(self, odd: str) -> None:
        stored = read_allocation(october().pk)
        named = stored._replace(lines=tuple(x._replace(project=odd) for x in stored.lines))
        with transaction.atomic():
            digest = write_rows(0, named)
            assert read_allocation(0) == named
            assert digest == outputs_digest(named) != outputs_digest(stored)
            transaction.set_rollback(True)

    def test_the_same_inputs_are_the_same_run(self, usage: MonthOfUsage) -> None:
        first = october()
        usage.lines.reverse()
        assert october(author="ben").pk == first.pk
        assert AllocationRun.objects.count() == 1

    def test_the_same_inputs_give_the_same_bytes(self) -> None:
        with transaction.atomic():
            first = october()
            transaction.set_rollback(True)
        second = october(author="ben")
        assert second.pk != first.pk
        assert (second.inputs_digest, second.outputs_digest) == (
            first.inputs_digest,
            first.outputs_digest,
        )

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda u: u.lines.append(bill_line(4, "1")), id="bill"),
            pytest.param(lambda u: u.cells.append(metered(B, "3")), id="usage"),
            pytest.param(lambda u: u.drivers.update({(B, ""): Decimal(5)}), id="driver"),
        ],
    )
    def test_changed_inputs_supersede_the_draft(
        self, usage: MonthOfUsage, change: Callable[[MonthOfUsage], None]
    ) -> None:
        first = october()
        assert digest_of_now(first, usage) == first.inputs_digest
        change(usage)
        assert digest_of_now(first, usage) != first.inputs_digest
        second = october()
        assert digest_of_now(second, usage) == second.inputs_digest
        first.refresh_from_db()
        assert (first.state, second.state, second.number) == ("superseded", "draft", 2)
        assert first.inputs_digest != second.inputs_digest
        assert read_allocation(first.pk).bills  # what was superseded stays readable

    def test_a_run_asks_again_for_the_drivers_that_it_was_made_from(
        self, usage: MonthOfUsage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = october()
        asked: list[DriverQuery] = []

        def readings(_month: Month, queries: Iterable[DriverQuery]) -> dict[DriverQuery, Any]:
            asked.extend(queries)
            return dict.fromkeys(asked, usage.drivers)

        monkeypatch.setattr(allocation_run, "readings", readings)
        digest_of_now(made, usage)
        now = tuple(asked)
        assert now
        assert now == tuple(read_inputs(OCTOBER, None, now=NOW).readings)

    def test_an_approval_does_not_outlive_its_inputs(self, usage: MonthOfUsage) -> None:
        first = october()
        AllocationRun.objects.filter(pk=first.pk).update(state="approved")
        assert october().state == "approved"
        usage.cells.append(metered(B, "3"))
        assert october().state == "draft"

    def test_a_month_without_bills_has_no_run(self) -> None:
        with pytest.raises(NoBills, match="import_bill"):
            run(OCTOBER.next(), rule=None, author="", now=NOW)

    def test_an_unknown_rule_is_named(self) -> None:
        with pytest.raises(NoSuchRule, match=r"'ours' holds for 2026-10.*import_rules"):
            october(rule="ours")
        assert not AllocationRun.objects.exists()

    def test_a_closed_month_refuses_another_run(self, usage: MonthOfUsage) -> None:
        made = october()
        close(made)
        assert october().pk == made.pk
        usage.cells.append(metered(B, "3"))
        with pytest.raises(MonthIsClosed, match="2026-10 was closed by cleo"):
            october()


def close(made: AllocationRun) -> None:
    RunApproval.objects.create(
        run=made, approved_by="ben", approved_at=NOW, outputs_digest=made.outputs_digest
    )
    for state in ("approved", "closed"):
        AllocationRun.objects.filter(pk=made.pk).update(state=state)
    PeriodClose.objects.create(
        month=made.month,
        sequence=1,
        run=made,
        prepared_by="ana",
        approved_by="ben",
        closed_by="cleo",
        closed_at=NOW,
        run_digest=made.outputs_digest,
        inputs_digest=made.inputs_digest,
        usage_digest=made.usage_digest,
        totals=[],
        answers=[],
    )


@pytest.mark.usefixtures("db", "usage")
class TestTheDatabaseHoldsIt:
    """Rows that do not add up, or that are changed later, are refused whoever writes them."""

    def stored(self, allocation: Allocation) -> AllocationRun:
        made = AllocationRun.objects.get()
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence('allocation_run', 'id'))")
            (run_id,) = cursor.fetchone()
        write_rows(run_id, allocation)
        return AllocationRun.objects.create(
            id=run_id,
            month="2026-11",
            number=1,
            author="ana",
            rule_version=made.rule_version,
            usage_digest="",
            inputs_digest="",
            outputs_digest="",
        )

    def test_a_whole_run_is_accepted(self) -> None:
        allocation = read_allocation(october().pk)
        assert self.stored(allocation).number == 1

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda a: a._replace(lines=a.lines[1:]), "its lines do not add up"),
            (lambda a: a._replace(lines=a.lines[:-1]), "its lines do not add up"),
            (lambda a: a._replace(sources=a.sources[1:]), "its sources are not"),
            (lambda a: a._replace(settlements=a.settlements[1:]), "its settlements do not"),
            (lambda a: a._replace(bills=()), "bill 1"),
            (
                lambda a: a._replace(
                    bills=(a.bills[0]._replace(payable=a.bills[0].payable + 1),)
                ),
                "bill 1",
            ),
            (lambda a: a._replace(settlements=moved_cents(a, 100)), "a unit or more from exact"),
            (lambda a: a._replace(lines=swapped_owners(a)), "are not its settlement"),
        ],
    )  # fmt: skip
    def test_a_run_that_does_not_conserve_is_refused(
        self, spoil: Callable[[Allocation], Allocation], message: str
    ) -> None:
        allocation = read_allocation(october().pk)
        with pytest.raises(Error, match=f"does not conserve: .*{message}"), transaction.atomic():
            self.stored(spoil(allocation))

    @pytest.mark.parametrize(
        "table",
        ["allocation_line", "allocation_source", "allocation_settlement", "allocation_bill"],
    )
    @pytest.mark.parametrize(
        "change", ["UPDATE {} SET bill_id = bill_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
    )
    def test_stored_rows_stay_as_they_are(self, table: str, change: str) -> None:
        october()
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change.format(table))

    @pytest.mark.parametrize(
        ("model", "other"),
        [
            (AllocationBill, "bill_id"),
            (AllocationSource, "bill_id"),
            (AllocationLine, "number"),
            (AllocationSettlement, "bill_id"),
        ],
    )
    def test_a_finished_run_takes_no_more_rows(self, model: type[Model], other: str) -> None:
        october()
        row = model._default_manager.all()[:1].get()
        row.pk = None
        setattr(row, other, getattr(row, other) + 1_000)
        with pytest.raises(Error, match="takes no more rows"), transaction.atomic():
            row.save(force_insert=True)

    @pytest.mark.parametrize(
        ("states", "last"),
        [((), "closed"), (("superseded",), "draft"), (("approved", "closed"), "superseded")],
    )
    def test_states_move_only_forwards(self, states: tuple[str, ...], last: str) -> None:
        mine = AllocationRun.objects.filter(pk=october().pk)
        for state in states:
            mine.update(state=state)
        with pytest.raises(Error, match="Invalid transition"), transaction.atomic():
            mine.update(state=last)

    @pytest.mark.parametrize("field", ["outputs_digest", "inputs_digest", "author", "month"])
    def test_a_run_changes_nothing_but_its_state(self, field: str) -> None:
        mine = AllocationRun.objects.filter(pk=october().pk)
        with pytest.raises(Error, match="Cannot update"), transaction.atomic():
            mine.update(**{field: "2027-01"})
        with pytest.raises(Error, match="Cannot delete"), transaction.atomic():
            mine.delete()


def moved_cents(allocation: Allocation, cents: int) -> tuple[OwnerSettlement, ...]:
    first, second = allocation.settlements
    return (
        first._replace(amount_minor=first.amount_minor + cents),
        second._replace(amount_minor=second.amount_minor - cents),
    )


def swapped_owners(allocation: Allocation) -> tuple[Any, ...]:
    other = {"cc-a": "cc-b", "cc-b": "cc-a", "": ""}
    tenant = {"acme": "globex", "globex": "acme", "": ""}
    return tuple(
        line._replace(cost_centre=other[line.cost_centre], tenant=tenant[line.tenant])
        for line in allocation.lines
    )


def test_two_runs_at_once_have_the_effect_of_one(usage: MonthOfUsage, fresh_db: str) -> None:
    start = threading.Barrier(3)
    made: list[int] = []

    def allocate() -> None:
        try:
            start.wait(timeout=30)
            made.append(october().pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=allocate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert len(set(made)) == 1
    assert AllocationRun.objects.count() == 1


def test_a_run_that_is_cut_off_leaves_nothing(
    usage: MonthOfUsage, fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Exception):
        """The process dies here."""

    def cut(run_id: int, allocation: Allocation) -> str:
        write_rows(run_id, allocation)
        assert AllocationLine.objects.filter(run=run_id).exists()
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(allocation_run, "write_rows", cut)
        with pytest.raises(Cut):
            october()
    assert not AllocationLine.objects.exists()
    assert october().number == 1
