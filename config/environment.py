"""The one place that reads the environment.

`read(variables)` turns the process's variables into one frozen value; everything else asks that
value. A variable that is absent has the default of the embedded development setup, and what
production cannot go without is refused here, by name and with the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import environ  # type: ignore[import-untyped]
from django.core.exceptions import ImproperlyConfigured

from config import secrets_file
from config.embedded.places import Places

ROOT: Final = Path(__file__).resolve().parent.parent
EMBEDDED_ENGINE: Final = "config.embedded.postgresql"
OWNER: Final = "apportion_owner"
APPLICATION: Final = "apportion"
STRIPE: Final = "https://api.stripe.com"

Database = dict[str, Any]
"""One entry of Django's DATABASES."""
_KEPT_OPEN: Final = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
"""A connection serves many requests: opening one costs more than storing a small batch."""


class Https(StrEnum):
    """Who ends TLS."""

    PROXY = "proxy"
    DIRECT = "direct"
    OFF = "off"


class LogFormat(StrEnum):
    """How a line of the log is written."""

    JSON = "json"
    PLAIN = "plain"


class LogLevel(StrEnum):
    """From which level on the log is written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True)
class Environment:
    """What the operator decided. Each attribute is one row of the settings' documentation."""

    debug: bool
    """DEBUG: error pages with details; never in production. Default off."""
    secret_key: str
    """SECRET_KEY: signs sessions and tokens. Generated once under `var/` when embedded."""
    identity_hash_key: str
    """IDENTITY_HASH_KEY: keys the hash by which a user's pseudonym is found. Losing it means that
    every returning user gets a new pseudonym, so it is generated once and then never changed."""
    allowed_hosts: tuple[str, ...]
    """ALLOWED_HOSTS: host names that the web answers to, separated by commas."""
    https: Https
    """HTTPS: `proxy` where a proxy in front ends TLS, sets `X-Forwarded-Proto` and strips what
    clients send under that name; `direct` where granian ends it; `off` for plain HTTP, on
    localhost only. Default `proxy` where DATABASE_URL is set, else `off`."""
    hsts_seconds: int
    """HSTS_SECONDS: for how long a browser that came over HTTPS insists on it. Default a year."""
    csrf_trusted_origins: tuple[str, ...]
    """CSRF_TRUSTED_ORIGINS: origins like https://books.example.com, separated by commas, needed
    only where the proxy changes the Host header. Default none."""
    static_root: Path | None
    """STATIC_ROOT: where `manage.py collectstatic` put the pages' pictures, styles and scripts.
    Default: each is served from the package that it came with."""
    log_format: LogFormat
    """LOG_FORMAT: `json` or `plain`. Default `json` where DATABASE_URL is set, else `plain`."""
    log_level: LogLevel
    """LOG_LEVEL: DEBUG, INFO, WARNING or ERROR. Default INFO."""
    application_database: Database
    """DATABASE_URL: the application's role, which owns nothing. Default: embedded."""
    migrator_database: Database
    """MIGRATION_DATABASE_URL: the role that owns the tables. Default: embedded; where only
    DATABASE_URL is set, the same as that, and immutability by privilege does not hold."""
    redis_url: str
    """REDIS_URL: Celery's messages and the guardrails' counters. Default: embedded."""
    embedded: Places
    """APPORTION_VAR: the folder of the embedded services' data and of generated keys.
    APPORTION_DATABASE: another database on the same server than DATABASE_URL's, or than the
    embedded server's `apportion`; `apportion_demo` is what `make demo` left to be looked at."""
    names_database: bool
    """Whether APPORTION_DATABASE was given."""
    embeds_postgres: bool
    embeds_redis: bool
    ledger_horizon_days: int
    """LEDGER_HORIZON_DAYS: events older than this go to the late queue. Default 400."""
    work_lease_seconds: int
    """WORK_LEASE_SECONDS: how long a worker has a part of the work to itself; then another may
    take it over. Longer than a task may run (300). Default 360."""
    company_currency: str
    """COMPANY_CURRENCY: what margins and budgets are reported in. Default USD."""
    company_time_zone: str
    """COMPANY_TIME_ZONE: for display only; everything is computed in UTC. Default UTC."""
    stripe_api_key: str
    """STRIPE_API_KEY: the secret or restricted key by which approved invoices are pushed. Default
    none: nothing is pushed."""
    stripe_webhook_secret: str
    """STRIPE_WEBHOOK_SECRET: what Stripe signs its webhooks with (`whsec_…`). Default none:
    webhooks are refused."""
    stripe_base_url: str
    """STRIPE_BASE_URL: where Stripe's API is spoken. Default https://api.stripe.com."""


