"""Which formats a provider's bill may come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from allocation.bills import delimited, openai_costs
from allocation.bills.reading import Reading, Terms


class Format(NamedTuple):
    """One format: does it look like this, and what does it say."""

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[[bytes, Terms], Reading]


FORMATS: Final[Mapping[str, Format]] = {
    module.NAME: Format(module.NAME, module.recognises, module.read)
    for module in (openai_costs, delimited)
}


class UnknownFormat(ValueError):
    """No format of that name, or none that fits the bytes."""


def format_named(name: str) -> Format:
    """Raises `UnknownFormat` with the names that there are."""
    found = FORMATS.get(name)
    if found is None:
        raise UnknownFormat(f"there is no bill format {name!r}; there are {', '.join(FORMATS)}")
    return found


def recognise(raw: bytes) -> Format:
    """The format that the bytes look like. Raises `UnknownFormat`."""
    for candidate in FORMATS.values():
        if candidate.recognises(raw):
            return candidate
    raise UnknownFormat(
        f"the file looks like no known bill; say which it is with a format: {', '.join(FORMATS)}"
    )
