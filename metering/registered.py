"""Which tenants and cost centres are registered: for those who name one and may have mistyped."""

from __future__ import annotations

from metering.models import CostCentre, Tenant


def tenants() -> frozenset[str]:
    """Every tenant that was imported or has used anything."""
    return frozenset(Tenant.objects.values_list("key", flat=True))


def cost_centres() -> frozenset[str]:
    """Every cost centre, `unallocated` included."""
    return frozenset(CostCentre.objects.values_list("code", flat=True))
