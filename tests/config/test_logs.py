"""The log is one line an occurrence and tells nothing that was not said."""

from __future__ import annotations

import json
import logging

from django.conf import settings

from config.environment import LogFormat, LogLevel
from config.logs import JsonLine, PlainLine, logging_settings

FORGED = "import of a.csv\nERROR metering: all is lost"


def record(message: str, *, failed: bool = False) -> logging.LogRecord:
    error = ValueError("amount is missing") if failed else None
    given = (ValueError, error, None) if error is not None else None
    return logging.LogRecord("metering", logging.WARNING, __file__, 1, message, (), given)


def test_a_json_line_is_one_line_with_its_traceback() -> None:
    text = JsonLine().format(record(FORGED, failed=True))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "metering", FORGED)
    assert line["time"].endswith("+00:00")
    assert "amount is missing" in line["traceback"]


def test_a_message_cannot_forge_a_line() -> None:
    text = PlainLine("%(levelname)s %(name)s: %(message)s").format(record(FORGED))
    assert text == "WARNING metering: import of a.csv\\nERROR metering: all is lost"


def test_no_request_is_mailed_and_no_statement_written() -> None:
    stated = logging_settings(LogFormat.JSON, LogLevel.DEBUG)
    assert list(stated["handlers"]) == stated["root"]["handlers"] == ["stderr"]
    assert stated["loggers"]["django.db.backends"] == {"level": "INFO"}
    handlers = logging.getLogger("django").handlers
    assert [type(handler).__name__ for handler in handlers] == []
    assert settings.LOGGING["version"] == 1
