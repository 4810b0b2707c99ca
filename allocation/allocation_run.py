"""An allocation run: a month's bills divided over their owners by a rule, once, and stored.

Everything that a run depends on is read first and digested. If the month's run was made from the
same inputs it is the answer already; otherwise a new run takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from allocation.closed_months import refuse_if_closed
from allocation.domain.allocations import Allocation
from allocation.domain.bill_lines import BillLine
from allocation.domain.division import divide
from allocation.domain.matching import match
from allocation.domain.pools import (
    Gathered,
    driver_queries,
    gather,
    queries_of,
)
from allocation.domain.rules import Direct
from allocation.drivers import readings
from allocation.models import AllocationRun, RuleVersion
from allocation.period_locks import lock_month
from allocation.provider_bills import bill_lines
from allocation.rule_book import content_of, rule_for
from allocation.run_rows import write_rows
from metering.domain.cells import Owner
from metering.domain.digests import digest_of
from metering.domain.drivers import DriverQuery
from metering.domain.periods import Month
from metering.readings import MeteredUsage, metered_usage

METHOD: Final = "1"
"""Part of every run's inputs: raised when the same inputs come to be divided another way."""


class NoBills(ValueError):
    """Nothing was billed in the month, so there is nothing to divide."""


class RunInputs(NamedTuple):
    """Everything that a run of a month depends on, read once."""

    version: RuleVersion
    usage: str
    gathered: Gathered
    readings: dict[DriverQuery, dict[tuple[Owner, str], Decimal]]
    digest: str

    @property
    def identity(self) -> RunIdentity:
        return RunIdentity(self.version, self.usage, self.digest)


class RunIdentity(NamedTuple):
    """What tells a run's inputs from any others."""

    version: RuleVersion
    usage: str
    digest: str


def run(month: Month, *, rule: str | None, author: str, now: datetime) -> AllocationRun:
    """The month's run by the rule (`standard` if none is named), from the inputs as they are now.

    Repeating it changes nothing as long as nothing beneath has changed, closed month or not; a run
    whose inputs or rule have changed is superseded, approved or not. One run at a time works on a
    month. Raises `NoBills`, `NoSuchRule`, `AmountTooFine`, or `MonthIsClosed` where a closed month
    would have to change.
    """
    with transaction.atomic():
        lock_month(month)
        inputs = read_inputs(month, rule, now=now)
        found = run_of(month, inputs.digest)
        if found is not None:
            return found
        refuse_if_closed(month)
        allocation = divide(inputs.gathered, inputs.readings)
        return store(month, inputs.identity, allocation, author=author, now=now)


def run_of(month: Month, inputs_digest: str) -> AllocationRun | None:
    """The month's run that counts, if it was made from these inputs."""
    return _counting(month).filter(inputs_digest=inputs_digest).first()


def rule_in_use(month: Month) -> str | None:
    """The rule of the month's run that counts, else of the month before; `None`: neither has one.

    For who makes a run again without having been told by which rule.
    """
    for earlier in (month, month.previous()):
        found = _counting(earlier).select_related("rule_version").first()
        if found is not None:
            return str(found.rule_version.rule_id)
    return None


def _counting(month: Month) -> QuerySet[AllocationRun]:
    return AllocationRun.objects.filter(month=str(month)).exclude(
        state=AllocationRun.State.SUPERSEDED
    )


def read_inputs(
    month: Month, rule: str | None, *, now: datetime, metered: MeteredUsage | None = None
) -> RunInputs:
    """What a run of the month would be made from now, with its digest: usage (`metered`, where
    that was read already), bills, rule, drivers, and the method of division."""
    lines = _billed(month)
    version = rule_for(month, rule, now=now)
    cells, usage = metered or metered_usage(month.period)
    gathered = gather(match(lines, cells).groups, content_of(version))
    found = readings(month, driver_queries(gathered))
    digest = _inputs_digest(month, usage, lines, version, found)
    return RunInputs(version, usage, gathered, found, digest)


def digest_now(run: AllocationRun, *, usage: str, now: datetime) -> str:
    """The inputs' digest that the run would have if it were made again now; `usage` is the
    month's `usage_digest`.

    Nothing is matched or gathered for it. Which drivers count is read from the run's own sources:
    that follows from usage, bills and rule, and where one of these differs, so does the digest.
    Raises `NoBills`, `NoSuchRule` or `InvalidRule`.
    """
    month = Month.parse(run.month)
    return digest_by(month, run.rule_version.rule_id, _queries(run), usage=usage, now=now)


def digest_by(
    month: Month,
    rule: str | None,
    queries: Iterable[DriverQuery],
    *,
    usage: str,
    now: datetime,
) -> str:
    """The same for inputs whose driver queries are known."""
    lines = _billed(month)
    version = rule_for(month, rule, now=now)
    return _inputs_digest(month, usage, lines, version, readings(month, queries))


def _queries(run: AllocationRun) -> tuple[DriverQuery, ...]:
    """What `driver_queries` gave for the run."""
    pools = {pool.name: pool for pool in content_of(run.rule_version).pools}
    providers = dict(run.bills.values_list("bill_id", "provider"))
    taken = run.sources.order_by().values_list("bill_id", "pool").distinct()
    return queries_of(
        (providers[bill], pools[name])
        for bill, name in taken
        if name in pools and not isinstance(pools[name].divide, Direct)
    )


def _billed(month: Month) -> list[BillLine]:
    lines = bill_lines(month)
    if not lines:
        raise NoBills(f"no bill covers {month}; import one with import_bill FILE --provider P")
    return lines


def _inputs_digest(
    month: Month,
    usage: str,
    lines: Iterable[BillLine],
    version: RuleVersion,
    drivers: Mapping[DriverQuery, Mapping[tuple[Owner, str], Decimal]],
) -> str:
    return digest_of(
        {
            "method": METHOD,
            "month": str(month),
            "usage": usage,
            "bills": bill_digests(lines),
            "rule": version.digest,
            "drivers": _driver_digests(drivers),
        }
    )


def bill_digests(lines: Iterable[BillLine]) -> dict[str, str]:
    """By bill, the digest of the lines that fall to the month."""
    by_bill: dict[str, list[BillLine]] = {}
    for line in sorted(lines, key=lambda line: (line.bill_id, line.line_no)):
        by_bill.setdefault(str(line.bill_id), []).append(line)
    return {bill: digest_of(members) for bill, members in by_bill.items()}


def _driver_digests(
    drivers: Mapping[DriverQuery, Mapping[tuple[Owner, str], Decimal]],
) -> list[tuple[DriverQuery, str]]:
    return [
        (query, digest_of([[*owner, key, value] for (owner, key), value in sorted(found.items())]))
        for query, found in sorted(drivers.items())
    ]


def store(
    month: Month, identity: RunIdentity, allocation: Allocation, *, author: str, now: datetime
) -> AllocationRun:
    """Store the month's run in the place of the one that counted until now.

    The month is locked, and open.
    """
    _counting(month).update(state=AllocationRun.State.SUPERSEDED)
    last = AllocationRun.objects.filter(month=str(month)).order_by("-number").first()
    run_id = _next_run_id()
    written = write_rows(run_id, allocation)
    return AllocationRun.objects.create(
        id=run_id,
        month=str(month),
        number=1 if last is None else last.number + 1,
        author=author,
        rule_version=identity.version,
        usage_digest=identity.usage,
        inputs_digest=identity.digest,
        outputs_digest=written,
        created_at=now,
    )


def _next_run_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('allocation_run', 'id'))")
        return int(cursor.fetchone()[0])
