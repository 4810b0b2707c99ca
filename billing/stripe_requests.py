"""Calls that make something at Stripe, each with the effect of one however often it is tried.

The intent is committed before the call; the call itself is outside of any transaction. Its answer
is committed with what is written next, which is the intent of the next call or the end: a process
that is killed before has not heard the answer, whether or not it came. Who finds a call that was
sent and not answered looks first whether its effect is there, and else sends the same parameters
with the same idempotency key. A key whose answer is kept as a failure is given up for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic_ns
from typing import Any, Final, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from billing.models import StripePush, StripeRequest
from billing.stripe_gateway import (
    Purpose,
    StripeFailed,
    StripeGateway,
    StripeRefused,
    StripeUnavailable,
)

LEASE: Final = timedelta(minutes=10)
"""Longer than any one call with its repetitions; renewed by each step."""

_TRIES: Final = 3
_State = StripeRequest.State


class LeaseLost(RuntimeError):
    """Another has taken the push over."""


class Clock:
    """The time of a piece of work that began at `begun_at`: that, and what has passed since."""

    def __init__(self, begun_at: datetime) -> None:
        self._begun_at = begun_at
        self._origin = monotonic_ns()

    def now(self) -> datetime:
        return self._begun_at + timedelta(microseconds=(monotonic_ns() - self._origin) // 1000)


@dataclass(slots=True)
class Lease:
    """One push, held by who has its latest fence; and what waits to be written of it."""

    push_id: int
    fence: int
    clock: Clock
    _told: dict[str, object] = field(default_factory=dict)
    _answers: list[tuple[int, dict[str, object]]] = field(default_factory=list)

    @classmethod
    def take(cls, push_id: int, clock: Clock) -> Lease | None:
        """The push for oneself, or nothing while another works on it. Commits by itself."""
        now = clock.now()
        with transaction.atomic(durable=True):
            push = StripePush.objects.select_for_update().get(pk=push_id)
            if push.state == StripePush.State.FINALIZED:
                return None
            if push.lease_until is not None and push.lease_until > now:
                return None
            push.fence += 1
            push.lease_until = now + LEASE
            push.save(update_fields=["fence", "lease_until"])
            return cls(push_id, push.fence, clock)

    def tell(self, **told: object) -> None:
        """Have this written down of the push with its next step."""
        self._told |= told

    def answered(self, request: StripeRequest, object_id: str, request_id: str) -> None:
        """Have the answer to a request written down with the next step."""
        fields = {
            "state": _State.CONFIRMED,
            "object_id": object_id,
            "request_id": request_id,
            "answered_at": self.clock.now(),
        }
        self._answers.append((request.pk, fields))

    @contextmanager
    def step(self, **told: object) -> Iterator[None]:
        """Commit what the block writes, and with it what waits and what is told of the push, its
        lease renewed. Raises `LeaseLost`."""
        with transaction.atomic(durable=True):
            fields = {"lease_until": self.clock.now() + LEASE, **self._told, **told}
            if not self._held().update(**fields):
                raise LeaseLost(f"another process has taken push {self.push_id} over")
            for request, answer in self._answers:
                rows = StripeRequest.objects.filter(pk=request)
                rows.exclude(state=_State.CONFIRMED).update(**answer)
            yield
        self._told.clear()
        self._answers.clear()

    def give_back(self) -> None:
        """Let others have it at once, what waits written down."""
        try:
            with self.step(lease_until=None):
                pass
        except LeaseLost:
            return

    def let_go(self) -> None:
        """Let others have it at once. What waits is forgotten, for it may be what failed; they look
        it up."""
        self._held().update(lease_until=None)

    def _held(self) -> QuerySet[StripePush]:
        return StripePush.objects.filter(
            ~Q(state=StripePush.State.FINALIZED), pk=self.push_id, fence=self.fence
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to be made. `stem` is its idempotency key but for the number of the try;
    `look_first` is set where it may be there although nothing of it is known here, `shared` where
    pushes of several invoices may ask for it."""

    invoice_id: int
    purpose: Purpose
    stem: str
    params: dict[str, Any]
    look_first: bool = False
    shared: bool = False


