"""Many rows at once: COPY, and arrays bound by the server, on Django's own connection.

Django's cursors write parameters into the SQL text, which costs more than the insert itself when
a parameter is an array of thousands. These send them beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection


def cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """A psycopg cursor on Django's connection, inside whatever transaction is open. Its errors
    are psycopg's, not Django's."""
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def copy_text(table: str, columns: Sequence[str], text: str) -> None:
    """COPY rows given in PostgreSQL's text format; NULL is the mark `event_rows.NULL`."""
    with (
        cursor() as cur,
        cur.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (NULL E'\\x1e')") as copy,
    ):
        copy.write(text.encode())


def array(items: Sequence[str]) -> str:
    """An array's text form, for items that need no quoting: ids, hex, instants, numbers."""
    return f"{{{','.join(items)}}}"
