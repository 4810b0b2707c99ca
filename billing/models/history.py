"""Which of billing's tables have a history.

Not here: the lines of an invoice, written with it and covered by its digest, and what was said to
and by Stripe, which is kept as rows of its own.
"""

from __future__ import annotations

from billing.models.invoices import Invoice
from billing.models.plans import Plan, PlanVersion, Subscription
from metering.recording import ENDS, record

record(Plan)
record(PlanVersion, ENDS, without=["content"])
record(Subscription, ENDS)
record(Invoice, ENDS)
