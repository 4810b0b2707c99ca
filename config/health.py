"""`/healthz` and `/readyz`: what a supervisor or a load balancer asks.

`/healthz` says that the process answers, and asks nobody else: a database that is down is no
reason to restart the web. `/readyz` says whether requests would succeed: 503 names what is amiss.

They are answered before every other middleware, because who asks them knows neither our host name
(ALLOWED_HOSTS) nor TLS.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from http import HTTPStatus
from typing import Final

import psycopg
import redis
from django.conf import settings
from django.db import DatabaseError, OperationalError, ProgrammingError, connections
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse

from metering.api import problems

PATIENCE_SECONDS: Final = 2
"""How long each of the others is waited for."""

HEALTH: Final = "/healthz"
READINESS: Final = "/readyz"

NOT_SET_UP: Final = "the database is not set up: run manage.py migrate"
_APPLIED: Final = "SELECT app, name FROM django_migrations"
_UNMADE: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege)

logger = logging.getLogger(__name__)


class NotReady(Exception):
    """What is amiss, without addresses or names: anybody may ask."""


def probes(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware that answers both."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.path == HEALTH:
            return _fine("alive")
        if request.path == READINESS:
            return readiness()
        return get_response(request)

    return answer


def readiness() -> HttpResponse:
    """200, or 503 with a member for each part that is not ready: its name and what it lacks."""
    amiss = {}
    for name, look in (("database", database_is_ready), ("redis", redis_is_ready)):
        try:
            look()
        except NotReady as lacking:
            logger.warning("not ready: %s (%s)", lacking, lacking.__cause__ or "no error")
            amiss[name] = str(lacking)
    if not amiss:
        return _fine("ready")
    return _not_ready(amiss)


def _not_ready(amiss: Mapping[str, str]) -> HttpResponse:
    response = problems.problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-ready",
        "Not ready",
        "; ".join(amiss.values()),
        amiss=amiss,
    )
    response["Cache-Control"] = "no-store"
    return response


def database_is_ready() -> None:
    """Over a connection of its own, so that it is new. Raises `NotReady`."""
    parameters = connections["default"].get_connection_params()
    for name in ("cursor_factory", "context", "isolation_level", "prepare_threshold"):
        parameters.pop(name, None)
    parameters["connect_timeout"] = PATIENCE_SECONDS
    try:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(f"SET statement_timeout = '{PATIENCE_SECONDS}s'")
            found = connection.execute(_APPLIED)
            applied = set(found.fetchall())
    except _UNMADE as unmade:
        raise NotReady(NOT_SET_UP) from unmade
    except psycopg.Error as failure:
        raise NotReady("the database cannot be reached") from failure
    lacking = _unapplied(applied)
    if lacking is not None:
        raise NotReady(lacking)


def what_the_database_lacks() -> str | None:
    """Why a command cannot work on the database, with the remedy; `None` if it can. Over Django's
    own connection, which starts an embedded server where none runs yet."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(_APPLIED)
            return _unapplied(set(cursor.fetchall()))
    except ProgrammingError as error:
        if isinstance(error.__cause__, _UNMADE):
            return NOT_SET_UP
        raise
    except OperationalError as failure:
        said = " ".join(str(failure).split())
        return (
            "the database cannot be reached: see that it runs, and that DATABASE_URL (or, for the"
            f" embedded one, APPORTION_DATABASE) says where it is; {said}"
        )


def _unapplied(applied: Collection[tuple[str, str]]) -> str | None:
    missing = _newest_migrations().difference(applied)
    if not missing:
        return None
    are = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
    return f"{are} not applied: run manage.py migrate"


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500; what a database that is not set up has raised is 503, and says so."""
    if isinstance(sys.exc_info()[1], DatabaseError | psycopg.Error):
        try:
            database_is_ready()
        except NotReady as lacking:
            return _not_ready({"database": str(lacking)})
    return problems.server_error(request)


def redis_is_ready() -> None:
    """Raises `NotReady`."""
    waiting = {"socket_connect_timeout": PATIENCE_SECONDS, "socket_timeout": PATIENCE_SECONDS}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **waiting) as client:
            client.ping()
    except redis.RedisError as failure:
        raise NotReady("Redis cannot be reached") from failure


@cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    """The last migration of each app, as this process's code has them."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _fine(status: str) -> HttpResponse:
    response = HttpResponse(f'{{"status":"{status}"}}', content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response
