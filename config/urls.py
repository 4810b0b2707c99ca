"""Nothing is served over HTTP yet; the apps' routes are listed here when they are."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
