"""Metering's rows. Other apps meet them through `metering.readings`.

The big tables (events, ledger, shares, revisions, dispositions, rollups) are written by COPY and
read by SQL; of them only the events have a model, to be listed by. Migration `0002_usage` lays
them out.
"""

from metering.models import history  # noqa: F401 (says what is recorded)
from metering.models.api_keys import ApiKey
from metering.models.arrivals import LateArrival
from metering.models.attributes import AttributeName
from metering.models.budgets import BudgetRow
from metering.models.business_outcomes import BusinessOutcome
from metering.models.commitments import CommitmentRow
from metering.models.events import UsageEvent
from metering.models.metric_readings import MetricReading
from metering.models.owners import (
    CostCentre,
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
    UserIdentity,
)
from metering.models.prices import PriceListImport, PriceRow
from metering.models.reratings import Rerating, ReratingDifference, ReratingEnd
from metering.models.seals import Seal, SealBucket
from metering.models.work import ScheduleFiring, WorkPart, WorkRun

__all__ = [
    "ApiKey",
    "AttributeName",
    "BudgetRow",
    "BusinessOutcome",
    "CommitmentRow",
    "CostCentre",
    "LateArrival",
    "MetricReading",
    "OwnerMapping",
    "PriceListImport",
    "PriceRow",
    "Provider",
    "Rerating",
    "ReratingDifference",
    "ReratingEnd",
    "ScheduleFiring",
    "Seal",
    "SealBucket",
    "ServiceAccount",
    "Source",
    "Tenant",
    "TenantMapping",
    "UsageEvent",
    "UserIdentity",
    "WorkPart",
    "WorkRun",
]
