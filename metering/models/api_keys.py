"""Keys by which programs send and read: what each may do, never the secret itself."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from metering.models.owners import Source, Tenant


class ApiKey(models.Model):
    """What a key may do, and until when. Of its secret there is only a SHA-256.

    What a key may do never changes and a revoked key stays revoked: another right is another key.
    Keys are kept for ever, so that who sent what can still be said years later.
    """

    class Scope(models.TextChoices):
        INGEST = "ingest", "ingest: sends usage of one source"
        GATEWAY = "gateway", "gateway: calls models through the gateway"
        FINANCE = "finance", "finance: reads the company's costs, runs and invoices"
        PORTAL = "portal", "portal: reads what one tenant used and owes"

    id = models.TextField(primary_key=True)
    name = models.TextField()
    scope = models.TextField(choices=Scope.choices)
    tenant = models.ForeignKey(
        Tenant,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="the only tenant that the key sends or reads for; none: any",
    )
    source = models.ForeignKey(
        Source,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="the source that the key's events are booked under",
    )
    secret_digest = models.BinaryField()
    created_at = models.DateTimeField()
    created_by = models.TextField(blank=True, default="")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.TextField(blank=True, default="")
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="to within ten minutes, so that reading costs no writing"
    )

    class Meta:
        db_table = "api_key"
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["name", "created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__in=["ingest", "gateway", "finance", "portal"]),
                name="api_key_scope_known",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="api_key_has_a_name"),
            models.CheckConstraint(
                condition=~Q(scope="portal") | Q(tenant__isnull=False),
                name="portal_key_has_a_tenant",
            ),
            models.CheckConstraint(
                condition=~Q(scope="finance") | Q(tenant__isnull=True),
                name="finance_key_has_no_tenant",
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["ingest", "gateway"], source__isnull=False)
                | Q(scope__in=["finance", "portal"], source__isnull=True),
                name="sending_key_has_a_source",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="what_a_key_may_do_is_permanent",
                exclude=["revoked_at", "revoked_by", "last_used_at"],
            ),
            pgtrigger.Protect(
                name="a_revoked_key_stays_revoked",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.revoked_at IS NOT NULL AND (OLD.revoked_at, OLD.revoked_by)"
                    " IS DISTINCT FROM (NEW.revoked_at, NEW.revoked_by)"
                ),
            ),
            pgtrigger.Protect(name="a_key_is_never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"
