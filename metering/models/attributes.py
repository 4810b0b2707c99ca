"""What a source's own attributes mean, where the names that are known do not fit."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from metering.models.owners import changes_the_book


class AttributeName(models.Model):
    """An attribute (of a span, of metadata, a tag) that says a field of a source's events.

    Named attributes are asked for before those that are known anyway
    (`metering.formats.attribute_map`), the lowest `position` first. One that is not `active` is
    not asked for; none is deleted.
    """

    source = models.TextField(help_text="the source whose messages are read so")
    field = models.TextField(
        help_text="what it says: tenantId, userId, endpointTag, promptVersion, costCenter,"
        " environment, dataMode, workflow, shares, or tags.NAME"
    )
    attribute = models.TextField(help_text="the attribute's name as the source sends it")
    position = models.PositiveSmallIntegerField(default=0, help_text="the lowest is asked first")
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "attribute_name"
        ordering = ["source", "field", "position", "attribute"]
        triggers = [changes_the_book()]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "field", "attribute"], name="attribute_name_once"
            ),
            models.CheckConstraint(
                condition=~Q(source="") & ~Q(field="") & ~Q(attribute=""),
                name="attribute_name_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.attribute} → {self.field}"

    def clean(self) -> None:
        from metering.attribute_names import problem_of

        problem = problem_of(self.field, self.attribute)
        if problem is not None:
            raise ValidationError({"field": problem})
