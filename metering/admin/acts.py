"""Pages of acts: something is shown, asked for, and done on a POST by the function that a command
calls. What the function refuses becomes a message; nothing is done by a GET."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import messages
from django.forms import BaseForm, CharField, Form, Textarea
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from metering.admin.bases import ModelAdmin
from metering.admin.tables import Section, Text

_Method = TypeVar("_Method", bound=Callable[..., Any])

if TYPE_CHECKING:

    def action(**kwargs: Any) -> Callable[[_Method], _Method]:
        raise NotImplementedError

    _TextArea = Textarea
else:
    from unfold.decorators import action
    from unfold.widgets import UnfoldAdminTextareaWidget as _TextArea

__all__ = ["Act", "NoForm", "action", "page", "perform", "reason_field"]


class NoForm(Form):
    """Nothing is asked for but the click."""


def reason_field(label: str, help_text: str, *, required: bool) -> CharField:
    """A reason that stays on record."""
    return CharField(
        label=label,
        help_text=help_text,
        required=required,
        max_length=2_000,
        widget=_TextArea(attrs={"rows": 3}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is about to be done: shown as title, note and sections, asked for by the form.

    `do` gets what was filled in and gives the message; its `refusals` are told on the same page.
    `back` is where the reader goes on.
    """

    title: str
    button: str
    do: Callable[[dict[str, Any]], str]
    refusals: tuple[type[Exception], ...]
    back: str
    note: Text = ""
    form: type[Form] = NoForm
    sections: Sequence[Section] = ()
    is_dangerous: bool = False


def perform(model_admin: ModelAdmin, request: HttpRequest, act: Act) -> HttpResponse:
    """The act's page; on POST the act, its message, and the way back."""
    is_post = request.method == "POST"
    form = act.form(request.POST, request.FILES) if is_post else act.form()
    if is_post and form.is_valid():
        try:
            said = act.do(form.cleaned_data)
        except act.refusals as error:
            messages.error(request, str(error))
        else:
            messages.success(request, said)
            return HttpResponseRedirect(act.back)
    return page(model_admin, request, act, form)


def page(
    model_admin: ModelAdmin, request: HttpRequest, act: Act, form: BaseForm
) -> TemplateResponse:
    """The act as it is shown."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": act.title,
        "opts": model_admin.model._meta,  # noqa: SLF001 - Django's public name for it
        "act": act,
        "form": form,
        "sections": act.sections,
    }
    return TemplateResponse(request, "metering/admin/act.html", context)
