"""The made-up month, call by call: what each application reports, and what the provider saw."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

from billing.demo import planted
from billing.demo.size import EVENTS
from billing.demo.traffic import (
    ENDPOINT,
    ENDPOINTS,
    LONG_PROMPT,
    REUSED_PREFIX,
    TENANT,
    TENANTS,
    Choice,
    Mix,
    calls_by_hour,
    length,
    prompt_version,
    stream,
    user_of,
)
from metering.domain.attribution import PROJECT_TAG

SEED: Final = 202610

Payload = dict[str, Any]

SNAPSHOTS: Final = {
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-6-sol": "gpt-6-sol-2026-06-18",
    "gpt-5.6-sol": "gpt-5.6-sol-2026-03-05",
}
"""The dated name that the provider reports as executed, and bills, for the name it is asked by."""

FALLBACKS: Final = {
    "gpt-4.1-mini": "gpt-5-nano",
    "gpt-6-sol": "gpt-5.6-sol",
    "claude-sonnet-5-5": "claude-sonnet-4-6",
}
CACHELESS: Final = frozenset({"text-embedding-3-small", "llama-3.3-70b-instruct"})
REASONING: Final = frozenset({"gpt-6-sol", "gpt-5-mini", "gpt-5.5-cyber"})
REVIEWER: Final = "svc-reviewer"
INDEXER: Final = "svc-indexer"
"""Service accounts, as the applications name them."""

CALLERS: Final = Choice([("anonymous", 3), ("unknown", 2), ("person", 95)])
PARTICULARS: Final = {
    "search.embed": Choice([("shared", 1)]),
    "support.triage": Choice([("batch", 25), ("plain", 71), ("test", 4)]),
    "agents.research": Choice(
        [("named_cost_centre", 30), ("tier", 20), ("plain", 20), ("tool", 30)]
    ),
}
ORDINARY: Final = Choice([("plain", 96), ("test", 4)])
FATES: Final = Choice(
    [
        ("failure", 120),
        ("cut_off", 60),
        ("retry", 110),
        ("second retry", 40),
        ("fallback", 120),
        ("caller_cache", 250),
        ("conflict", 5),
        ("plain", 9295),
    ]
)
"""Out of ten thousand ordinary calls."""

DISCOUNTED_FROM_DAY: Final = 15
"""From this day on the applications use the providers' cheaper ways: batches and the flex tier."""

EUROPEAN: Final = 0.3
WRITES_CACHE: Final = 0.85
WRITES_CACHE_FOR_AN_HOUR: Final = 0.95
LONG_CONTEXT: Final = 0.97
"""Where the parts of the calls that do so begin, of numbers drawn from [0, 1)."""

RESEND_EVERY: Final = 211
"""Every 211th request is reported again, word for word, at the end of its hour."""

LONG_CONTEXT_TOKENS: Final = 272_000
"""Above this, a call of gpt-6-sol is priced by the upper tier."""


CLOCK: Final = tuple(f"{minute:02d}:{second:02d}" for minute in range(60) for second in range(60))
"""How the seconds of an hour are written."""

UNSEEN: Final = frozenset({"resend", "conflict", "malformed", "caller_cache"})
"""Kinds of line under which there is no call of the provider, so nothing to pay."""


class Call(NamedTuple):
    """One line of the usage file and what the provider knows of it.

    `kind` names why the call is there (`plain`, `retry`, `failure`, `resend`, …). `model` is what
    really executed, under the name on the bill; `billed` is false where the provider charges
    nothing (its refusals, an operator's own server), or never saw a call (`UNSEEN`).
    """

    payload: Payload
    kind: str
    day: int
    project: str
    model: str
    billed: bool


def provider_of(model: str) -> str:
    if model.startswith("claude"):
        return "anthropic"
    return "vllm" if model.startswith("llama") else "openai"


def calls(events: int = EVENTS, seed: int = SEED) -> Iterator[Call]:
    """The month's calls in the order in which they are reported, about `events` of them."""
    rng = stream(seed)
    held: list[Call] = []
    number = 0
    for at, count in calls_by_hour(events):
        hour = f"{at:%Y-%m-%dT%H}"
        for _ in range(count):
            number += 1
            for call in _request(rng, number, hour, at.day):
                yield call
                if number % RESEND_EVERY == 0 and call.kind != "conflict":
                    held.append(call._replace(kind="resend", billed=False))
        yield from held
        held.clear()
    yield from _malformed()


