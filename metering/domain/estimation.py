"""Estimates of the tokens of a call whose provider reported none: a stream that was cut off, or one
that was not asked for its usage. An estimate is marked as one (`usage_quality` *estimated*).

Texts are counted with OpenAI's own tables, which ship in the tokenizer's package. Other providers'
tables are not published; their texts are counted with the newest of OpenAI's, which is near enough
to say what a call was about, and no more: on recorded calls of plain texts OpenAI's own counts are
met to the token, others' within a quarter where they are a hundred or more. What no body tells
(hidden reasoning, pictures, what a provider's tools put into the prompt) is not in an estimate,
which is then too low. What stands around the texts of a chat (roles, the form
that tools are written in) is counted as OpenAI's cookbook and its users have measured it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

_OLDER: Final = re.compile(
    r"gpt-3\.5|gpt-4(?![\d.o])|text-embedding-(ada|3)|davinci-002|babbage-002"
)
_PER_MESSAGE: Final = 3
_PER_NAME: Final = 1
_ANSWER: Final = 3
"""Every answer is primed with `<|start|>assistant<|message|>`."""
_TOOLS: Final = 9
_TOOLS_WITH_SYSTEM: Final = -4
"""With a system message, the tools need no message of their own."""


_SYSTEM: Final = ("instructions", "system", "systemInstruction", "system_instruction")
"""Where the providers' requests say what goes before all messages."""
_TEXTS: Final = ("text", "content", "parts", "function", "name", "arguments")
"""Where a part of a message says something."""
_CHOSEN: Final = 7
"""Beside the name of the tool that must be called."""


class Estimate(NamedTuple):
    """Tokens in and out, and the table (`o200k_base`) that they were counted with."""

    input_tokens: int
    output_tokens: int
    encoding: str


def estimate(model: str, request: Mapping[str, Any], answered: str) -> Estimate:
    """What the call used: the request's body (a chat, a prompt, an input) and the text that came
    back, as far as it came."""
    return Estimate(
        request_tokens(model, request), text_tokens(model, answered), encoding_of(model)
    )


def encoding_of(model: str) -> str:
    """The table of the model; the newest one where it is not known."""
    return "cl100k_base" if _OLDER.search(model.lower()) else "o200k_base"


def text_tokens(model: str, text: str) -> int:
    """The tokens of a plain text; what looks like a control token in it counts as text."""
    return len(_table(encoding_of(model)).encode_ordinary(text))


def request_tokens(model: str, request: Mapping[str, Any]) -> int:
    """The tokens of a request's body. Pictures and sound are not counted: their tokens hang on
    sizes that a body does not tell. Whatever is in it, nothing is raised."""
    for key in ("messages", "input", "contents"):
        given = request.get(key)
        if isinstance(given, list) and any(isinstance(each, Mapping) for each in given):
            messages = [each for each in given if isinstance(each, Mapping)]
            for system in _SYSTEM:
                if system in request:
                    messages.insert(0, {"role": "system", "content": request[system]})
            return _chat(model, messages, request)
    if isinstance(request.get("input"), str) and "instructions" in request:
        asked = {"role": "user", "content": request["input"]}
        return _chat(
            model, [{"role": "system", "content": request["instructions"]}, asked], request
        )
    texts = ("prompt", "instructions", "input", "query", "documents")
    return sum(_tokens(model, request[key]) for key in texts if key in request)


@cache
def _table(encoding: str) -> Any:
    # Reads every table that ships with it, which takes longer than all else that a command needs.
    from bpe_openai import get_encoding

    return get_encoding(encoding)


def _chat(model: str, messages: Sequence[Mapping[str, Any]], request: Mapping[str, Any]) -> int:
    total = _ANSWER
    for message in messages:
        total += _PER_MESSAGE
        total += _PER_NAME if "name" in message else 0
        total += sum(
            _tokens(model, message[key])
            for key in ("role", "name", "content", "parts", "tool_calls", "function_call")
            if key in message
        )
    tools = [
        tool["function"]
        for tool in _list(request.get("tools"))
        if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping)
    ]
    if tools:
        total += text_tokens(model, _written(tools)) + _TOOLS
        if any(message.get("role") == "system" for message in messages):
            total += _TOOLS_WITH_SYSTEM
    return total + _choice(model, request.get("tool_choice"))


def _choice(model: str, choice: object) -> int:
    if choice == "none":
        return 1
    if isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping):
        return _CHOSEN + text_tokens(model, str(choice["function"].get("name", "")))
    return 0


def _tokens(model: str, content: object) -> int:
    """The tokens of whatever is a text, however deep it stands; a list of numbers is of tokens."""
    match content:
        case str():
            return text_tokens(model, content)
        case bool() | None:
            return 0
        case int():
            return 1
        case Mapping():
            texts = [content[key] for key in _TEXTS if key in content]
            return sum(_tokens(model, text) for text in texts)
        case list():
            return sum(_tokens(model, each) for each in content)
        case _:
            return 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _written(tools: Iterable[Mapping[str, Any]]) -> str:
    """Tools in the form in which a model is told of them, which is TypeScript's."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        if tool.get("description"):
            lines.append(f"// {tool['description']}")
        schema = tool.get("parameters")
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        if isinstance(properties, Mapping) and properties:
            lines += [f"type {tool.get('name')} = (_: {{", *_members(schema, 0), "}) => any;"]
        else:
            lines.append(f"type {tool.get('name')} = () => any;")
        lines.append("")
    return "\n".join([*lines, "} // namespace functions"])


def _members(schema: Any, indent: int) -> list[str]:
    required = _list(schema.get("required"))
    lines = []
    for name, member in schema["properties"].items():
        described = member if isinstance(member, Mapping) else {}
        if described.get("description"):
            lines.append(f"// {described['description']}")
        mark = "" if name in required else "?"
        lines.append(f"{name}{mark}: {_type(described, indent)},")
    return [" " * indent + line for line in lines]


def _type(schema: Mapping[str, Any], indent: int) -> str:
    kind, choices = schema.get("type"), _list(schema.get("enum"))
    if choices:
        quoted = kind == "string"
        return " | ".join(f'"{choice}"' if quoted else str(choice) for choice in choices)
    match kind:
        case "string" | "boolean" | "null":
            return str(kind)
        case "integer" | "number":
            return "number"
        case "array" if isinstance(schema.get("items"), Mapping):
            return f"{_type(schema['items'], indent)}[]"
        case "array":
            return "any[]"
        case "object" if isinstance(schema.get("properties"), Mapping):
            inner = "\n".join(_members(schema, indent + 2))
            return f"{{\n{inner}\n}}"
        case "object":
            return "object"
        case _:
            return "any"
