"""Django's settings. What the operator decides is read in `config.environment`."""

from __future__ import annotations

from typing import Any, Final

from pghistory import ContextJSONField, ObjForeignKey

from config import admin_site
from config.environment import Https, broker_url, read
from config.logs import logging_settings

ENVIRONMENT: Final = read()

DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key
IDENTITY_HASH_KEY = ENVIRONMENT.identity_hash_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    # Its pages are found when the routes are loaded: programs that serve none start without them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pgtrigger",
    "pghistory",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "config.money_fields.MoneyConfig",
    "metering",
    "allocation",
    "billing",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
MIDDLEWARE = [
    "config.health.probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.history.HistoryMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
UNFOLD = admin_site.UNFOLD
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

STATIC_URL = "static/"
STATIC_ROOT = ENVIRONMENT.static_root
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if STATIC_ROOT is None
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

HTTPS = ENVIRONMENT.https is not Https.OFF
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.https is Https.PROXY else None
)
SECURE_HSTS_SECONDS = ENVIRONMENT.hsts_seconds if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.csrf_trusted_origins)
SILENCED_SYSTEM_CHECKS = [
    "security.W021",  # preloading HSTS is for the owner of the whole domain to decide
]

LOGGING = logging_settings(ENVIRONMENT.log_format, ENVIRONMENT.log_level)

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

STRIPE_API_KEY = ENVIRONMENT.stripe_api_key
STRIPE_WEBHOOK_SECRET = ENVIRONMENT.stripe_webhook_secret
STRIPE_BASE_URL = ENVIRONMENT.stripe_base_url

PGHISTORY_CONTEXT_FIELD = ContextJSONField()
PGHISTORY_OBJ_FIELD = ObjForeignKey(related_name="history")
PGHISTORY_MIDDLEWARE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
PGHISTORY_ADMIN_MODEL = "pghistory.MiddlewareEvents"

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "metering.api.problems.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Apportion",
    "VERSION": "1",
    "DESCRIPTION": (
        "Usage, cost and charges of language models. Amounts and quantities that may have decimals"
        " are strings, `*_minor` are whole minor units of the currency; instants are UTC, spans"
        " half-open. Errors are `application/problem+json` with a stable `type`."
    ),
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "metering.api.schema.add_usage",
        "metering.api.outcome_schema.add_outcomes",
        "metering.api.drop_in_schema.add_drop_ins",
    ],
    "TAGS": [
        {"name": "ingest", "description": "Programs report usage: keys of scope ingest."},
        {"name": "portal", "description": "One tenant reads its own: keys of scope portal."},
        {
            "name": "finance",
            "description": "The company's books, to read: keys of scope finance, or people with"
            " the right. Approving is for people, never for keys.",
        },
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

CELERY_BROKER_URL = broker_url(REDIS_URL)
CELERY_TIMEZONE = "UTC"
WORK_LEASE_SECONDS = ENVIRONMENT.work_lease_seconds