def _request(rng: Random, number: int, hour: str, day: int) -> tuple[Call, ...]:
    """One logical request, in the hour of that day: its single call, or all its attempts."""
    draw = rng.random
    second, millisecond = divmod(int(draw() * 3_600_000), 1000)
    tag = ENDPOINT.at(draw())
    mix = ENDPOINTS[tag]
    model = mix.models.at(draw())
    payload: Payload = {
        "externalRequestId": f"req_{number:07d}",
        "provider": provider_of(model),
        "model": model,
        "occurredAt": f"{hour}:{CLOCK[second]}.{millisecond:03d}Z",
    }
    _count_tokens(payload, mix, rng)
    payload["endpointTag"] = tag
    payload["promptVersion"] = prompt_version(tag, day)
    tenant = TENANT.at(draw())
    payload["tenantId"] = tenant
    _name_user(payload, tag, tenant, draw())
    payload["latencyMs"] = 120 + int(draw() * 900) + 9 * payload["outputTokens"]
    payload["tags"] = {
        PROJECT_TAG: planted.WEB_PROJECT,
        "region": "eu" if draw() < EUROPEAN else "us",
    }
    kind = _particular(payload, tag, day, draw())
    call = _seen_by_provider(payload, kind, day)
    fate = draw()
    return _fated(call, fate) if call.kind == "plain" else (call,)


def _count_tokens(payload: Payload, mix: Mix, rng: Random) -> None:
    """Token counts by the endpoint's lengths; the input holds the cached and cache-written."""
    draw = rng.random
    model = payload["model"]
    sent = max(1, length(mix.input, draw()))
    said = max(1, length(mix.output, draw()))
    cached, fresh = draw(), draw()
    if model == "gpt-6-sol" and mix.input is LONG_PROMPT and fresh > LONG_CONTEXT:
        sent += LONG_CONTEXT_TOKENS
    payload["inputTokens"] = sent
    if model == "text-embedding-3-small":
        said = 0
    elif model in REASONING:
        payload["reasoningTokens"] = said
        said *= 2
    payload["outputTokens"] = said
    if model in CACHELESS:
        return
    if mix.input is LONG_PROMPT:
        reused = sent * length(REUSED_PREFIX, cached) // 1000
    else:
        reused = int(sent * cached) if fresh * 100 < mix.cached_percent else 0
    payload["cachedInputTokens"] = reused - reused % 128
    if model.startswith("claude") and fresh > WRITES_CACHE:
        written = (sent - reused) // 2
        payload["cacheWriteTokens"] = written
        if fresh > WRITES_CACHE_FOR_AN_HOUR:
            payload["cacheWrite1hTokens"] = written


def _name_user(payload: Payload, tag: str, tenant: str, u: float) -> None:
    """People, service accounts, anonymous and unknown callers."""
    caller = CALLERS.at(u)
    if tag == "code.review":
        payload["userId"] = REVIEWER
        payload["agentHash"] = "a9f1c0de"
    elif caller == "anonymous":
        payload["anonId"] = f"anon-{int(u * 1e6):05d}"
        payload["ipHash"] = f"{int(u * 1e7):08x}"
    elif caller == "person":
        payload["userId"] = user_of(tenant, u * u)


def _particular(payload: Payload, tag: str, day: int, u: float) -> str:
    """What makes some calls particular: batches, tiers, shares, tools, a named cost centre."""
    kind = PARTICULARS.get(tag, ORDINARY).at(u)
    tags = payload["tags"]
    if kind in ("tier", "tool") and payload["provider"] != "openai":
        return "plain"
    if kind in ("tier", "batch") and day < DISCOUNTED_FROM_DAY:
        return "plain"
    match kind:
        case "shared":
            payload["userId"] = INDEXER
            tags[PROJECT_TAG] = planted.JOBS_PROJECT
            del payload["tenantId"]
            _share(payload, 2 + int(u * 3), int(u * 37))
        case "batch":
            payload["batch"] = True
            tags[PROJECT_TAG] = planted.JOBS_PROJECT
        case "named_cost_centre":
            payload["costCenter"] = "cc-research"
        case "tier":
            payload["serviceTier"] = "flex"
        case "tool":
            payload["units"] = {"web_search": 1 + int(u * 10) % 3}
        case "test":
            payload["dataMode"] = "test"
            payload["environment"] = "staging"
        case _:
            pass
    return kind


