"""The queue of models without a price, and the act that gives one the price of another."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import CharField, DateField, Form
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from config.roles import IMPORT_PRICES
from metering.admin.acts import Act, perform
from metering.admin.bases import ModelAdmin
from metering.admin.figures import NOTHING, figure, instant
from metering.admin.tables import Section, figures, text
from metering.domain.contract_terms import InvalidTerm
from metering.models import PriceRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.revaluation import why_closed
from metering.pricing.unpriced import UnpricedModel, price_as, unpriced_models

_SEE = "metering.view_pricerow"


def queue_page(request: HttpRequest) -> HttpResponse:
    """For whoever may see prices."""
    if not request.user.has_perm(_SEE):
        raise PermissionDenied
    may = request.user.has_perm(IMPORT_PRICES)
    context = {
        **admin.site.each_context(request),
        "title": "Used without a price",
        "sections": [
            Section(
                "Models",
                [
                    *text("provider", "model"),
                    *figures("events", "tokens"),
                    *text("first", "last", "why", "nearest with a price", ""),
                ],
                [_row(each, may=may) for each in unpriced_models()],
                note="A price that comes later changes nothing by itself: the open months are "
                "re-rated then.",
                empty="Everything that was used has a price.",
            )
        ],
        "back": reverse("admin:index"),
    }
    return TemplateResponse(request, "metering/admin/listing.html", context)


def _row(each: UnpricedModel, *, may: bool) -> tuple[Any, ...]:
    near = ", ".join(f"{c.provider}/{c.model_id}" for c in each.candidates) or NOTHING
    months = ", ".join(str(month) for month, _ in each.months)
    return (
        each.provider,
        each.model,
        figure(each.events),
        figure(each.tokens),
        instant(each.first_at),
        instant(each.last_at),
        each.reason.replace("_", " "),
        f"it has a price now: re-rate {months}" if each.has_price_now else near,
        _ways(each) if may else NOTHING,
    )


def _ways(each: UnpricedModel) -> SafeString:
    """To give it a price; once it has one, to rate the months that are still open with it."""
    if not each.has_price_now:
        named = {"provider": each.provider, "model": each.model}
        way = reverse("admin:unpriced_model", query=named)
        return format_html('<a href="{}" class="link">give it a price</a>', way)
    open_months = [month for month, _ in each.months if why_closed(month) is None]
    return (
        format_html_join(
            ", ",
            '<a href="{}" class="link">re-rate {}</a>',
            (
                (
                    reverse(
                        "admin:metering_rerating_rerate",
                        query={"month": str(month), "model": each.model},
                    ),
                    str(month),
                )
                for month in open_months
            ),
        )
        or NOTHING
    )


class PriceOfForm(Form):
    """The model whose price holds, and from which day."""

    price_of_provider = CharField(label="Provider of the model whose price holds", max_length=200)
    price_of = CharField(label="Model whose price holds", max_length=500)
    since = DateField(label="From which day on (UTC)")


def price_page(request: HttpRequest) -> HttpResponse:
    """Give a model of the queue the price of another."""
    if not request.user.has_perm(IMPORT_PRICES):
        raise PermissionDenied
    asked = (request.GET.get("provider"), request.GET.get("model"))
    each = next((u for u in unpriced_models() if (u.provider, u.model) == asked), None)
    if each is None:
        raise Http404("this model is not used without a price")
    near = ", ".join(f"{c.provider}/{c.model_id}" for c in each.candidates)

    def do(said: dict[str, Any]) -> str:
        price_as(
            each.provider,
            each.model,
            of_provider=said["price_of_provider"],
            of_model=said["price_of"],
            since=said["since"],
            now=timezone.now(),
        )
        return f"{each.model} has the price of {said['price_of']}; re-rate the open months now."

    act = Act(
        title=f"A price for {each.provider}/{each.model}",
        note=f"{each.events} events since {each.first_at:%Y-%m-%d}. Nearest: {near or 'none'}.",
        button="Let that price hold",
        form=PriceOfForm,
        do=do,
        refusals=(InvalidTerm, UnreadablePriceList),
        back=reverse("admin:unpriced"),
    )
    row_admin: ModelAdmin = admin.site._registry[PriceRow]  # noqa: SLF001 - Django's own
    return perform(row_admin, request, act)
