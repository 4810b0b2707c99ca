"""Allocation's rows, one file a noun."""

from allocation.models.periods import PeriodClose, PeriodReopening, RunApproval
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
    "DriverValue",
    "PeriodClose",
    "PeriodReopening",
    "Rule",
    "RuleVersion",
    "RunApproval",
    "Statement",
]
