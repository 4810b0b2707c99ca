"""Raw SQL, as the application's role, on a closed month and approved invoices: nothing gives way.

Tables and their columns come from the catalogue, so that a new table without protection turns
these tests red: it is protected, or stands in `OPEN` with the reason why it need not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from pghistory.models import Event

from allocation import period_close
from billing import invoice_run
from billing.approvals import approve_run
from billing.verify import verify
from tests.allocation import october
from tests.allocation.october import CONTROLLER, NOW, OCTOBER
from tests.billing.billed import on_pro, plans
from tests.databases import TestDatabases, pointed_at

_DATED = "said from when on it holds; a change is recorded, and what is closed was made before it"
_MEANS = "how things are done, not what is owed"
_DJANGO = "Django's own"
_PEOPLE = "who may do what changes, and is recorded"
_STRIPE = "an exchange with Stripe, which goes on after approval; it has triggers of its own"
_REPORTS = "what later reports of a call are joined with; what counts are its events"
_SUMS = "a sum of events: verify holds it against them"

OPEN = {
    "tenant": _DATED,
    "cost_centre": _DATED,
    "source": _DATED,
    "provider": _DATED,
    "attribute_name": "how messages to come are read; events keep what they were read as",
    "service_account": _DATED,
    "owner_mapping": _DATED,
    "tenant_mapping": _DATED,
    "budget": "what one means to spend: nothing that is owed hangs on it",
    "owner_book_version": _MEANS,
    "user_identity": "deleting the row forgets a person",
    "plan": "a code; what it offers stands in its versions",
    "api_key": "has triggers of its own; belongs to no month",
    "usage_rollup": _SUMS,
    "usage_rollup_tail": _SUMS,
    "cell_rollup": _SUMS,
    "cell_rollup_tail": _SUMS,
    "user_rollup": _SUMS,
    "user_rollup_tail": _SUMS,
    "day_rollup": _SUMS,
    "call_trace": _REPORTS,
    "call_span": _REPORTS,
    "call_identity": _REPORTS,
    "work_run": _MEANS,
    "work_part": _MEANS,
    "schedule_firing": _MEANS,
    "pghistory_context": "not used: a context stands in the history's own row",
    "auth_user": _PEOPLE,
    "auth_group": _PEOPLE,
    "auth_permission": _PEOPLE,
    "auth_user_groups": _PEOPLE,
    "auth_user_user_permissions": _PEOPLE,
    "auth_group_permissions": _PEOPLE,
    "django_admin_log": _DJANGO,
    "django_content_type": _DJANGO,
    "django_session": _DJANGO,
    "django_celery_beat_clockedschedule": _MEANS,
    "django_celery_beat_crontabschedule": _MEANS,
    "django_celery_beat_intervalschedule": _MEANS,
    "django_celery_beat_periodictask": _MEANS,
    "django_celery_beat_periodictasks": _MEANS,
    "django_celery_beat_solarschedule": _MEANS,
}
"""Tables that neither a closed month nor an approved invoice takes hold of, and why."""

EMPTY_HERE = {
    "event_share": "a call without shares",
    "event_revision": "no event was revised",
    "event_disposition": "no event was uncounted",
    "bill_replacement": "no bill was restated",
    "rerating": "the month was not rated anew",
    "rerating_difference": "the month was not rated anew",
    "rerating_end": "the month was not rated anew",
    "period_reopening": "the month is closed",
    "commitment": "no contract commits to anything",
    "driver_value": "its own triggers: tests/allocation/test_drivers.py",
    "late_event": "no usage came that late",
    "business_outcome": "nobody told an outcome",
    "late_arrival": "nothing came after the close",
    "metric_reading": "no program sent its metrics",
}
"""Protected tables in which this month has no row; only what needs none is tried on them."""

MOVABLE = {
    ("invoice", "state"): "goes on to finalized or void; the tests of its rows say how",
    ("commitment", "valid_to"): "a commitment ends, once; a closed month is not reconciled anew",
    ("price_row", "valid_to"): "a price ends, once, and no event is priced anew by it",
    ("plan_version", "valid_to"): "a version ends, once",
    ("subscription", "valid_to"): "a subscription ends, once",
    ("allocation_rule_version", "valid_to"): "a version ends; the run names the one it was made by",
}
"""Columns of protected tables that may still move."""

ADDABLE = {
    "price_list_import": "prices to come; what was priced names its rows",
    "commitment": "commitments to come; a closed month is not reconciled anew",
    "price_row": "prices to come; what was priced names its rows",
    "plan_version": "terms to come; invoices name theirs",
    "subscription": "customers to come",
    "allocation_rule": "rules to come; runs name their version",
    "allocation_rule_version": "rules to come; runs name their version",
    "bill_document": "bytes that no bill was read from",
    "usage_event": "late usage is taken in; verify finds what has no key in the ledger",
    "event_ledger": "late usage is taken in; verify finds what has no event",
    "seal": "the chain goes on; verify finds a link that seals nothing",
    "seal_bucket": "verify finds a bucket that its root does not cover",
    "invoice": "drafts to come; one approved without its seal is found by verify",
}
"""Protected tables that rows of other months, or later ones, are added to by the same role."""

CHANGED = {
    "text": "coalesce({c}, '') || 'x'",
    "character varying": "left(md5(coalesce({c}, '')), greatest(length({c}), 1))",
    "boolean": "NOT coalesce({c}, false)",
    "jsonb": """'{{"x": 1}}'::jsonb""",
    "json": """'{{"x": 1}}'::json""",
    "bytea": r"coalesce({c}, ''::bytea) || '\x00'::bytea",
    "uuid": "gen_random_uuid()",
    "date": "coalesce({c}, '2026-10-05') + 1",
    "timestamp with time zone": "coalesce({c}, '2026-10-05') + interval '1 second'",
    "ARRAY": "{c} || {c}",
}
"""By type, another value than the one that stands there; numbers: one more."""


@pytest.fixture(scope="module")
def closed_database(
    test_databases: TestDatabases,
    django_db_blocker: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """October closed, its invoices approved; every attack on it is rolled back."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        name = test_databases.clone()
        with pointed_at(name):
            _october(tmp_path_factory.mktemp("october"))
            yield name
        test_databases.drop(name)


