"""What the admin's site has besides its models, and what it leaves out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path

from metering.admin.audit import audit_page
from metering.admin.unpriced import price_page, queue_page


def _pages() -> list[URLPattern]:
    return [
        path("audit/", admin.site.admin_view(audit_page), name="audit"),
        path("unpriced/", admin.site.admin_view(queue_page), name="unpriced"),
        path("unpriced/model/", admin.site.admin_view(price_page), name="unpriced_model"),
    ]


def _apps(request: HttpRequest, app_label: str | None = None) -> list[Any]:
    """The models of one app. No page shows those of all apps: the sidebar goes by task, and asking
    every model for the person's rights would cost each page more than the rest of its frame."""
    return (
        [] if app_label is None else type(admin.site).get_app_list(admin.site, request, app_label)
    )


admin.site.extra_urls = _pages  # type: ignore[attr-defined]  # how unfold's site is extended
admin.site.get_app_list = _apps  # type: ignore[method-assign]
