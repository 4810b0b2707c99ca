"""The admin as a place: its name, and its sidebar by what finance has to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

Item = dict[str, Any]

SEE_HISTORY: Final = "pghistory.view_events"
"""As in `config.roles`, which needs the apps and cannot be asked while settings are read."""


def _may_view(model: str) -> Callable[[HttpRequest], bool]:
    app, name = model.split("_", 1)
    return lambda request: request.user.has_perm(f"{app}.view_{name}")


def _list(title: str, icon: str, model: str) -> Item:
    """A link to the list of a model (`app_model`), for whoever may see it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model}_changelist"),
        "permission": _may_view(model),
    }


_THIS_MONTH: Final = {"title": "This month", "icon": "today", "link": reverse_lazy("admin:index")}

NAVIGATION: Final = [
    {"items": [_THIS_MONTH]},
    {
        "title": "Usage",
        "items": [
            _list("Events", "receipt_long", "metering_usageevent"),
            _list("Came after the close", "event_busy", "metering_latearrival"),
            _list("Outcomes", "task_alt", "metering_businessoutcome"),
            _list("Users", "person_off", "metering_useridentity"),
            _list("Sources", "sensors", "metering_source"),
            _list("What attributes mean", "label", "metering_attributename"),
            _list("Metrics, to compare", "query_stats", "metering_metricreading"),
        ],
    },
    {
        "title": "Prices",
        "items": [
            _list("Price book", "sell", "metering_pricerow"),
            _list("Price lists", "menu_book", "metering_pricelistimport"),
            _list("Commitments", "handshake", "metering_commitmentrow"),
            {
                "title": "Without a price",
                "icon": "money_off",
                "link": reverse_lazy("admin:unpriced"),
                "permission": _may_view("metering_pricerow"),
            },
            _list("Re-ratings", "currency_exchange", "metering_rerating"),
            _list("Own providers", "dns", "metering_provider"),
        ],
    },
    {
        "title": "Owners",
        "items": [
            _list("Cost centres", "account_balance", "metering_costcentre"),
            _list("Tenants", "apartment", "metering_tenant"),
            _list("Who bears what", "rule", "metering_ownermapping"),
            _list("Who works for whom", "group_work", "metering_tenantmapping"),
            _list("Service accounts", "smart_toy", "metering_serviceaccount"),
            _list("Budgets", "savings", "metering_budgetrow"),
        ],
    },
    {
        "title": "Bills",
        "items": [
            _list("Provider bills", "request_quote", "allocation_providerbill"),
            _list("Reconciliations", "balance", "allocation_reconciliation"),
        ],
    },
    {
        "title": "Allocation",
        "items": [
            _list("Runs", "call_split", "allocation_allocationrun"),
            _list("Statements", "description", "allocation_statement"),
            _list("Closed months", "lock", "allocation_periodclose"),
            _list("Rules", "tune", "allocation_ruleversion"),
            _list("Drivers", "speed", "allocation_drivervalue"),
        ],
    },
    {
        "title": "Invoices",
        "items": [
            _list("Invoices", "receipt", "billing_invoice"),
            _list("Plans", "inventory_2", "billing_planversion"),
            _list("Subscriptions", "card_membership", "billing_subscription"),
            _list("On the way to Stripe", "outbox", "billing_stripepush"),
            _list("What Stripe was asked", "call_made", "billing_striperequest"),
            _list("What Stripe told", "call_received", "billing_stripeevent"),
        ],
    },
    {
        "title": "Work",
        "items": [
            _list("Runs by themselves", "schedule", "django_celery_beat_periodictask"),
            _list("Work in progress", "engineering", "metering_workrun"),
        ],
    },
    {
        "title": "Access",
        "items": [
            _list("People", "group", "auth_user"),
            _list("Roles", "badge", "auth_group"),
            _list("API keys", "key", "metering_apikey"),
        ],
    },
    {
        "title": "Audit",
        "items": [
            {
                "title": "Who changed what",
                "icon": "history",
                "link": reverse_lazy("admin:audit"),
                "permission": lambda request: request.user.has_perm(SEE_HISTORY),
            },
            _list("Seals", "verified", "metering_seal"),
        ],
    },
]

UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": "Apportion",
    "SITE_HEADER": "Apportion",
    "SITE_SUBHEADER": "usage, cost and charge",
    "SITE_SYMBOL": "donut_small",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("metering/icon.svg"),  # noqa: ARG005
        }
    ],
    "STYLES": [lambda request: static("metering/admin.css")],  # noqa: ARG005 - called by unfold
    "DASHBOARD_CALLBACK": "billing.admin.start_page.start_page",
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .013 236.62)",
            "100": "oklch(95.1% .026 236.824)",
            "200": "oklch(90.1% .058 230.902)",
            "300": "oklch(82.8% .111 230.318)",
            "400": "oklch(74.6% .16 232.661)",
            "500": "oklch(68.5% .169 237.323)",
            "600": "oklch(54.6% .135 243.5)",
            "700": "oklch(46.5% .121 244.2)",
            "800": "oklch(41.5% .1 241.9)",
            "900": "oklch(36.5% .084 242.1)",
            "950": "oklch(27.4% .062 243.157)",
        }
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
}
"""django-unfold's settings."""