class Made(NamedTuple):
    """The id of what was asked for, and whether this call was the one that made it: then what
    Stripe answered, too."""

    id: str
    new: bool
    content: Mapping[str, Any] | None = None


def perform(
    ask: Ask, *, gateway: StripeGateway, lease: Lease, find: Callable[[StripeRequest], str | None]
) -> Made:
    """Have it made once. `find` looks for what an earlier try may have made.

    What an earlier push intended is sent as it was intended; if Stripe refuses that, and something
    else is asked for by now (the customer is another), that is tried next.

    Raises `StripeUnavailable`, `StripeRefused`, `StripeNotConfigured`, `LeaseLost`.
    """
    for _ in range(_TRIES):
        request, is_new = _intend(ask, lease)
        if request.state == _State.CONFIRMED:
            return Made(request.object_id, new=False)
        if not (is_new and request.state == _State.SENT):
            if ask.look_first or request.state == _State.SENT or request.attempt > 1:
                found = find(request)
                if found is not None:
                    return Made(_confirm(ask, request, (found, ""), lease), new=False)
            _mark_sent(request, lease)
        try:
            answer = gateway.send(ask.purpose, request.params, request.key)
        except StripeFailed as failed:
            _fail(request, failed, lease)
        except StripeRefused as refused:
            _fail(request, refused, lease)
            if request.params == ask.params:
                raise
        else:
            made = _confirm(ask, request, (answer.id, answer.request_id), lease)
            return Made(made, new=True, content=answer.content if made == answer.id else None)
    raise StripeUnavailable(f"Stripe failed {_TRIES} times to make the {ask.purpose}; try later")


def _intend(ask: Ask, lease: Lease) -> tuple[StripeRequest, bool]:
    """The row of the try that is under way, or else of the next one, with its parameters; and
    whether it is new. A first try that need not look before it is sent counts as sent from here
    on: to be found later it need not have been."""
    with lease.step():
        last = StripeRequest.objects.filter(stem=ask.stem).order_by("attempt").last()
        if last is not None and last.state != _State.FAILED:
            return last, False
        attempt = 1 if last is None else last.attempt + 1
        now = lease.clock.now()
        at_once = attempt == 1 and not ask.look_first
        new = StripeRequest(
            invoice_id=ask.invoice_id,
            purpose=ask.purpose,
            stem=ask.stem,
            attempt=attempt,
            key=f"{ask.stem}-{attempt}",
            params=ask.params,
            intended_at=now,
            state=_State.SENT if at_once else _State.INTENDED,
            sent_at=now if at_once else None,
        )
        if not ask.shared:
            new.save(force_insert=True)
            return new, True
        try:
            with transaction.atomic():
                new.save(force_insert=True)
                return new, True
        except IntegrityError:  # another push intends the same
            return StripeRequest.objects.get(stem=ask.stem, attempt=attempt), False


def _mark_sent(request: StripeRequest, lease: Lease) -> None:
    if request.state == _State.SENT:
        return
    with lease.step():
        StripeRequest.objects.filter(pk=request.pk, state=_State.INTENDED).update(
            state=_State.SENT, sent_at=lease.clock.now()
        )


def _confirm(ask: Ask, request: StripeRequest, made: tuple[str, str], lease: Lease) -> str:
    """Keep the ids of what was made and of the call that made it. What is this push's own waits for
    the next step; of what it shares, what another push has kept before it holds."""
    lease.answered(request, *made)
    if not ask.shared:
        return made[0]
    with lease.step():
        return StripeRequest.objects.get(pk=request.pk).object_id


def _fail(request: StripeRequest, error: Exception, lease: Lease) -> None:
    with lease.step():
        StripeRequest.objects.filter(pk=request.pk, state=_State.SENT).update(
            state=_State.FAILED, problem=str(error), answered_at=lease.clock.now()
        )
