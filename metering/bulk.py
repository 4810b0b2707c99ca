"""Many rows at once: COPY, server-side cursors, arrays bound by the server, on Django's connection.

Django's cursors write parameters into the SQL text, which costs more than the insert itself when
a parameter is an array of thousands. These send them beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import psycopg
from django.db import connection, transaction


def cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """A psycopg cursor on Django's connection, inside whatever transaction is open. Its errors
    are psycopg's, not Django's."""
    _connect()
    return psycopg.Cursor(connection.connection)


def _connect() -> None:
    """As Django's own cursors do it: a connection that was kept is tried before it is used again,
    since the server may have gone meanwhile."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()


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


def texts(items: Iterable[str | None]) -> str:
    """An array's text form, for any texts and NULL. (What psycopg makes of a list is the same, at
    several times the cost.)"""
    return "{" + ",".join([_quoted(item) if item is not None else "NULL" for item in items]) + "}"


def _quoted(item: str) -> str:
    if "\\" in item or '"' in item:
        item = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{item}"'


def stream(sql: str, parameters: dict[str, Any], size: int = 5_000) -> Iterator[tuple[Any, ...]]:
    """Rows of a query by a server-side cursor: memory stays flat however many there are."""
    _connect()
    with (
        transaction.atomic(),
        connection.connection.cursor(name=f"stream_{uuid4().hex}") as cursor,
    ):
        cursor.itersize = size
        cursor.execute(sql, parameters)
        yield from cursor
