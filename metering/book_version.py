"""Which version of the owners' book holds: of owners, their mappings, and how sources name things
(`models.owners.changes_the_book`)."""

from __future__ import annotations

from typing import Final

from django.db import connection

_CHANGED_BY: Final = "SELECT changed_by::text FROM owner_book_version"


def book_version() -> str:
    """What the book is told from others by. Read before the book it is never newer than that, so
    that a change in between is met again."""
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED_BY)
        return str(cursor.fetchone()[0])
