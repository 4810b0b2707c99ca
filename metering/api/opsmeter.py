"""Opsmeter's ingest endpoints, so that its clients work against us by another base URL.

Refusals speak Opsmeter's dialect: the fields that its clients read (`ok`, `reason`,
`telemetryPaused`, …) beside the status. A workspace is the key's source (with a tenant's key: that
tenant's part of it). There are no plan limits here: a limit of 0 is none, as its clients ask for
`limit > 0` first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import wraps
from http import HTTPStatus
from typing import Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.authentication import key_of, sender_of
from metering.api.bodies import BodyRefused, read_body
from metering.api.dialects import NOT_NOW, Refusal, not_now, speakers
from metering.api_keys import KeyFacts, KeyRefused
from metering.budgets import of_sender, standing
from metering.demo_calls import demo_calls
from metering.dispositions import TryOuts, uncount
from metering.domain.budgets import Standing
from metering.domain.money import plain
from metering.domain.periods import Month, Period
from metering.domain.tenancy import within_tenant
from metering.domain.usage import DataMode, Rejection, UsageEvent
from metering.formats import opsmeter
from metering.ingestion import Books, ingest
from metering.outcomes import Outcome
from metering.small_intake import Sent, admitted, take
from metering.source_usage import source_usage

MAX_BODY: Final = 1_000_000
PLAN: Final = "self_hosted"
CURRENCY: Final = "USD"
"""Opsmeter reports spend in US dollars; usage that is priced in another currency is left out."""
SCOPES: Final = ("mine", "workspace")

_STATE: Final = {
    "planTier": PLAN,
    "telemetryPaused": False,
    "providerCallsContinue": True,
    "isPlanLimitReached": False,
    "budgetWarning": False,
    "budgetExceeded": False,
    "planLimitRequests": 0,
    "freeLimitRemainingRequests": 0,
}
_STATUSES: Final = {"rejected": 400, "conflict": 409}
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode

Speaking = Callable[[HttpRequest, KeyFacts], HttpResponse]


def _said(status: int, **members: object) -> HttpResponse:
    return HttpResponse(_encode(members), status=status, content_type="application/json")


def refused(refusal: Refusal) -> HttpResponse:
    """That nothing was taken, as Opsmeter's clients read it."""
    status, reason, message = refusal
    return _said(status, ok=False, **_STATE, warnings=[], reason=reason, message=message)


def refused_key(error: KeyRefused) -> HttpResponse:
    """That the key is not good for it."""
    return refused(Refusal(error.status, error.reason, error.detail))


def _say(_: HttpRequest, refusal: Refusal) -> HttpResponse:
    return refused(refusal)


def _endpoint(
    method: str, whose: Callable[[HttpRequest, str], KeyFacts] = key_of
) -> Callable[[Speaking], Callable[[HttpRequest], HttpResponse]]:
    """A view for one method and a key that ingests; what goes wrong is said in the dialect."""

    def decorate(answer: Speaking) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @wraps(answer)
        def view(request: HttpRequest) -> HttpResponse:
            if request.method != method:
                takes = f"this endpoint takes {method}"
                response = refused(Refusal(405, "method_not_allowed", takes))
                response["Allow"] = method
                return response
            try:
                return answer(request, whose(request, "ingest"))
            except KeyRefused as error:
                return refused_key(error)
            except BodyRefused as error:
                reason = error.type.replace("-", "_")
                return refused(Refusal(error.status, reason, error.detail))
            except NOT_NOW as error:
                return not_now(error, refused)

        speakers[view] = _say
        return view

    return decorate


