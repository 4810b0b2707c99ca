"""The application's role owns nothing and cannot change what is written once."""

from __future__ import annotations

from unittest.mock import patch

import psycopg
import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from psycopg import sql

from metering import privileges

FORBIDDEN = {
    "UPDATE": sql.SQL("UPDATE {table} SET {column} = {column}"),
    "DELETE": sql.SQL("DELETE FROM {table}"),
    "TRUNCATE": sql.SQL("TRUNCATE {table}"),
    "DROP": sql.SQL("DROP TABLE {table}"),
    "TRIGGER": sql.SQL("ALTER TABLE {table} DISABLE TRIGGER ALL"),
}


def first_column(table: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum = 1",
            [table],
        )
        row = cursor.fetchone()
        return str(row[0]) if row else None


def refused(table: str, kind: str, column: str) -> bool:
    statement = FORBIDDEN[kind].format(table=sql.Identifier(table), column=sql.Identifier(column))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as failure:
        return isinstance(failure.__cause__, psycopg.errors.InsufficientPrivilege)
    return False


@pytest.mark.django_db
def test_the_application_owns_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole,"
            " (SELECT count(*) FROM pg_class WHERE relowner = r.oid) FROM pg_roles r"
            " WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", FORBIDDEN)
@pytest.mark.parametrize("table", [*privileges.APPEND_ONLY, *privileges.READ_ONLY])
def test_what_is_written_once_stays(table: str, kind: str) -> None:
    column = first_column(table)
    if column is None:
        pytest.skip(f"{table} is not created by any migration")
    assert refused(table, kind, column)


@pytest.mark.django_db
def test_partitions_are_reached_through_their_parents_only() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')"
            " AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
        )
        assert cursor.fetchall() == []


def test_a_new_table_is_granted_and_an_append_only_one_is_protected(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute("CREATE TABLE written_once (n int PRIMARY KEY)")
    owner_connection.execute("CREATE TABLE changing (n serial PRIMARY KEY)")
    owner_connection.execute("CREATE TABLE by_day (n int, day int) PARTITION BY LIST (day)")
    owner_connection.execute("CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES IN (1)")
    owner_connection.execute("GRANT ALL ON written_once, by_day_1 TO apportion")

    with patch.object(privileges, "APPEND_ONLY", ("written_once", "not_created_yet")):
        assert privileges.grant()
        assert privileges.grant()

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO written_once VALUES (1)")
        cursor.execute("INSERT INTO changing DEFAULT VALUES")
        cursor.execute("UPDATE changing SET n = 7")
        cursor.execute("INSERT INTO by_day VALUES (1, 1)")
        cursor.execute("DELETE FROM changing")
    assert all(refused("written_once", kind, "n") for kind in FORBIDDEN)
    assert refused("by_day_1", "UPDATE", "n")
    assert refused("changing", "TRUNCATE", "n")
    assert owner_connection.execute("SELECT n FROM written_once").fetchall() == [(1,)]


@pytest.mark.django_db
def test_one_role_for_both_is_said_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert not privileges.grant("default")
    assert "not immutable" in caplog.text


def test_the_check_warns_where_one_role_does_both() -> None:
    with patch.dict(settings.DATABASES, migrator={"USER": settings.DATABASES["default"]["USER"]}):
        assert [warning.id for warning in privileges.roles_differ()] == ["metering.W001"]
    assert privileges.roles_differ() == []
