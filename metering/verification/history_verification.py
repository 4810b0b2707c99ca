"""Checks of recorded rows: what stands in a table against the last that its history tells.

A history is written by triggers, and the application can only add to it. A row that was changed
with the triggers off is therefore another one than its history says, in columns too that no
digest covers: who signed, and when.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.db import connection

from metering.verification.findings import rows

_SHARED: Final = """
    SELECT kept.column_name FROM information_schema.columns kept
    JOIN information_schema.columns live USING (table_schema, column_name)
    WHERE table_schema = current_schema() AND kept.table_name = %s AND live.table_name = %s
    ORDER BY 1
"""


class Change(NamedTuple):
    """A row that is not what its history says: its key, and the columns as recorded and as they
    stand (`None`: NULL)."""

    key: Any
    columns: tuple[tuple[str, str | None, str | None], ...]

    @property
    def what(self) -> str:
        return "; ".join(
            f"{name} is {'nothing' if now is None else now}, its history says"
            f" {'nothing' if was is None else was}"
            for name, was, now in self.columns
        )


def changed(table: str, condition: str = "true", **parameters: Any) -> Iterator[Change]:
    """The rows of a table that meet the condition (on `t`) and differ from the newest row of
    their history, by `id`. Rows from before there was a history have none to differ from."""
    with connection.cursor() as cursor:
        cursor.execute(_SHARED, [f"{table}_history", table])
        names = [name for (name,) in cursor.fetchall()]
    now = ", ".join(f"t.{name}::text" for name in names)
    was = ", ".join(f"h.{name}::text" for name in names)
    for key, stands, recorded in rows(
        f"SELECT t.id, ARRAY[{now}], ARRAY[{was}] FROM {table} t JOIN LATERAL ("
        f" SELECT * FROM {table}_history told WHERE told.pgh_obj_id = t.id"
        "  ORDER BY pgh_id DESC LIMIT 1) h ON true"
        f" WHERE ({condition}) AND ARRAY[{now}] IS DISTINCT FROM ARRAY[{was}] ORDER BY t.id",
        parameters,
    ):
        yield Change(
            key,
            tuple(
                (name, before, after)
                for name, before, after in zip(names, recorded, stands, strict=True)
                if before != after
            ),
        )
