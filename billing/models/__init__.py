"""The rows of billing."""

from billing.models.invoice_lines import InvoiceLine, InvoiceLinePart
from billing.models.invoices import Invoice
from billing.models.plans import Plan, PlanVersion, Subscription

__all__ = ["Invoice", "InvoiceLine", "InvoiceLinePart", "Plan", "PlanVersion", "Subscription"]
