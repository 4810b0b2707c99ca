"""The rows of billing."""

from billing.models import history  # noqa: F401 (says what is recorded)
from billing.models.invoice_lines import InvoiceLine, InvoiceLinePart
from billing.models.invoices import Invoice
from billing.models.plans import Plan, PlanVersion, Subscription
from billing.models.stripe import StripeCustomer, StripeFinding, StripePush, StripeRequest
from billing.models.stripe_events import InvoiceStanding, StripeEvent, StripeEventOutcome

__all__ = [
    "Invoice",
    "InvoiceLine",
    "InvoiceLinePart",
    "InvoiceStanding",
    "Plan",
    "PlanVersion",
    "StripeCustomer",
    "StripeEvent",
    "StripeEventOutcome",
    "StripeFinding",
    "StripePush",
    "StripeRequest",
    "Subscription",
]
