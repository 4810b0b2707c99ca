"""The embedded PostgreSQL: created, started, stopped.

Every step may be cut off and repeated. The cluster is created aside and renamed, the roles and
the database are created where they are missing on every start, and a server that was killed is
recovered by PostgreSQL itself from its log.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from config.embedded.binaries import PostgresPrograms, postgres_programs
from config.embedded.places import POSTGRES_SOCKET, Places
from config.embedded.processes import ServerFailed, command_of, exclusively, run, tail
from config.embedded.tuning import server_settings

SUPERUSER: Final = "postgres"
OWNER: Final = "apportion_owner"
APPLICATION: Final = "apportion"
DATABASE: Final = "apportion"
EXTENSION: Final = "pg_stat_statements"
RECOVERY_SECONDS: Final = 600
"""How long a start may take: after a crash under load the log since the checkpoint is replayed."""
ORPHANS_SECONDS: Final = 15
"""How long the backends of a killed server may need to notice and leave its shared memory."""
SIGNS_OF_A_DYING_SERVER: Final = ("shared memory block", 'lock file "postmaster.pid" already')

BUILTIN_LOCALE_SINCE: Final = 17


def answers(places: Places) -> bool:
    """Whether the server is up and its database is there: one connection, no process."""
    try:
        connection = psycopg.connect(
            host=str(places.sockets), user=APPLICATION, dbname=DATABASE, connect_timeout=5
        )
    except psycopg.OperationalError:
        return False
    connection.close()
    return True


def ensure_running(places: Places) -> None:
    """Return with a server that answers; does nothing if one does. Safe from many at once."""
    if answers(places):
        return
    with exclusively(places):
        if answers(places):
            return
        programs = postgres_programs(places)
        data = _cluster(places, programs)
        if not _accepts(places):
            _start(places, programs, data)
        _equip(places)


def clients(places: Places) -> int:
    """How many connections others hold to the running server; 0 if it is not running."""
    try:
        connection = _superuser(places, "postgres")
    except psycopg.OperationalError:
        return 0
    with connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(found[0]) if found else 0


def stop(places: Places) -> bool:
    """Stop the server, waiting for its last checkpoint; False if there was none running."""
    if not places.home.is_dir():
        return False
    with exclusively(places):
        stopped = False
        for data in sorted(places.home.glob("postgres-[0-9]*")):
            pid = _server_process(data)
            if pid is not None:
                programs = postgres_programs(places)
                done = run(
                    places,
                    [
                        programs.folder / "pg_ctl",
                        "-D",
                        data,
                        "-m",
                        "fast",
                        "-w",
                        "-t",
                        "600",
                        "stop",
                    ],
                    folder=data,
                )
                if done.returncode != 0:
                    raise ServerFailed(f"PostgreSQL did not stop: {done.stdout.strip()}")
                stopped = True
        return stopped


def _cluster(places: Places, programs: PostgresPrograms) -> Path:
    """The data folder, created if it is missing, with today's settings."""
    data = places.home / f"postgres-{programs.major}"
    if not data.exists():
        others = sorted(path.name for path in places.home.glob("postgres-[0-9]*"))
        if others:
            raise ServerFailed(
                f"{places.home} holds data of {', '.join(others)}, but the programs are of "
                f"PostgreSQL {programs.major}: install that version, or move the data away "
                "(pg_dump with the old programs, then restore)"
            )
        _initialise(places, programs, data)
    places.own_folder(data)
    places.own_folder(places.sockets)
    stated = server_settings(places, statistics=programs.has_extension(EXTENSION))
    (data / "apportion.conf").write_text(stated)
    return data


def _initialise(places: Places, programs: PostgresPrograms, data: Path) -> None:
    draft = data.with_name(f"draft-{data.name}")
    shutil.rmtree(draft, ignore_errors=True)
    places.own_folder(draft)
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if programs.major >= BUILTIN_LOCALE_SINCE
        else []
    )
    done = run(
        places,
        [
            *(programs.folder / "initdb", "-D", draft / "data", "--encoding=UTF8", "--locale=C"),
            *(*locale, f"--username={SUPERUSER}", "--auth=trust", "--data-checksums"),
        ],
        folder=draft,
    )
    if done.returncode != 0:
        raise ServerFailed(f"initdb failed in {draft}: {done.stdout.strip()}")
    with (draft / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("\ninclude_if_exists 'apportion.conf'\n")
    (draft / "data").rename(data)
    draft.rmdir()


def _start(places: Places, programs: PostgresPrograms, data: Path) -> None:
    log = data / "server.log"
    deadline = time.monotonic() + ORPHANS_SECONDS
    while True:
        _clear_stale_locks(places, data)
        done = run(
            places,
            [
                *(programs.folder / "pg_ctl", "-D", data, "-l", log, "-w"),
                *("-t", str(RECOVERY_SECONDS), "start"),
            ],
            folder=data,
        )
        if done.returncode == 0:
            return
        still_leaving = any(sign in tail(log) for sign in SIGNS_OF_A_DYING_SERVER)
        if not still_leaving or time.monotonic() > deadline:
            raise ServerFailed(
                f"PostgreSQL did not start ({done.stdout.strip()}). "
                f"Its log {log} ends:\n{tail(log)}"
            )
        time.sleep(0.1)


def _clear_stale_locks(places: Places, data: Path) -> None:
    """Remove the lock files of a server that was killed, if another program now has its number.

    PostgreSQL does this itself when the number is free; when it has been given to another process
    (usual in containers, where numbers start again at 1) it would refuse to start.
    """
    if _server_process(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)
        for name in (POSTGRES_SOCKET, f"{POSTGRES_SOCKET}.lock"):
            (places.sockets / name).unlink(missing_ok=True)


def _server_process(data: Path) -> int | None:
    try:
        first_line = (data / "postmaster.pid").read_text().partition("\n")[0]
    except FileNotFoundError:
        return None
    pid = int(first_line) if first_line.strip().isdecimal() else 0
    return pid if pid and command_of(pid) in ("postgres", "postmaster") else None


def server_process(places: Places) -> int | None:
    """The server's process id, None if it is not running."""
    found = (_server_process(data) for data in sorted(places.home.glob("postgres-[0-9]*")))
    return next((pid for pid in found if pid is not None), None)


def _accepts(places: Places) -> bool:
    try:
        _superuser(places, "postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _superuser(places: Places, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(places.sockets), user=SUPERUSER, dbname=database, autocommit=True
    )


def _equip(places: Places) -> None:
    """Roles, extension and database, where missing. Roles belong to the cluster, not a database.

    The extension goes into `template1` so that every database made later has it too.
    """
    with _superuser(places, "template1") as template:
        template.execute(
            sql.SQL(
                "DO $$ BEGIN IF EXISTS (SELECT FROM pg_available_extensions WHERE name = {}) "
                "THEN CREATE EXTENSION IF NOT EXISTS pg_stat_statements; END IF; END $$"
            ).format(sql.Literal(EXTENSION))
        )
    with _superuser(places, "postgres") as cluster:
        roles = {name for (name,) in cluster.execute("SELECT rolname FROM pg_roles")}
        if OWNER not in roles:
            cluster.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(OWNER)))
        if APPLICATION not in roles:
            cluster.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APPLICATION)))
        found = cluster.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is None:
            cluster.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
