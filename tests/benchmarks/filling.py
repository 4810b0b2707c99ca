"""A database as it is after millions of events, filled by the server itself in minutes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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

WRITERS: Final = 2
_COPIES: Final = """
    WITH made AS (
        INSERT INTO usage_event ({columns})
        SELECT {values} FROM generate_series(1, %s), alike
        RETURNING event_key, seal_digest, occurred_at
    )
    INSERT INTO event_ledger (event_key, claim_digest, occurred_at, claimed_on)
    SELECT event_key, seal_digest, occurred_at, current_date FROM made
"""


def fill(databases: TestDatabases, database: str, events: int) -> int:
    """Have about so many more events stored, like those that are there: the same rows and days
    under random keys, as the keys of events are, in the ledger and in their partitions; how many.
    What is not kept up are digests and rollups, which no batch that comes in reads.
    """
    with closing(databases.connect("migrator", database)) as connection:
        like = "CREATE UNLOGGED TABLE alike AS TABLE usage_event"
        there = connection.execute(like).rowcount
        assert there, "there is nothing to be like"
        with ThreadPoolExecutor(WRITERS) as pool:
            shares = [events // WRITERS] * WRITERS
            made = sum(pool.map(lambda share: _copy(databases, database, there, share), shares))
        connection.execute("DROP TABLE alike")
        connection.execute("VACUUM ANALYZE usage_event")
        connection.execute("VACUUM ANALYZE event_ledger")
    return made


def _copy(databases: TestDatabases, database: str, there: int, events: int) -> int:
    values = sql.SQL(", ").join(
        sql.SQL("gen_random_uuid()") if name == "event_key" else sql.Identifier(name)
        for name in COLUMNS
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    copies = sql.SQL(_COPIES).format(columns=columns, values=values)
    made = 0
    with closing(databases.connect("migrator", database)) as connection:
        connection.execute("SET synchronous_commit = off")
        while made < events:
            times = max(1, min(PORTION, events - made) // there)
            made += connection.execute(copies, [times]).rowcount
    return made


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