VARIABLES: Final = (
    "DEBUG",
    "SECRET_KEY",
    "IDENTITY_HASH_KEY",
    "ALLOWED_HOSTS",
    "HTTPS",
    "HSTS_SECONDS",
    "CSRF_TRUSTED_ORIGINS",
    "STATIC_ROOT",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "DATABASE_URL",
    "MIGRATION_DATABASE_URL",
    "REDIS_URL",
    "APPORTION_VAR",
    "APPORTION_DATABASE",
    "LEDGER_HORIZON_DAYS",
    "WORK_LEASE_SECONDS",
    "COMPANY_CURRENCY",
    "COMPANY_TIME_ZONE",
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_BASE_URL",
)
"""Every variable that is read; `.env.example` names each of them."""


def read(variables: Mapping[str, str] | None = None) -> Environment:
    """The operator's decisions; without an argument, the process's variables and `ROOT/.env`."""
    if variables is None:
        environ.Env.read_env(ROOT / ".env")
        variables = os.environ
    env = environ.Env()
    env.ENVIRON = {name: variables[name] for name in VARIABLES if variables.get(name)}
    debug: bool = env.bool("DEBUG", default=False)
    places = Places.under(Path(env.str("APPORTION_VAR", default=str(ROOT / "var"))))
    database_url: str = env.str("DATABASE_URL", default="")
    migration_url: str = env.str("MIGRATION_DATABASE_URL", default=database_url)
    redis_url: str = env.str("REDIS_URL", default="")
    if migration_url and not database_url:
        raise ImproperlyConfigured(
            "MIGRATION_DATABASE_URL is set but DATABASE_URL is not: set both, or neither for the "
            "embedded server"
        )
    keys = _keys(env, places.var, may_generate=debug or not database_url)
    embedded = not database_url
    served = not (embedded or debug)
    other_database: str = env.str("APPORTION_DATABASE", default="")
    database = other_database or APPLICATION
    return Environment(
        debug=debug,
        secret_key=keys["SECRET_KEY"],
        identity_hash_key=keys["IDENTITY_HASH_KEY"],
        allowed_hosts=tuple(env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])),
        https=_choice(env, "HTTPS", Https, Https.PROXY if served else Https.OFF),
        hsts_seconds=_positive(env, "HSTS_SECONDS", 365 * 24 * 3600),
        csrf_trusted_origins=_origins(env),
        static_root=Path(env.str("STATIC_ROOT")) if "STATIC_ROOT" in env.ENVIRON else None,
        log_format=_choice(
            env, "LOG_FORMAT", LogFormat, LogFormat.JSON if served else LogFormat.PLAIN
        ),
        log_level=_choice(env, "LOG_LEVEL", LogLevel, LogLevel.INFO),
        application_database=(
            _embedded(places, APPLICATION, database)
            if embedded
            else _served("DATABASE_URL", database_url, other_database)
        ),
        migrator_database=(
            _embedded(places, OWNER, database)
            if embedded
            else _served("MIGRATION_DATABASE_URL", migration_url, other_database)
        ),
        redis_url=redis_url or f"unix://{places.valkey_socket}?db=0",
        embedded=places,
        names_database=bool(other_database),
        embeds_postgres=embedded,
        embeds_redis=not redis_url,
        ledger_horizon_days=_positive(env, "LEDGER_HORIZON_DAYS", 400),
        work_lease_seconds=_positive(env, "WORK_LEASE_SECONDS", 360),
        company_currency=env.str("COMPANY_CURRENCY", default="USD").upper(),
        company_time_zone=_zone(env.str("COMPANY_TIME_ZONE", default="UTC")),
        stripe_api_key=env.str("STRIPE_API_KEY", default="").strip(),
        stripe_webhook_secret=env.str("STRIPE_WEBHOOK_SECRET", default="").strip(),
        stripe_base_url=_base_url("STRIPE_BASE_URL", env.str("STRIPE_BASE_URL", default=STRIPE)),
    )


