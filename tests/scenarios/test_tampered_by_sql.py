"""One value of one row, changed by the tables' owner with everything switched off that guards it:
`verify` names the place, or it stands in `proofs` why nothing hangs on that value.

Tables and columns come from the catalogue, so a new one turns these tests red until it is proven by
a check, or somebody has said why it need not be. For each, only the checks that prove its table are
run; that nothing hangs on the others is asked of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.utils import load_backend

from billing.verify import checks_of, verify
from metering.verification.findings import Finding
from tests.allocation.october import OCTOBER
from tests.databases import TestDatabases, pointed_at
from tests.prebuilt import meeting
from tests.scenarios import full_october
from tests.scenarios.proofs import ID, NOT_OF_A_MONTH, ORDER, PASSED_OVER, PROVEN, Proven
from tests.scenarios.test_closed_by_sql import CHANGED


@pytest.fixture(scope="module")
def unguarded(
    test_databases: TestDatabases,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """The month, as the owner of its tables has it once nothing but `verify` guards it."""
    with django_db_blocker.unblock():
        name = test_databases.clone()
        with pointed_at(name):
            full_october.build(tmp_path_factory.mktemp("october"))
        settings = {**connections.settings["migrator"], "NAME": name}
        owner = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, DEFAULT_DB_ALIAS)
        with meeting(owner):
            _disarm()
            yield
        owner.close()
        test_databases.drop(name)


def _disarm() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE',"
            "  conrelid::regclass, conname) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conparentid = 0"
            " AND coninhcount = 0 AND contype IN ('p', 'u', 'x', 'c', 'f')"
            " UNION ALL SELECT format('DROP INDEX IF EXISTS %s', indexrelid::regclass)"
            "  FROM pg_index JOIN pg_class r ON r.oid = indrelid"
            "  WHERE relnamespace = 'public'::regnamespace"
            "  AND indisunique AND NOT indisprimary AND NOT relispartition"
            "  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
            " UNION ALL SELECT format('ALTER TABLE %s DISABLE TRIGGER USER', oid::regclass)"
            "  FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            "  AND NOT relispartition"
            " UNION ALL SELECT format('ALTER TABLE %I ALTER COLUMN %I DROP IDENTITY', table_name,"
            "  column_name) FROM information_schema.columns"
            "  WHERE table_schema = 'public' AND is_identity = 'YES'"
        )
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        return [name for (name,) in cursor if not name.startswith(NOT_OF_A_MONTH)]


def test_every_table_is_proven_or_passed_over(unguarded: None) -> None:
    there = {name for name in tables() if not name.endswith("_history")}
    assert there == PROVEN.keys() | PASSED_OVER.keys()


def test_before_anything_is_changed_all_of_it_holds(unguarded: None) -> None:
    with transaction.atomic():
        assert verify(OCTOBER).findings == ()


class Row(NamedTuple):
    kind: str
    at: str
    place: str


def rows_of(table: str, proven: Proven) -> list[Row]:
    """One row of each kind."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT ON (({proven.kinds})::text) coalesce(({proven.kinds})::text, ''),"
            f" tableoid::regclass || ' ' || ctid, {proven.place}"
            f' FROM "{table}" t ORDER BY ({proven.kinds})::text, ctid'
        )
        return [Row(*found) for found in cursor.fetchall()]


def changes_of(table: str) -> dict[str, list[str]]:
    """Of each column of the table, other values: SQL on `t`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_name = %s AND table_schema = 'public' AND is_generated = 'NEVER'"
            " ORDER BY ordinal_position",
            [table],
        )
        return {
            name: [
                _other(name, kind).format(c=f't."{name}"'),
                *(["NULL"] if nullable else []),
            ]
            for name, kind, nullable in cursor.fetchall()
        }


def _other(name: str, kind: str) -> str:
    return "{c} + 1000000" if name == "id" else CHANGED.get(kind, "coalesce({c}, 0) + 1")


class Changed(NamedTuple):
    """What a statement has done to a row: what a finding may call it, and what was found."""

    places: set[str]
    found: list[Finding]

    @property
    def is_named(self) -> bool:
        said = " ".join(f"{f.check} {f.where} {f.what}" for f in self.found)
        return any(place in said for place in self.places)


def changed(statement: str, row: Row, proven: Proven) -> Changed | None:
    """What the checks find once the statement has changed a row, until one names it; `None`: it
    changes none."""
    done = Changed(set(row.place.split("|")), [])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{statement} RETURNING {proven.place}")
        after = cursor.fetchall()
        done.places.update(*(place.split("|") for (place,) in after if place))
        for name in proven.checks if after else ():
            done.found.extend(checks_of(OCTOBER)[name]())
            if done.is_named:
                break
        transaction.set_rollback(True)
    return done if after else None


def where(row: Row) -> str:
    partition, at = row.at.split(" ")
    return f"t.ctid = '{at}' AND t.tableoid = '{partition}'::regclass"


def is_free(row: Row, column: str, proven: Proven) -> bool:
    return not proven.free.keys().isdisjoint({column, f"{row.kind}.{column}", f"{row.kind}.*"})


def test_nothing_hangs_on_what_is_said_to_be_free(unguarded: None) -> None:
    """All of it changed at once, in a row of each kind, and `verify` holds."""
    with transaction.atomic():
        for table, proven in PROVEN.items():
            for row in rows_of(table, proven):
                free = [
                    f'"{column}" = {others[0]}'
                    for column, others in changes_of(table).items()
                    if is_free(row, column, proven) and proven.free.get(column) not in (ID, ORDER)
                ]
                if free:
                    with connection.cursor() as cursor:
                        cursor.execute(
                            f'UPDATE "{table}" t SET {", ".join(free)} WHERE {where(row)}'
                        )
        assert verify(OCTOBER).findings == ()
        transaction.set_rollback(True)


@pytest.mark.parametrize("table", PROVEN)
def test_any_value_that_was_changed_is_named(unguarded: None, table: str) -> None:
    proven = PROVEN[table]
    rows = rows_of(table, proven)
    assert rows, "the month has no such row"
    unseen = []
    for row in rows:
        statements = {
            f"{column} = {other}": f'UPDATE "{table}" t SET "{column}" = {other} WHERE'
            f' {where(row)} AND t."{column}"::text IS DISTINCT FROM ({other})::text'
            for column, others in changes_of(table).items()
            if not is_free(row, column, proven)
            for other in others
        }
        if not is_free(row, "gone", proven):
            statements["gone"] = f'DELETE FROM "{table}" t WHERE {where(row)}'
        for said, statement in statements.items():
            done = changed(statement, row, proven)
            if done is not None and not done.is_named:
                unseen.append((row.kind, said, done.places, done.found))
    assert unseen == []