def _share(payload: Payload, parts: int, first: int) -> None:
    """Split a batched call among tenants in falling parts; a rest stays with the call's owner."""
    left = payload["inputTokens"]
    shares = []
    for i in range(parts):
        part = left * 45 // 100
        left -= part
        tenant = TENANTS[(first + 7 * i) % len(TENANTS)].key
        shares.append({"tenantId": tenant, "inputTokens": part, "outputTokens": 0})
    payload["shares"] = shares


def _seen_by_provider(payload: Payload, kind: str, day: int) -> Call:
    """The call as the provider saw it: project, executed model, and whether it charges."""
    model: str = payload["model"]
    if payload["provider"] == "anthropic":
        payload["tags"][PROJECT_TAG] = planted.APP_WORKSPACE
    if model == planted.REROUTED_MODEL and day in planted.REROUTED_DAYS:
        executed = planted.REROUTED_TO
    else:
        executed = SNAPSHOTS.get(model, model)
        if executed != model:
            payload["modelExecuted"] = executed
    billed = payload["provider"] != "vllm"
    if model == planted.REFUSED_MODEL and day == planted.REFUSED_DAY:
        kind, billed = "refused", False
        payload["status"] = "error"
        payload["errorCode"] = "content_policy"
    return Call(payload, kind, day, payload["tags"][PROJECT_TAG], executed, billed)


def _fated(call: Call, u: float) -> tuple[Call, ...]:
    """What goes wrong, or is saved, on the way of an ordinary call."""
    payload = call.payload
    fate = FATES.at(u)
    asked = FALLBACKS.get(payload["model"])
    match fate:
        case "failure":
            return (call._replace(payload=_error(payload, "rate_limited", 0), kind=fate),)
        case "cut_off":
            said = payload["outputTokens"] // 2
            return (call._replace(payload=_error(payload, "client_closed", said), kind=fate),)
        case "retry":
            return _attempts(call, 2)
        case "second retry":
            return _attempts(call, 3)
        case "fallback" if asked is not None:
            answered = SNAPSHOTS.get(asked, asked)
            changed = {**payload, "modelExecuted": answered}
            return (call._replace(payload=changed, kind=fate, model=answered),)
        case "caller_cache":
            saved = {**payload, "servedFrom": "caller_cache", "latencyMs": 3}
            return (call._replace(payload=saved, kind=fate, billed=False),)
        case "conflict":
            keyed = {**payload, "eventId": f"evt_{payload['externalRequestId']}"}
            other = {**keyed, "outputTokens": payload["outputTokens"] + 1}
            conflicting = call._replace(payload=other, kind=fate, billed=False)
            return (call._replace(payload=keyed), conflicting)
        case _:
            return (call,)


def _error(payload: Payload, code: str, output_tokens: int) -> Payload:
    """The call as a failure: with nothing used, or with what was used until it broke off."""
    failed = {**payload, "status": "error", "errorCode": code, "outputTokens": output_tokens}
    failed.pop("modelExecuted", None)  # an error does not say which snapshot it came from
    if "reasoningTokens" in failed:
        failed["reasoningTokens"] = min(failed["reasoningTokens"], output_tokens)
    if code == "rate_limited":
        for count in ("inputTokens", "cachedInputTokens", "cacheWriteTokens", "cacheWrite1hTokens"):
            if count in failed:
                failed[count] = 0
    return failed


def _attempts(call: Call, attempts: int) -> tuple[Call, ...]:
    """All but the last attempt fail: the first at once, a second after it has used tokens."""
    tried = []
    for attempt in range(1, attempts):
        code, used = ("rate_limited", 0) if attempt == 1 else ("timeout", 1)
        failed = {**_error(call.payload, code, used), "attempt": attempt}
        tried.append(call._replace(payload=failed, kind="retry"))
    last = {**call.payload, "attempt": attempts}
    return (*tried, call._replace(payload=last, kind="retry"))


def _malformed() -> Iterator[Call]:
    """Lines that are no usage: each is to be rejected by name, beside all the good ones."""
    sound: Payload = {
        "externalRequestId": "req_malformed",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "occurredAt": "2026-10-31T23:59:00.000Z",
        "inputTokens": 10,
        "outputTokens": 1,
    }
    for change in (
        {"surprise": -10},
        {"inputTokens": 10**20},
        {"outputTokens": "many"},
        {"occurredAt": "2031-01-01T00:00:00Z"},
        {"model": None},
    ):
        yield Call({**sound, **change}, "malformed", 31, "", "", billed=False)
