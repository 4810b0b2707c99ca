"""Every route of the web: each app lists its own. `/healthz` and `/readyz` are answered before
routes are looked at, in `config.health`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

admin.autodiscover()

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("metering.urls")),
    path("", include("allocation.urls")),
    path("", include("billing.urls")),
]

handler400 = "metering.api.problems.bad_request"
handler404 = "metering.api.problems.not_found"
handler500 = "config.health.server_error"
