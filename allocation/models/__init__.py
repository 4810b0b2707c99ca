"""Allocation's rows, one file a noun."""

from allocation.models import history  # noqa: F401 (says what is recorded)
from allocation.models.bills import (
    BillDocument,
    BillReplacement,
    ProviderBill,
    ProviderBillLine,
)
from allocation.models.periods import PeriodClose, PeriodReopening, RunApproval
from allocation.models.reconciliations import (
    Reconciliation,
    ReconciliationEvidence,
    ReconciliationResult,
    ReconciliationStep,
)
from allocation.models.rules import DriverValue, Rule, RuleVersion
from allocation.models.runs import (
    AllocationBill,
    AllocationLine,
    AllocationRun,
    AllocationSettlement,
    AllocationSource,
)
from allocation.models.statements import Statement

__all__ = [
    "AllocationBill",
    "AllocationLine",
    "AllocationRun",
    "AllocationSettlement",
    "AllocationSource",
    "BillDocument",
    "BillReplacement",
    "DriverValue",
    "PeriodClose",
    "PeriodReopening",
    "ProviderBill",
    "ProviderBillLine",
    "Reconciliation",
    "ReconciliationEvidence",
    "ReconciliationResult",
    "ReconciliationStep",
    "Rule",
    "RuleVersion",
    "RunApproval",
    "Statement",
]
