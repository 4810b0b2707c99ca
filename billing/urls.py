"""The routes of this app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from billing.api.stripe_webhook import webhook

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/portal/", include("billing.portal.urls")),
    path("api/v1/finance/", include("billing.api.urls")),
    path("stripe/webhook", webhook),
]
