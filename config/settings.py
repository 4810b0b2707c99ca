"""Django's settings. What the operator decides is read in `config.environment`."""

from __future__ import annotations

from typing import Any, Final

from config.environment import read

ENVIRONMENT: Final = read()

DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key
IDENTITY_HASH_KEY = ENVIRONMENT.identity_hash_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "pgtrigger",
    "djmoney",
    "metering",
    "allocation",
    "billing",
]
ROOT_URLCONF = "config.urls"
MIDDLEWARE: list[str] = []

DATABASES: dict[str, dict[str, Any]] = {
    "default": ENVIRONMENT.application_database,
    "migrator": ENVIRONMENT.migrator_database,
}
"""One database, two roles: the application's owns nothing, the migrator's owns the tables."""

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = ENVIRONMENT.redis_url

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en-gb"

LEDGER_HORIZON_DAYS = ENVIRONMENT.ledger_horizon_days
COMPANY_CURRENCY = ENVIRONMENT.company_currency
COMPANY_TIME_ZONE = ENVIRONMENT.company_time_zone
DEFAULT_CURRENCY = COMPANY_CURRENCY
