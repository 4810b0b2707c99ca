"""Django's PostgreSQL backend, which starts the embedded server on the first connection.

Importing the settings starts nothing: only who really connects needs a server.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

from config.embedded import postgres


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError:
            places = settings.ENVIRONMENT.embedded
            if postgres.answers(places):
                raise  # the server is up, so it is this connection that it refuses
            postgres.ensure_running(places)
            return super().get_new_connection(conn_params)
