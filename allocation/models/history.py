"""Which of allocation's tables have a history.

Not here: the rows of a bill, a reconciliation or a run, which come by the thousand, in the
transaction of the one that is recorded, and are covered by its digest.
"""

from __future__ import annotations

from allocation.models.bills import BillReplacement, ProviderBill
from allocation.models.periods import PeriodClose, PeriodReopening, RunApproval
from allocation.models.reconciliations import Reconciliation
from allocation.models.rules import DriverValue, Rule, RuleVersion
from allocation.models.runs import AllocationRun
from allocation.models.statements import Statement
from metering.recording import ENDS, INSERTS, record

record(Rule, INSERTS)
record(RuleVersion, ENDS, without=["content"])
record(DriverValue, ENDS)
record(ProviderBill, INSERTS, without=["terms"])
record(BillReplacement, INSERTS)
record(Reconciliation, INSERTS)
record(AllocationRun, ENDS)
record(RunApproval, INSERTS)
record(Statement, INSERTS)
record(PeriodClose, INSERTS, without=["answers", "seals", "totals"])
record(PeriodReopening, INSERTS)
