"""A database as it is after millions of events, filled by the server itself in minutes."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql

from config.embedded.places import Places
from config.embedded.postgres import SUPERUSER
from metering.event_rows import COLUMNS
from tests.databases import TestDatabases

PORTION: Final = 500_000

_COPIES: Final = """
    WITH made AS (
        INSERT INTO usage_event ({columns})
        SELECT {values} FROM alike, generate_series(1, %s) ORDER BY 1 LIMIT %s
        RETURNING event_key, seal_digest, occurred_at
    )
    INSERT INTO event_ledger (event_key, claim_digest, occurred_at, claimed_on)
    SELECT event_key, seal_digest, occurred_at, current_date FROM made
"""


def fill(databases: TestDatabases, database: str, events: int) -> None:
    """Have so many more events stored, like those that are there: the same rows and days under
    random keys, as the keys of events are, in the ledger and in their partitions. What is not
    kept up are digests and rollups, which no batch that comes in reads.
    """
    values = sql.SQL(", ").join(
        sql.SQL("gen_random_uuid()") if name == "event_key" else sql.Identifier(name)
        for name in COLUMNS
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    copies = sql.SQL(_COPIES).format(columns=columns, values=values)
    with closing(databases.connect("migrator", database)) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET work_mem = '256MB'")
        connection.execute("SET temp_buffers = '256MB'")
        there = connection.execute("CREATE TEMP TABLE alike AS TABLE usage_event").rowcount
        assert there, "there is nothing to be like"
        left = events
        while left > 0:
            some = min(left, PORTION)
            left -= connection.execute(copies, [some // there + 1, some]).rowcount
        connection.execute("VACUUM ANALYZE usage_event")
        connection.execute("VACUUM ANALYZE event_ledger")


def checkpoint() -> None:
    """Have every page written, so that each is logged whole when it is touched next. On a server
    of the operator's own its migrator needs the role `pg_checkpoint`."""
    environment = settings.ENVIRONMENT
    if environment.embeds_postgres:
        places: Places = environment.embedded
        with psycopg.connect(
            host=str(places.sockets), user=SUPERUSER, dbname="postgres", autocommit=True
        ) as server:
            server.execute("CHECKPOINT")
        return
    with connections["migrator"].cursor() as cursor:
        cursor.execute("CHECKPOINT")


def size_of(database: str) -> int:
    """Bytes on disk."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_database_size(%s)", [database])
        return int(cursor.fetchone()[0])
