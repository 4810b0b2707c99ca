"""Which of metering's tables have a history, and those of people and schedules.

Not here: what is written by the thousand (events and all that stands beside them, buckets of
seals), work rows, which say how things were done and not what is owed, and the look-up of users,
whose deletion forgets a person.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from metering.models.api_keys import ApiKey
from metering.models.attributes import AttributeName
from metering.models.budgets import BudgetRow
from metering.models.commitments import CommitmentRow
from metering.models.owners import (
    CostCentre,
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
)
from metering.models.prices import PriceListImport, PriceRow
from metering.models.reratings import Rerating
from metering.models.seals import Seal
from metering.recording import ENDS, INSERTS, UPDATES, record

for _owner in (
    AttributeName,
    CostCentre,
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
):
    record(_owner)

record(ApiKey, without=["secret_digest"], quiet=["last_used_at"])
record(PriceListImport, INSERTS, without=["rules", "terms", "refused"])
record(
    PriceRow,
    UPDATES,
    without=["conditions", "unit_prices", "derived_from", "discount_percent"],
)
record(CommitmentRow, ENDS)
record(BudgetRow, ENDS)
record(Rerating, INSERTS)
record(Seal, INSERTS)


class Person(User):
    """A user, as the history tells of it: never the password, nor each log-in."""

    class Meta:
        proxy = True
        default_permissions = ()


class RoleGroup(Group):
    """A role, as the history tells of it."""

    class Meta:
        proxy = True
        default_permissions = ()


class PersonRole(User.groups.through):  # type: ignore[name-defined,misc]
    """That a person has a role."""

    class Meta:
        proxy = True
        default_permissions = ()


class PersonRight(User.user_permissions.through):  # type: ignore[name-defined,misc]
    """That a person has a right beside those of the roles."""

    class Meta:
        proxy = True
        default_permissions = ()


class RoleRight(Group.permissions.through):  # type: ignore[name-defined,misc]
    """That a role has a right."""

    class Meta:
        proxy = True
        default_permissions = ()


class Schedule(PeriodicTask):  # type: ignore[misc]
    """A periodic task, as the history tells of it: what it does and when, not each time it ran."""

    class Meta:
        proxy = True
        default_permissions = ()


class Crontab(CrontabSchedule):  # type: ignore[misc]
    """When schedules by the clock are due."""

    class Meta:
        proxy = True
        default_permissions = ()


class Interval(IntervalSchedule):  # type: ignore[misc]
    """When schedules by an interval are due."""

    class Meta:
        proxy = True
        default_permissions = ()


record(Person, without=["password"], quiet=["last_login"])
record(Schedule, quiet=["last_run_at", "total_run_count", "date_changed"])
for _outsider in (RoleGroup, PersonRole, PersonRight, RoleRight, Crontab, Interval):
    record(_outsider)
