"""What the application's role may do: the one list.

Two roles meet the database. The migrator's owns the tables; the application's owns nothing and has
what is granted here. So events cannot be changed by any bug in the application, by TRUNCATE or by
disabling a trigger: whoever may not, may not. `manage.py migrate` grants after every run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import pgtrigger
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning
from django.db import connections
from pghistory.models import Event
from pghistory.trigger import Event as Recording
from psycopg import sql

APPEND_ONLY: Final = (
    "usage_event",
    "event_ledger",
    "event_share",
    "event_revision",
    "event_disposition",
    "late_arrival",
    "seal",
    "seal_bucket",
    "rerating",
    "rerating_difference",
    "rerating_end",
    "business_outcome",
    "metric_reading",
)
"""Tables whose rows are written once: INSERT and SELECT, nothing else."""

FOLDED: Final = ("usage_rollup", "cell_rollup", "user_rollup", "day_rollup")
"""Rollups that tails are folded into: nothing ever leaves them."""

TAILS: Final = ("usage_rollup_tail", "cell_rollup_tail", "user_rollup_tail")
"""Deltas that are appended, read, and taken out by folding; never changed."""

READ_ONLY: Final = ("django_migrations",)
"""Tables that only the migrator writes."""


def histories() -> frozenset[str]:
    """Tables that only their triggers write, with the migrator's right: nobody forges a history."""
    return frozenset(
        model._meta.db_table  # noqa: SLF001 - Django's public name for it
        for model in apps.get_models()
        if issubclass(model, Event)
    )


def recorders() -> frozenset[str]:
    """The functions of the triggers that write histories."""
    return frozenset(
        trigger.get_pgid(model)
        for model, trigger in pgtrigger.registered()
        if isinstance(trigger, Recording)
    )


_TABLES: Final = """
    SELECT relname, relispartition FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace = current_schema()::regnamespace
      AND relowner = current_user::regrole
    ORDER BY relname
"""
_SEQUENCES: Final = """
    SELECT relname FROM pg_class
    WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace
      AND relowner = current_user::regrole
    ORDER BY relname
"""
_ROUTINES: Final = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proowner = current_user::regrole
    ORDER BY 1
"""
_TRIGGER_FUNCTIONS: Final = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proowner = current_user::regrole
      AND prorettype = 'trigger'::regtype
    ORDER BY 1
"""
_HEED_NO_IGNORING: Final = """
    CREATE OR REPLACE FUNCTION {}._pgtrigger_should_ignore(trigger_name name)
    RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'
"""
"""django-pgtrigger lets any session switch triggers off by a setting; here none may. Its migrations
write the original back, so this follows each of them."""

logger = logging.getLogger(__name__)


def allowed_on(table: str) -> str:
    """The privileges of the application's role on a table, as GRANT spells them."""
    if table in APPEND_ONLY:
        return "SELECT, INSERT"
    if table in FOLDED:
        return "SELECT, INSERT, UPDATE"
    if table in TAILS:
        return "SELECT, INSERT, DELETE"
    if table in READ_ONLY or table in histories():
        return "SELECT"
    return "SELECT, INSERT, UPDATE, DELETE"


def grant(alias: str = "migrator") -> bool:
    """Give the application's role what it may have on everything the connected role owns, and
    take away the rest; let no session of it talk its way around a trigger. Repeating it changes
    nothing.

    Partitions are reached through their parents only, so nothing is granted on them: the parent's
    privileges hold. Returns False, with a warning, where both roles are the same: its owner could
    change anything, so immutability by privilege does not hold there.
    """
    application = application_role()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user")
        if cursor.fetchone() == (application,):
            logger.warning(
                "the application's role %s owns its tables, so events are not immutable: give it "
                "a role of its own (DATABASE_URL) beside the migrator's (MIGRATION_DATABASE_URL)",
                application,
            )
            return False
        # Sent together: one round trip and one transaction, not some hundreds.
        cursor.execute(sql.SQL(";").join(_statements(cursor, sql.Identifier(application))))
    return True


def application_role() -> str:
    """The role by which the application connects."""
    default = connections["default"]
    named: str = default.settings_dict["USER"]
    if named:
        return named
    with default.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def _statements(cursor: Any, role: sql.Identifier) -> Iterable[sql.Composed]:
    schema = _schema(cursor)
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role)
    yield sql.SQL(_HEED_NO_IGNORING).format(schema)
    for (signature,) in _rows(cursor, _TRIGGER_FUNCTIONS):
        # else a session's temporary table of the same name is read instead of the real one
        yield sql.SQL("ALTER FUNCTION {} SET search_path TO {}, pg_temp").format(
            sql.SQL(signature), schema
        )
    for table, is_partition in _rows(cursor, _TABLES):
        name = sql.Identifier(table)
        yield sql.SQL("REVOKE ALL ON {} FROM {}").format(name, role)
        if not is_partition:
            privileges = sql.SQL(allowed_on(table))
            yield sql.SQL("GRANT {} ON {} TO {}").format(privileges, name, role)
    for (sequence,) in _rows(cursor, _SEQUENCES):
        name = sql.Identifier(sequence)
        yield sql.SQL("GRANT USAGE, SELECT ON SEQUENCE {} TO {}").format(name, role)
    recording = {f"{name}()" for name in recorders()}
    for (signature,) in _rows(cursor, _ROUTINES):
        routine = sql.SQL(signature)
        if signature in recording:
            # else a trigger of one's own, on a table of one's own, could call it
            yield sql.SQL("REVOKE ALL ON ROUTINE {} FROM PUBLIC, {}").format(routine, role)
            yield sql.SQL("ALTER ROUTINE {} SECURITY DEFINER").format(routine)
        else:
            yield sql.SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(routine, role)


def _schema(cursor: Any) -> sql.Identifier:
    ((schema,),) = _rows(cursor, "SELECT current_schema()")
    return sql.Identifier(schema)


def _rows(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return list(cursor.fetchall())


@register
def roles_differ(**_: object) -> list[CheckMessage]:
    """Warn where DATABASE_URL alone is set: the application's role then owns its tables."""
    default, migrator = settings.DATABASES["default"], settings.DATABASES["migrator"]
    if default["USER"] != migrator["USER"]:
        return []
    return [
        CheckWarning(
            "The application's role owns its tables, so immutability by privilege does not hold.",
            hint="Set MIGRATION_DATABASE_URL to a role that owns the tables, and DATABASE_URL to "
            "one that owns nothing.",
            id="metering.W001",
        )
    ]
