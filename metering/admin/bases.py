"""What every admin page here is made from: rows to be looked at, and rows that may be edited.

Pages look like django-unfold's and are typed like Django's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.db import DatabaseError, IntegrityError, InternalError
from django.db.models import TextField
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from metering.admin.paginator import BoundedPaginator
from metering.admin.tables import Section

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _DjangoModelAdmin
    from django.forms import ModelForm as _DjangoModelForm
    from django.forms import TextInput

    ModelAdmin = _DjangoModelAdmin[Any]
    ModelForm = _DjangoModelForm[Any]
else:
    from django.forms import ModelForm
    from unfold.admin import ModelAdmin
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

Shown = Callable[[Any, Any], SafeString | str]

BENEATH: Final[list[Callable[[HttpRequest, Any], Section | None]]] = []
"""What every row's page shows besides its own sections, for whoever may see it."""

_REFUSAL: Final = "_refused_by_the_database"


def shown(
    title: str, *, order: str | None = None, states: dict[str, str] | None = None
) -> Callable[[Shown], Shown]:
    """A column or read-only field that a method computes.

    `order` names the column it sorts by; `states` paints its values as labels (value → colour).
    Names that end in `_figure` are aligned to the right.
    """

    def decorate(method: Shown) -> Shown:
        method.short_description = title  # type: ignore[attr-defined]
        if order is not None:
            method.admin_order_field = order  # type: ignore[attr-defined]
        if states is not None:
            method.label = states  # type: ignore[attr-defined]
        return method

    return decorate


class BoundedList(ChangeList):
    """A list whose footer says how many rows there are; nothing beside it counts them again."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class PageAdmin(ModelAdmin):
    """Lists are cut off after a bounded number of pages and never count a whole table; a detail
    page shows sections of tables below the row's own fields."""

    list_per_page = 50
    list_max_show_all = 0
    list_fullwidth = True
    list_filter_submit = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    change_form_template = "metering/admin/change_form.html"
    change_form_outer_after_template = "metering/admin/sections.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return BoundedList

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Names and keys are one line, though their columns are unbounded."""
        if isinstance(db_field, TextField) and not db_field.choices:
            kwargs.setdefault("widget", TextInput())
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def sections(self, request: HttpRequest, row: Any) -> Sequence[Section]:  # noqa: ARG002 - for subclasses
        """What is beneath the row, table by table."""
        return ()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            beneath = [found for each in BENEATH if (found := each(request, row)) is not None]
            context["sections"] = [*self.sections(request, row), *beneath]
        return super().change_view(request, object_id, form_url, context)


class ReadOnlyAdmin(PageAdmin):
    """Rows that are computed, or never change: to be looked at by whoever may view them."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


def leave_constraints_to_the_database(form: ModelForm) -> None:
    """Have the form's row checked by its fields only: a constraint is told by whoever holds it,
    in words, and not by its name beforehand."""
    form.instance.validate_constraints = lambda exclude=None: None  # noqa: ARG005 - Django's own


class EditableAdmin(PageAdmin):
    """Rows that people may add or change. The database judges; what it refuses is said in the
    form, with what was typed still in it. Nothing is deleted."""

    fixed: ClassVar[tuple[str, ...]] = ()
    """Fields that are given once, when the row is added."""

    refusals: ClassVar[dict[str, str]] = {}
    """What a constraint's name means to the person at the form."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        given = tuple(str(field) for field in super().get_readonly_fields(request, obj))
        return given if obj is None else (*given, *self.fixed)

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        **kwargs: Any,
    ) -> type[ModelForm]:
        form: type[ModelForm] = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, _REFUSAL, None)

        class Judged(form):  # type: ignore[valid-type, misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                leave_constraints_to_the_database(self)

            def clean(self) -> Any:
                cleaned = super().clean()
                if refusal is not None:
                    self.add_error(None, refusal)
                return cleaned

        return Judged

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (IntegrityError, InternalError) as error:
            setattr(request, _REFUSAL, self._refusal(error))
            return super().changeform_view(request, object_id, form_url, extra_context)

    def _refusal(self, error: DatabaseError) -> str:
        told = getattr(error.__cause__, "diag", None)
        constraint = getattr(told, "constraint_name", None)
        if constraint:
            in_words: str = constraint.replace("_", " ").capitalize() + "."
            return self.refusals.get(constraint, in_words)
        said: str = getattr(told, "message_primary", None) or str(error)
        hint = getattr(told, "message_hint", None)
        return f"{said}; {hint}" if hint else said