def _october(folder: Path) -> None:
    october.company(folder)
    october.usage_and_bill()
    october.reconcile()
    october.run()
    period_close.close(OCTOBER, by=CONTROLLER, now=NOW)
    plans(on_pro("acme"))
    approve_run(invoice_run.run(OCTOBER, author="program", now=NOW), by=CONTROLLER, now=NOW)


@pytest.fixture
def closed(closed_database: str) -> Iterator[None]:
    """The database, which stays as it was found."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def tables() -> list[str]:
    """The tables that are protected: all of the catalogue but partitions and `OPEN`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        return [name for (name,) in cursor if name not in OPEN]


def columns(table: str) -> dict[str, str]:
    """A table's columns that can be written, with the SQL of another value for each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
            " AND table_schema = 'public' AND is_generated = 'NEVER' ORDER BY ordinal_position",
            [table],
        )
        return {
            name: CHANGED.get(kind, "coalesce({c}, 0) + 1").format(c=f't."{name}"')
            for name, kind in cursor.fetchall()
        }


def key_of(table: str) -> str | None:
    """The column that an identity counts up, if the table has one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " AND table_schema = 'public' AND is_identity = 'YES'",
            [table],
        )
        row = cursor.fetchone()
        return None if row is None else str(row[0])


def rows_in(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM public."{table}"')
        return int(cursor.fetchone()[0])


def passes(statement: str) -> bool:
    """Whether the database takes it, deferred checks and all; it is undone in any case."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
    except DatabaseError:
        return False
    return True


def test_the_lists_name_tables_that_there_are(closed: None) -> None:
    there = set(connection.introspection.table_names())
    assert OPEN.keys() - there == set()
    assert EMPTY_HERE.keys() | ADDABLE.keys() | {t for t, _ in MOVABLE} <= set(tables())


def test_the_month_fills_every_protected_table(closed: None) -> None:
    histories = {m._meta.db_table for m in apps.get_models() if issubclass(m, Event)}
    empty = {table for table in tables() if not rows_in(table)} - histories
    assert empty - {t for t in empty if t.startswith(("stripe_", "invoice_standing"))} == (
        EMPTY_HERE.keys()
    )


def test_no_row_is_changed(closed: None) -> None:
    taken = {
        (table, column)
        for table in tables()
        if rows_in(table)
        for column, other in columns(table).items()
        if passes(
            f'UPDATE public."{table}" AS t SET "{column}" = {other}'
            f' WHERE t.ctid = (SELECT ctid FROM public."{table}" LIMIT 1)'
        )
    }
    assert taken <= MOVABLE.keys()


def test_no_row_is_taken_away(closed: None) -> None:
    assert [
        table
        for table in tables()
        if rows_in(table) and passes(f'DELETE FROM public."{table}"')
    ] == []  # fmt: skip


def test_no_row_is_added_that_differs_in_one_thing_from_one_that_is_there(closed: None) -> None:
    taken = set()
    for table in tables():
        named, key = columns(table), key_of(table)
        written = [column for column in named if column != key]
        for changed in written:
            values = ", ".join(named[c] if c == changed else f't."{c}"' for c in written)
            listed = ", ".join(f'"{c}"' for c in written)
            if rows_in(table) and passes(
                f'INSERT INTO public."{table}" ({listed}) SELECT {values} FROM public."{table}" t'
                " LIMIT 1"
            ):
                taken.add(table)
    assert taken <= ADDABLE.keys()


ON_ANY_TABLE = {
    "empty it": "TRUNCATE public.{t} CASCADE",
    "drop it": "DROP TABLE public.{t} CASCADE",
    "silence its triggers": "ALTER TABLE public.{t} DISABLE TRIGGER USER",
    "rename it": "ALTER TABLE public.{t} RENAME TO elsewhere",
    "own it": "ALTER TABLE public.{t} OWNER TO CURRENT_USER",
    "have a rule do nothing instead": (
        "CREATE RULE nothing AS ON INSERT TO public.{t} DO INSTEAD NOTHING"
    ),
    "have a trigger of its own": (
        "CREATE TRIGGER a BEFORE UPDATE ON public.{t} FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "have policies": "ALTER TABLE public.{t} ENABLE ROW LEVEL SECURITY",
    "inherit it": "CREATE TEMPORARY TABLE heir () INHERITS (public.{t})",
    "drop its constraints": "ALTER TABLE public.{t} DROP CONSTRAINT IF EXISTS {t}_pkey CASCADE",
}


@pytest.mark.parametrize("attack", ON_ANY_TABLE)
def test_no_table_is_tampered_with(closed: None, attack: str) -> None:
    assert [t for t in tables() if passes(ON_ANY_TABLE[attack].format(t=t))] == []


BEFOREHAND = {
    "as a replica": "SET session_replication_role = replica",
    "with triggers told to be ignored": (
        "SELECT set_config('pgtrigger.ignore',"
        " (SELECT array_agg(tgname)::text FROM pg_trigger), true)"
    ),
    "with a search path of its own": "SET LOCAL search_path TO pg_temp, public",
    "as the owner": "SET ROLE apportion_migrator",
    "with functions of its own": (
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name)"
        " RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    ),
    "with deferred checks": "SET CONSTRAINTS ALL DEFERRED",
}


@pytest.mark.parametrize("first", BEFOREHAND)
def test_nothing_that_a_session_says_of_itself_opens_a_closed_month(
    closed: None, first: str
) -> None:
    if not passes(BEFOREHAND[first]):
        return
    with connection.cursor() as cursor:
        cursor.execute(BEFOREHAND[first])
    _stays()


def test_tables_put_before_the_real_ones_open_nothing(closed: None) -> None:
    """Each in turn, and all of them: what a trigger asks is the real table."""
    for table in tables():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {table} (LIKE public.{table})")
            _stays(connected=False)
            transaction.set_rollback(True)
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(f"CREATE TEMPORARY TABLE {table} (LIKE public.{table})")
    _stays()


def _stays(*, connected: bool = True) -> None:
    watched = ("allocation_run", "statement", "provider_bill", "period_close", "invoice_line")
    for table in tables() if connected else watched:
        if rows_in(table):
            assert not passes(f'DELETE FROM public."{table}"'), table
    assert not passes("UPDATE public.allocation_run SET state = 'approved'")
    assert not passes("UPDATE public.invoice SET total_minor = 0")
    assert not passes(
        "INSERT INTO public.reconciliation (month, number, inputs_digest, outputs_digest,"
        " reconciled_at) VALUES ('2026-10', 9, 'x', 'y', now())"
    )


def test_after_all_of_it_the_books_hold(closed_database: str) -> None:
    assert verify(OCTOBER).findings == ()
