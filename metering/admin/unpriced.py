"""The queue of models without a price, and the act that gives one the price of another."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import BooleanField, CharField, DateField, DecimalField, Form
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
from metering.domain.money import plain
from metering.models import PriceRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.import_results import UnconfirmedLeaps
from metering.pricing.revaluation import why_closed
from metering.pricing.unpriced import UnpricedModel, price_as, price_at, unpriced_models

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
        f"it has a price now: re-rate {months}"
        if each.has_price_now
        else "it has a price; what these calls reported cannot be priced"
        if each.is_contradicted
        else near,
        _ways(each) if may and not each.is_contradicted else NOTHING,
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


class PriceForm(Form):
    """The model whose price holds, or prices of our own; and from which day."""

    price_of_provider = CharField(
        label="Provider of the model whose price holds", max_length=200, required=False
    )
    price_of = CharField(label="Model whose price holds", max_length=500, required=False)
    input_price = DecimalField(
        label="Or: price of a million input tokens", min_value=0, required=False
    )
    output_price = DecimalField(label="and of a million output tokens", min_value=0, required=False)
    currency = CharField(
        label="Currency of these prices", max_length=3, required=False, initial="USD"
    )
    since = DateField(label="From which day on (UTC)")
    confirmed = BooleanField(
        label="A change by more than a hundred times of the price it had is meant", required=False
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        is_other = bool(said.get("price_of") and said.get("price_of_provider"))
        is_own = said.get("input_price") is not None
        if is_other == is_own:
            raise ValidationError(
                "Name either the model whose price holds, with its provider, or prices of our own."
            )
        return said


def price_page(request: HttpRequest) -> HttpResponse:
    """Give a model of the queue the price of another."""
    if not request.user.has_perm(IMPORT_PRICES):
        raise PermissionDenied
    asked = (request.GET.get("provider"), request.GET.get("model"))
    each = next((u for u in unpriced_models() if (u.provider, u.model) == asked), None)
    if each is None or each.is_contradicted:
        raise Http404("this model is not used without a price")
    near = ", ".join(f"{c.provider}/{c.model_id}" for c in each.candidates)

    def do(said: dict[str, Any]) -> str:
        since, now = said["since"], timezone.now()
        if said["input_price"] is None:
            other = said["price_of_provider"], said["price_of"]
            price_as(
                each.provider,
                each.model,
                of_provider=other[0],
                of_model=other[1],
                since=since,
                now=now,
                confirmed=said["confirmed"],
            )
            return f"{each.model} has the price of {other[1]}; re-rate the open months now."
        prices = {"input": said["input_price"], "output": said["output_price"]}
        price_at(
            each.provider,
            each.model,
            {unit: plain(price) for unit, price in prices.items() if price is not None},
            per=1_000_000,
            currency=said["currency"] or "USD",
            since=since,
            now=now,
            confirmed=said["confirmed"],
        )
        return f"{each.model} has a price of our own; re-rate the open months now."

    act = Act(
        title=f"A price for {each.provider}/{each.model}",
        note=f"{each.events} events since {each.first_at:%Y-%m-%d}. Nearest: {near or 'none'}.",
        button="Let that price hold",
        form=PriceForm,
        do=do,
        refusals=(InvalidTerm, UnconfirmedLeaps, UnreadablePriceList),
        back=reverse("admin:unpriced"),
    )
    row_admin: ModelAdmin = admin.site._registry[PriceRow]  # noqa: SLF001 - Django's own
    return perform(row_admin, request, act)