@_endpoint("POST", sender_of)
def llm_request(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """One call. A resend is answered like the first report, with a warning that says so."""
    kind = request.content_type or ""
    if not is_json(kind):
        detail = f"{kind!r:.80} is not understood; send application/json"
        raise BodyRefused(415, "unsupported-media-type", detail)
    now = datetime.now(UTC)
    item = report_of(read_body(request, limit=MAX_BODY), key, now)
    (outcome,) = take(Sent(key, [item]))
    status, body = told(item, outcome)
    return HttpResponse(body, status=status, content_type="application/json")


def is_json(kind: str) -> bool:
    """Whether a body of this media type may be JSON: it says so, or says nothing of it."""
    named = kind.partition(";")[0].strip().lower()
    return named in _MAY_BE_JSON or named.endswith(("/json", "+json"))


_MAY_BE_JSON: Final = ("", "text/plain", "application/octet-stream")


def report_of(body: bytes, key: KeyFacts, now: datetime) -> UsageEvent | Rejection:
    """The call as sent with this key: of its source, and of its tenant if it has one."""
    item = opsmeter.parse(body, place="body", source=_source(key), received_at=now)
    return item if key.tenant is None else within_tenant(item, key.tenant)


def told(item: UsageEvent | Rejection, outcome: Outcome) -> tuple[int, bytes]:
    """The status and the body that say what became of a call."""
    status = _STATUSES.get(outcome.outcome, 200)
    if status == HTTPStatus.OK:
        taken = _encode(
            {"ok": True, **_STATE, "reason": None, "warnings": _warnings(item, outcome)}
        )
        return status, taken
    reason = outcome.reason or outcome.outcome
    return status, refused(Refusal(status, reason, outcome.message or "")).content


def _warnings(item: UsageEvent | Rejection, outcome: Outcome) -> list[str]:
    warnings = []
    if outcome.outcome == "duplicate":
        warnings.append("duplicate: this call was reported before and is not counted again")
        if isinstance(item, UsageEvent) and item.data_mode != "real":
            warnings.append(
                f"if the {item.data_mode} data was deleted meanwhile, this call stays uncounted;"
                " a new externalRequestId makes it a new one"
            )
    if isinstance(item, UsageEvent) and item.usage_quality == "inconsistent":
        warnings.append("totalTokens is not inputTokens + outputTokens")
    return warnings


@_endpoint("POST")
def demo(request: HttpRequest, key: KeyFacts) -> HttpResponse:  # noqa: ARG001 - the body says nothing
    """A day of made-up calls, marked as demo data."""
    now = datetime.now(UTC)
    calls = demo_calls(_source(key), now=now, tenant=key.tenant)
    with admitted(key, now):
        outcomes = ingest(calls, now=now, books=Books.current())
    made = sum(outcome.outcome == "accepted" for outcome in outcomes)
    return _said(200, ok=True, inserted=made, dataMode="demo", environment="dev")


@_endpoint("DELETE")
def demo_data(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """Let the workspace's demo data count no longer."""
    return _clear(request, key, "demo")


@_endpoint("DELETE")
def test_data(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """Let the workspace's test data count no longer."""
    return _clear(request, key, "test")


def _clear(request: HttpRequest, key: KeyFacts, data_mode: DataMode) -> HttpResponse:
    """Both scopes are the key's own source: who of its users sent what is not known to a key."""
    scope = request.GET.get("scope", SCOPES[0])
    if scope not in SCOPES:
        said = f"scope is {' or '.join(SCOPES)}, not {scope!r:.80}"
        return refused(Refusal(400, "invalid_scope", said))
    found = uncount(
        TryOuts(_source(key), data_mode, key.tenant),
        reason=f"{data_mode} data was deleted (scope {scope})",
        author=f"API key {key.id}",
        now=datetime.now(UTC),
    )
    kept = [
        {"month": str(kept.month), "rows": kept.events, "reason": kept.reason}
        for kept in found.kept
    ]
    if kept and not found.events:
        reasons = "; ".join(each.reason for each in found.kept)
        return refused(Refusal(409, "month_closed", reasons))
    return _said(200, ok=True, deleted=found.events, dataMode=data_mode, scope=scope, retained=kept)


@_endpoint("GET")
def workspace_status(request: HttpRequest, key: KeyFacts) -> HttpResponse:  # noqa: ARG001 - a key is all it asks
    """The workspace's calls and spend of the UTC day and month, and where its budget stands.

    With a budget, the month's spend is what counts against it: a tenant's whatever it came
    through, or everybody's. Without one the limit is 0, which clients take for none; so is the
    day's.
    """
    now = datetime.now(UTC)
    month = Month.of(now).period
    day = Period.of_day(now.date())
    source = _source(key)
    of_month = source_usage(source, month, currency=CURRENCY, tenant=key.tenant)
    of_day = source_usage(source, day, currency=CURRENCY, tenant=key.tenant)
    state = {name: _STATE[name] for name in ("isPlanLimitReached", "telemetryPaused")}
    budget = of_sender(source, key.tenant, Month.of(now))
    stands = None if budget is None else standing(budget, now)
    return _said(
        200,
        workspaceId=source,
        **state,
        providerCallsContinue=True,
        isBudgetWarning=stands is not None and stands.is_warning,
        isBudgetExceeded=stands is not None and stands.is_exceeded,
        severity=_severity(stands),
        warnings=[] if stands is None else _not_told(stands),
        plan={
            "planTier": PLAN,
            "planName": "Self-hosted",
            "currentRequestCount": of_month.requests,
            "planRequestLimit": 0,
            "remainingRequestCount": 0,
            **state,
            **_span(month),
        },
        budget={
            "warningThresholdRatio": 0 if stands is None else stands.budget.warn_share,
            "daily": _budget("daily", of_day.cost, day),
            "monthly": _budget("monthly", of_month.cost, month, stands),
        },
    )


def _budget(
    name: str, spend: Decimal, period: Period, stands: Standing | None = None
) -> dict[str, object]:
    in_dollars = stands is not None and stands.budget.currency == CURRENCY
    return {
        "limitUsd": stands.budget.amount if stands and in_dollars else 0,
        "currentSpendUsd": stands.spending.known if stands and in_dollars else spend,
        "utilizationRatio": 0 if stands is None else stands.used,
        "isWarning": stands is not None and stands.is_warning,
        "isExceeded": stands is not None and stands.is_exceeded,
        "period": name,
        **_span(period),
    }


def _severity(stands: Standing | None) -> str:
    """Opsmeter publishes no list of its words for it."""
    if stands is None or not stands.is_warning:
        return "ok"
    return "critical" if stands.is_exceeded else "warning"


def _not_told(stands: Standing) -> list[str]:
    """What Opsmeter's figures have no place for: spend that is not known, other currencies."""
    spending, currency = stands.spending, stands.budget.currency
    said = []
    if spending.unpriced_calls or spending.unpriced_tokens:
        said.append(
            f"unpriced: {spending.unpriced_calls} calls with {spending.unpriced_tokens} tokens have"
            " no price yet; what they cost is not in the spend"
        )
    said += [
        f"currency: {plain(amount)} {other} were spent that are not held against the budget"
        for other, amount in sorted(spending.elsewhere.items())
    ]
    if currency != CURRENCY:
        said.append(
            f"currency: the budget is in {currency}; its ratio and flags are of that, the amounts"
            f" in {CURRENCY} are not"
        )
    return said


def _span(period: Period) -> dict[str, object]:
    return {"periodStart": period.start, "periodEnd": period.end}


def _source(key: KeyFacts) -> str:
    assert key.source is not None, "a key that sends has a source"
    return key.source
