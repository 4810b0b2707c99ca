"""Who, when and why, for every change that is recorded: the context of commands, HTTP and tasks.

The tables and their triggers are `metering.recording`'s; here every way into the product says who
comes. A context is one JSON object in each row of a history:

- `user` (the key of the user) and `by` (the name), once a person is known to act;
- `command` with its arguments, and `account`, who called it on which machine's account;
- `url` and `method` of a request, and `api_key`, the name of the program's key;
- `task` and `task_id` of Celery;
- `reason`, where one was given.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pghistory
from celery import Task
from django.http import HttpRequest
from pghistory import middleware

REASON_HEADER: Final = "X-Reason"
_LONGEST: Final = 500


def of_command(argv: Sequence[str]) -> pghistory.context:
    """The context of a command line (`sys.argv`), to be entered around the command."""
    program, *arguments = argv or ["manage.py"]
    command = " ".join([Path(program).name, *arguments])
    return pghistory.context(command=command[:_LONGEST], account=_account())


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Why, of what is recorded within the block: of that alone, also where a command or a request
    does more after it. Blank is none."""
    given = reason.strip()[:_LONGEST]
    with pghistory.context() as recorded:
        outer = recorded.metadata.get("reason")
        recorded.metadata.update({"reason": given} if given else {})
        try:
            yield
        finally:
            recorded.metadata.pop("reason", None)
            recorded.metadata.update({} if outer is None else {"reason": outer})


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user that no table knows
        return ""


class HistoryMiddleware(middleware.HistoryMiddleware):
    """Requests that may change something: who is logged in, the URL, and the `X-Reason` header."""

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        known: dict[str, Any] = {**super().get_context(request), "method": request.method}
        if known["user"] is not None:
            known["by"] = request.user.get_username()
        reason = request.headers.get(REASON_HEADER, "").strip()
        return known | ({"reason": reason[:_LONGEST]} if reason else {})


class RecordedTask(Task):  # type: ignore[type-arg]
    """A Celery task whose changes name it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with pghistory.context(task=self.name, task_id=self.request.id):
            return super().__call__(*args, **kwargs)
