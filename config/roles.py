"""Who may do what: the one table of roles, and its application after every `migrate`.

A role is a Django group; what it may do are Django's permissions (`app.view_model`, `add_`,
`change_`) and a few of our own for acts that are no plain change of a row (`approve`, `close`,
`reopen`, `push`). Nobody may delete: what moved money is superseded, voided or ended.
A superuser may everything but approve what is their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db import transaction

APPROVE_RUN: Final = "allocation.approve_allocationrun"
CLOSE_PERIOD: Final = "allocation.close_period"
REOPEN_PERIOD: Final = "allocation.reopen_period"
APPROVE_INVOICE: Final = "billing.approve_invoice"
PUSH_INVOICE: Final = "billing.push_invoice"
RUN_ALLOCATION: Final = "allocation.add_allocationrun"
RECONCILE: Final = "allocation.add_reconciliation"
DRAFT_INVOICES: Final = "billing.add_invoice"
IMPORT_BILLS: Final = "allocation.add_providerbill"
IMPORT_OWNERS: Final = "metering.add_ownermapping"
IMPORT_BUDGETS: Final = "metering.add_budgetrow"
IMPORT_PLANS: Final = "billing.add_planversion"
IMPORT_PRICES: Final = "metering.add_pricelistimport"
IMPORT_RULES: Final = "allocation.add_ruleversion"
IMPORT_DRIVERS: Final = "allocation.add_drivervalue"
CREATE_API_KEY: Final = "metering.add_apikey"
SEE_HISTORY: Final = "pghistory.view_events"


@dataclass(frozen=True, slots=True)
class Role:
    """A group of people by what they do here, and the permissions (`app.codename`) of it."""

    name: str
    purpose: str
    permissions: frozenset[str]


def _on(app: str, actions: str, models: str) -> frozenset[str]:
    """Django's own permissions: each action on each model, both as words apart by blanks."""
    return frozenset(f"{app}.{act}_{model}" for act in actions.split() for model in models.split())


_MONTH: Final = (
    _on(
        "metering",
        "view",
        "tenant costcentre source provider serviceaccount ownermapping tenantmapping"
        " budgetrow pricelistimport pricerow commitmentrow rerating reratingdifference reratingend"
        " seal sealbucket usageevent latearrival"
        " businessoutcome attributename metricreading workrun workpart schedulefiring",
    )
    | _on(
        "allocation",
        "view",
        "rule ruleversion drivervalue billdocument providerbill providerbillline billreplacement"
        " reconciliation reconciliationresult reconciliationstep reconciliationevidence"
        " allocationrun allocationbill allocationsource allocationline allocationsettlement"
        " statement runapproval periodclose periodreopening",
    )
    | _on(
        "billing",
        "view",
        "plan planversion subscription invoice invoiceline invoicelinepart invoicestanding"
        " stripecustomer stripepush striperequest stripefinding stripeevent stripeeventoutcome",
    )
)
"""All of a month, to look at."""

_SCHEDULES: Final = "periodictask crontabschedule intervalschedule clockedschedule solarschedule"

_PREPARING: Final = (
    _on(
        "metering",
        "add change",
        "tenant costcentre serviceaccount ownermapping tenantmapping budgetrow",
    )
    | _on("metering", "add", "pricelistimport")
    | _on("allocation", "add", "ruleversion drivervalue providerbill reconciliation allocationrun")
    | _on("billing", "add", "plan planversion subscription invoice")
    | _on("django_celery_beat", "view add change", _SCHEDULES)
    | {PUSH_INVOICE}
)
"""What makes a month, up to what another person agrees with."""

_CONNECTING: Final = (
    _on("metering", "add change", "source provider serviceaccount attributename")
    | _on("metering", "view add change", "apikey")
    | _on("metering", "add", "pricelistimport")
    | _on("django_celery_beat", "view", _SCHEDULES)
)
"""What brings usage in."""

_OVERSIGHT: Final = (
    _on("metering", "view", "apikey")
    | _on("django_celery_beat", "view", _SCHEDULES)
    | _on("auth", "view", "user group permission")
    | _on("pghistory", "view", "events middlewareevents")
)
"""Who may do what, and who did what."""

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role("viewer", "sees the month: usage, prices, bills, runs, invoices", _MONTH),
            Role(
                "finance",
                "prepares the month, and closes what is approved",
                _MONTH | _PREPARING | {CLOSE_PERIOD},
            ),
            Role(
                "approver",
                "agrees with what another person made; closes and reopens months",
                _MONTH | {APPROVE_RUN, APPROVE_INVOICE, CLOSE_PERIOD, REOPEN_PERIOD, PUSH_INVOICE},
            ),
            Role("engineer", "connects sources and programs", _MONTH | _CONNECTING),
            Role(
                "auditor",
                "sees everything, and who did it; changes nothing",
                _MONTH | _OVERSIGHT,
            ),
        )
    }
)
"""The roles. A person may have several; whose work it is still decides who approves it."""


def roles_with(permission: str) -> tuple[str, ...]:
    """The names of the roles that have a permission (`app.codename`)."""
    return tuple(name for name, role in ROLES.items() if permission in role.permissions)


def apply(alias: str = "migrator") -> frozenset[str]:
    """Make the groups as the table says: what is missing is given, what is no longer in the table
    is taken away. Other groups, and who is in which, are left alone. Repeating it changes nothing.

    Gives the permissions that no model in the database has (yet).
    """
    with transaction.atomic(using=alias):
        known = {
            f"{app}.{codename}": pk
            for pk, app, codename in Permission.objects.using(alias).values_list(
                "pk", "content_type__app_label", "codename"
            )
        }
        for role in ROLES.values():
            group, _ = Group.objects.using(alias).get_or_create(name=role.name)
            group.permissions.set(_found(role, known))
    return frozenset().union(*(role.permissions for role in ROLES.values())) - known.keys()


def _found(role: Role, known: Mapping[str, int]) -> Iterator[int]:
    return (known[permission] for permission in sorted(role.permissions) if permission in known)