def broker_url(redis_url: str) -> str:
    """Celery's address of a Redis: it spells a socket's another way."""
    if not redis_url.startswith("unix://"):
        return redis_url
    socket = redis_url.removeprefix("unix://").replace("?db=", "?virtual_host=")
    return f"redis+socket://{socket}"


def _keys(env: environ.Env, var: Path, *, may_generate: bool) -> dict[str, str]:
    names = ("SECRET_KEY", "IDENTITY_HASH_KEY")
    missing = [name for name in names if name not in env.ENVIRON]
    if missing and not may_generate:
        raise ImproperlyConfigured(
            f"{' and '.join(missing)} must be set when DATABASE_URL is: put a long random value "
            "into each (python -c 'import secrets; print(secrets.token_urlsafe(48))') and keep it; "
            "with DEBUG=1 they are generated under APPORTION_VAR"
        )
    return {
        name: env.ENVIRON.get(name) or secrets_file.stable_secret(var / name.lower())
        for name in names
    }


def _embedded(places: Places, role: str, name: str) -> Database:
    return {
        "ENGINE": EMBEDDED_ENGINE,
        "NAME": name,
        "USER": role,
        "HOST": str(places.sockets),
        "PORT": "5432",
        **_KEPT_OPEN,
    }


def _served(name: str, url: str, other_database: str) -> Database:
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"{name} must look like postgres://user:password@host:5432/database, "
            f"and PostgreSQL is the only database; it starts with {parts.scheme or 'nothing'}://"
        )
    database: Database = environ.Env.db_url_config(url)
    database["HOST"] = unquote(database["HOST"])
    database["NAME"] = other_database or database["NAME"]
    return {**_KEPT_OPEN, **database}


def _choice(env: environ.Env, name: str, choices: type[_Choice], default: _Choice) -> _Choice:
    written: str = env.str(name, default=default.value)
    for choice in choices:
        if choice.value.casefold() == written.casefold():
            return choice
    raise ImproperlyConfigured(f"{name} is {written!r}; it must be one of {', '.join(choices)}")


def _origins(env: environ.Env) -> tuple[str, ...]:
    origins: tuple[str, ...] = tuple(env.list("CSRF_TRUSTED_ORIGINS", default=[]))
    for origin in origins:
        if not origin.startswith(("https://", "http://")):
            raise ImproperlyConfigured(
                f"CSRF_TRUSTED_ORIGINS has {origin!r}; write it with its scheme, like "
                "https://books.example.com"
            )
    return origins


def _positive(env: environ.Env, name: str, default: int) -> int:
    number: int = env.int(name, default=default)
    if number <= 0:
        raise ImproperlyConfigured(f"{name} is {number}; it must be at least 1")
    return number


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError) as unknown:
        raise ImproperlyConfigured(
            f"COMPANY_TIME_ZONE is {name!r}; write an IANA zone like Europe/Berlin"
        ) from unknown
    return name


def _base_url(name: str, url: str) -> str:
    parts = urlsplit(url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ImproperlyConfigured(
            f"{name} is {url!r}; write scheme and host only, like https://api.example.com"
        )
    return url.rstrip("/")
