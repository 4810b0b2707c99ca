"""Who the work is for and who bears its cost: tenants, users, cost centres, dated mappings."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone


class _InstantRange(Func):
    """The half-open range of a row's validity, for exclusion constraints."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


def validity() -> _InstantRange:
    return _InstantRange(F("valid_from"), F("valid_to"), RangeBoundary())


def changes_the_book(
    operation: pgtrigger.Operation = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
) -> pgtrigger.Trigger:
    """Notes that owners or mappings were changed, so that nobody works from an older snapshot.

    The one row of `owner_book_version` holds the transaction that changed the book last: it is
    written to once a transaction, and whoever changes the book meanwhile waits, so that no change
    can become visible without its version.
    """
    return pgtrigger.Trigger(
        name="owner_book_changes",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=operation,
        func="""
            UPDATE owner_book_version SET changed_by = pg_current_xact_id()
            WHERE changed_by <> pg_current_xact_id();
            RETURN NULL;
        """,
    )


class Tenant(models.Model):
    """A customer, by the key that events carry. Registered when first seen."""

    key = models.TextField(primary_key=True)
    name = models.TextField(blank=True, default="")
    time_zone = models.TextField(default="UTC")
    registered_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "tenant"

    def __str__(self) -> str:
        return self.name or self.key


class CostCentre(models.Model):
    """An owner of cost inside the company, with the person who answers for it."""

    class Mode(models.TextChoices):
        SHOWBACK = "showback", "showback: sees its cost"
        CHARGEBACK = "chargeback", "chargeback: owes its cost"

    code = models.TextField(primary_key=True)
    name = models.TextField()
    responsible = models.TextField()
    team = models.TextField(blank=True, default="")
    mode = models.TextField(choices=Mode.choices, default=Mode.SHOWBACK)

    class Meta:
        db_table = "cost_centre"
        triggers = [changes_the_book()]
        constraints = [
            models.CheckConstraint(
                condition=~Q(responsible=""), name="cost_centre_has_a_responsible_person"
            ),
            models.CheckConstraint(
                condition=Q(mode__in=["showback", "chargeback"]), name="cost_centre_mode_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Source(models.Model):
    """Something that reports usage: a gateway, an SDK, a file feed."""

    class Role(models.TextChoices):
        APPLICATION = "application", "an application: it knows whom a call is for"
        METER = "meter", "an SDK or a gateway: it knows what a call used"

    key = models.TextField(primary_key=True)
    provider_project = models.TextField(
        blank=True,
        default="",
        help_text="the provider's project its calls are billed under, where events do not say",
    )
    role = models.TextField(
        choices=Role.choices,
        blank=True,
        default="",
        help_text=(
            "what is believed of it first where another source reports the same call; empty: as "
            "the reports themselves show"
        ),
    )

    class Meta:
        db_table = "source"
        triggers = [changes_the_book()]
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=["", "application", "meter"]), name="source_role_known"
            )
        ]

    def __str__(self) -> str:
        return self.key


class Provider(models.Model):
    """A provider of the operator's own (a vLLM server, say), beside those of the price lists."""

    key = models.TextField(primary_key=True)
    name = models.TextField(blank=True, default="")

    class Meta:
        db_table = "provider"
        triggers = [changes_the_book()]

    def __str__(self) -> str:
        return self.name or self.key


class UserIdentity(models.Model):
    """The look-up from a keyed hash of what was sent to a random pseudonym.

    Deleting the row erases the person: the pseudonym in events can no longer be traced back.
    """

    lookup_hash = models.BinaryField(primary_key=True)
    pseudonym = models.UUIDField(unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "user_identity"
        triggers = [changes_the_book(pgtrigger.Delete)]

    def __str__(self) -> str:
        return str(self.pseudonym)


class ServiceAccount(models.Model):
    """A user that is a program: named explicitly, kept apart from people."""

    pseudonym = models.UUIDField(primary_key=True)
    name = models.TextField()

    class Meta:
        db_table = "service_account"
        triggers = [changes_the_book()]

    def __str__(self) -> str:
        return self.name


class _DatedMapping(models.Model):
    """From `valid_from` until before `valid_to` (both UTC instants; none: open)."""

    kind = models.TextField()
    key = models.TextField()
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class OwnerMapping(_DatedMapping):
    """Which cost centre bears what carries this key. Users are keyed by their pseudonym."""

    class Kind(models.TextChoices):
        COST_CENTRE = "cost_centre", "a cost centre named by the event"
        ENDPOINT_TAG = "endpoint_tag", "an endpoint tag (a feature)"
        USER = "user", "a user or service account"
        TENANT = "tenant", "a tenant"
        SOURCE = "source", "a source's default"

    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT)

    class Meta:
        db_table = "owner_mapping"
        triggers = [changes_the_book()]
        constraints = [
            ExclusionConstraint(
                name="one_cost_centre_at_a_time",
                expressions=[
                    ("kind", RangeOperators.EQUAL),
                    ("key", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} → {self.cost_centre_id}"


class TenantMapping(_DatedMapping):
    """Which tenant a user (by pseudonym) or a source works for, where events do not say."""

    class Kind(models.TextChoices):
        USER = "user", "a user or service account"
        SOURCE = "source", "a source's default"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)

    class Meta:
        db_table = "tenant_mapping"
        triggers = [changes_the_book()]
        constraints = [
            ExclusionConstraint(
                name="one_tenant_at_a_time",
                expressions=[
                    ("kind", RangeOperators.EQUAL),
                    ("key", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} → {self.tenant_id}"
