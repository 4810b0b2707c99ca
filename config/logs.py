"""The log: one line an occurrence, on stderr, as JSON or plain.

What is written is what the code says in its messages: no request bodies, no headers, no query
strings, no variables of a traceback's frames. Django's own handler that mails whole requests to
administrators is left out.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from config.environment import LogFormat, LogLevel


class JsonLine(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class PlainLine(logging.Formatter):
    """For people: the message on one line, a traceback below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def logging_settings(log_format: LogFormat, level: LogLevel) -> dict[str, Any]:
    """Django's LOGGING."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonLine},
            "plain": {
                "()": PlainLine,
                "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format.value}},
        "root": {"handlers": ["stderr"], "level": level.value},
        "loggers": {
            "django": {"handlers": [], "level": level.value, "propagate": True},
            "django.server": {"handlers": [], "level": level.value, "propagate": True},
            # at DEBUG it would write whole statements
            "django.db.backends": {"level": "INFO"},
            # at INFO these would write addresses with all that is asked for
            **{name: {"level": "WARNING"} for name in ("stripe", "httpx")},
        },
    }
