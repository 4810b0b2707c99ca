"""What a LangSmith run says of the model that ran and of its usage: in its outputs as a provider's
own answer, as LangChain's generations, or in `usage_metadata`, wherever that stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from metering.providers.counts import UnreadableUsage
from metering.providers.dialects import read_usage

DIALECT: Final = "langsmith"

_RUNS_OWN: Final = (
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("prompt_token_details", "completion_token_details"),
)
_NOTHING: Final[Mapping[str, Any]] = {}


def usage_fields(
    outputs: Mapping[str, Any], metadata: Mapping[str, Any], run: Mapping[str, Any]
) -> dict[str, Any]:
    """The native fields that the usage of a run comes to; empty where it tells none.

    `run` is what stands on the run itself, as exports have it. Counts that are all zero tell
    nothing: wrappers write them where they found no usage, and no answer takes no tokens. Raises
    `UnreadableUsage` for counts that are none.
    """
    for usage in (*_summed_up(outputs), _mapping(metadata.get("usage_metadata")), _own(run)):
        fields = _fields(usage, DIALECT)
        if fields:
            return fields
    for usage in _providers_own(outputs):
        fields = _fields(usage, None)
        if fields:
            return fields
    return {}


def executed_model(outputs: Mapping[str, Any]) -> str | None:
    """The model that the answer names."""
    for holder in (outputs, *_answers(outputs), _mapping(outputs.get("llm_output"))):
        for key in ("model", "model_name", "model_id", "modelVersion", "model_version"):
            named = holder.get(key)
            if isinstance(named, str) and named.strip():
                return named.strip()[:200]
    return None


def answer_ids(outputs: Mapping[str, Any]) -> Iterator[object]:
    """What may be the provider's id of the answer."""
    for holder in (outputs, *_answers(outputs)):
        for key in ("id", "response_id", "responseId"):
            yield holder.get(key)


def _fields(usage: Mapping[str, Any], declared: str | None) -> dict[str, Any]:
    counts = _figures(usage)
    if not counts or not _tells(counts):
        return {}
    try:
        dialect, _ = read_usage(counts, declared=declared)
    except UnreadableUsage:
        if declared is None:
            return {}  # it was only taken for usage by its place
        raise
    return {"usage": counts, "usage_format": dialect}


def _tells(usage: Mapping[str, Any]) -> bool:
    return any(
        _tells(value) if isinstance(value, Mapping) else bool(value) for value in usage.values()
    )


def _figures(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The object without costs, which nobody believes, and with whole numbers as such."""
    figures: dict[str, Any] = {}
    for name, value in usage.items():
        if value is None or "cost" in name:
            continue
        if isinstance(value, Mapping):
            figures[name] = _figures(value)
        elif isinstance(value, Decimal) and value.is_finite() and value == value.to_integral():
            figures[name] = int(value) if value.adjusted() < 20 else str(value)[:40]  # noqa: PLR2004
        elif isinstance(value, Decimal):
            figures[name] = str(value)[:40]
        else:
            figures[name] = value
    return figures


def _own(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _RUNS_OWN if run.get(name) is not None}


def _summed_up(outputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The places of `usage_metadata` in outputs, the surest first. Several prompts that one run
    answered have one each."""
    yield _mapping(outputs.get("usage_metadata"))
    for value in outputs.values():
        for message in value if isinstance(value, list) else (value,):
            told = _usage_of(message)
            if told:
                yield told
    total: dict[str, Any] = {}
    for prompt in _prompts(outputs):
        each = (_usage_of(_mapping(made).get("message")) for made in prompt)
        total = _added(total, next(filter(None, each), _NOTHING))
    yield total


def _usage_of(message: object) -> Mapping[str, Any]:
    holder = _mapping(message)
    return _mapping(holder.get("usage_metadata")) or _mapping(
        _mapping(holder.get("kwargs")).get("usage_metadata")
    )


def _prompts(outputs: Mapping[str, Any]) -> list[list[Any]]:
    """LangChain's generations: for each prompt, one or several."""
    generations = outputs.get("generations")
    if not isinstance(generations, list):
        return []
    if any(isinstance(each, list) for each in generations):
        return [each for each in generations if isinstance(each, list)]
    return [generations]


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(one)
    for name, value in other.items():
        known = found.get(name)
        if isinstance(value, Mapping):
            found[name] = _added(_mapping(known), value)
        elif isinstance(value, int) and isinstance(known, int):
            found[name] = known + value
        else:
            found[name] = value
    return found


def _providers_own(outputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    llm_output = _mapping(outputs.get("llm_output"))
    for holder, keys in (
        (outputs, ("usage", "usageMetadata", "token_usage")),
        (llm_output, ("token_usage", "tokenUsage", "usage", "usage_metadata")),
    ):
        for key in keys:
            yield _mapping(holder.get(key))
    for answer in _answers(outputs):
        for key in ("usage", "token_usage", "usage_metadata"):
            yield _mapping(answer.get(key))


def _answers(outputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What providers said beside the text: LangChain's `response_metadata`, of each answer."""
    messages: list[Mapping[str, Any]] = [
        value for value in outputs.values() if isinstance(value, dict)
    ]
    messages += [_mapping(_mapping(m).get("message")) for p in _prompts(outputs) for m in p]
    found = []
    for message in messages:
        inner = _mapping(message.get("kwargs")) or message
        found += [_mapping(inner.get("response_metadata")), inner]
    return [each for each in found if each]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING
