"""Which attribute of a source means what."""

from __future__ import annotations

from django.contrib import admin

from metering.admin.bases import EditableAdmin
from metering.models import AttributeName


@admin.register(AttributeName)
class AttributeNameAdmin(EditableAdmin):
    """Named attributes are asked for before those that are known. What was taken in keeps what it
    was read as."""

    list_display = ("source", "field", "attribute", "position", "active")
    list_filter = ("source", "active")
    search_fields = ("source", "attribute")
    fields = ("source", "field", "attribute", "position", "active")
    fixed = ("source", "field", "attribute")
