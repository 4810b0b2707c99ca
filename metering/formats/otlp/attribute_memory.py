"""Attributes that were read before, known again by their bytes.

Of the spans of a program most attributes say what they said in the last: which operation, which
model, for whom. Those are read once, and spans that agree in all of them are *alike*
(`Span.alike`). What each span says for itself (`OF_EACH`: counts, the answer's id, the user) is
read each time, and nothing of it is kept here but how small numbers are written. Nor is anything
kept of an attribute that nobody names (it may be a prompt), but its name.

Remembering cannot be seen from outside: two threads at worst read the same twice. (But an attribute
that names itself twice, which nobody writes, may go by its first name.) There is room for so much;
beyond it a memory starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from metering.formats.genai_names import Meaning
from metering.formats.otlp.spans import OF_EACH, Facts, Picker, Vocabulary, meanings_of_tag

REMEMBERED: Final = 16_384
"""Of each: attributes, names, numbers, and sets of attributes."""
_LONG: Final = 256
"""Bytes of an attribute from which on it is read each time."""
_MOST: Final = 64
"""Attributes of a set that is remembered."""
_NAME: Final = 0x0A
_VALUE: Final = 0x12
_TEXT: Final = 0x0A
"""What stands before an attribute's name, its value, and a text that is its value; all with their
length behind it."""
_SHORT: Final = 0x80
"""Of what is shorter the length is one byte."""
_FRAME: Final = 4
"""Bytes before the text of a value that is one."""
_NUMBER: Final = 8
"""Bytes of a value that is no more than a number, as big as counts are."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Together:
    """What attributes say together, which is not to be changed. The same object stands for the same
    bytes as long as it is remembered, so that it is known by what it is."""

    __slots__ = ("facts", "own")

    def __init__(self, picker: Picker) -> None:
        self.facts: Facts = picker.facts
        self.own: Facts = picker.own


class _InOrder(Exception):
    """The attributes of a span cannot be parted into what is usual and what is of each."""


class Memory:
    """What was read under one vocabulary. `told` reads an attribute: its name and its value."""

    def __init__(self, vocabulary: Vocabulary, told: Callable[[bytes], tuple[str, object]]) -> None:
        self.vocabulary = vocabulary
        self._told = told
        self._known: dict[bytes, bool] = {}
        self._names: dict[bytes, tuple[Meaning, ...]] = {}
        self._numbers: dict[bytes, int] = {}
        self._sets: dict[tuple[bytes, ...], Together] = {}

    def together(self, attributes: Iterable[bytes]) -> Together:
        """What these attributes say."""
        place = tuple(attributes)
        known = self._sets.get(place)
        if known is None:
            known = Together(self._picked(place))
            if len(place) <= _MOST and max(map(len, place), default=0) <= _LONG:
                _remember(self._sets, place, known)
        return known

    def read(self, attributes: Sequence[bytes]) -> tuple[Facts, Facts, Together | None]:
        """What the attributes of a span say: facts, whom it is for, and what it has in common with
        others (`None`: it may say more of its own than `OF_EACH`)."""
        known, names, numbers = self._known.get, self._names.get, self._numbers.get
        usual: list[bytes] = []
        facts: Facts = {}
        own: Facts = {}
        try:
            for attribute in attributes:
                is_usual = known(attribute)
                if is_usual:
                    usual.append(attribute)
                elif is_usual is None:
                    head = attribute[: attribute[1] + 2]
                    meanings = names(head)
                    if meanings is None:
                        meanings = self._learn(attribute, head)
                        usual += [attribute] * (meanings is None)
                    if meanings:
                        written = attribute[len(head) :]
                        value: object = numbers(written)
                        if value is None:
                            value = self._value(attribute, written)
                        for fact, _, is_own in meanings:
                            told = own if is_own else facts
                            if told.setdefault(fact, value) is not value:
                                return self._in_order(attributes)
        except (_InOrder, IndexError):  # (the latter: an attribute without a name)
            return self._in_order(attributes)
        common = self.together(usual)
        return {**common.facts, **facts}, {**common.own, **own}, common

    def _in_order(self, attributes: Sequence[bytes]) -> tuple[Facts, Facts, None]:
        found = self._picked(attributes)
        return found.facts, found.own, None

    def _learn(self, attribute: bytes, head: bytes) -> tuple[Meaning, ...] | None:
        """The meanings of an attribute that says something `OF_EACH`, none of one that says
        nothing; `None` of one that many spans may have. Raises `_InOrder`."""
        name, value = self._told(attribute)
        meanings = self._meanings(name)
        said = [meaning.fact in OF_EACH for meaning in meanings]
        canonical = head[0] == _NAME and head[1] < _SHORT and head[2:] == name.encode()
        if not canonical or (any(said) and not all(said)):
            raise _InOrder
        if all(said):  # (or nobody names it)
            _remember(self._names, head, meanings)
            return meanings
        if len(attribute) > _LONG:
            raise _InOrder
        says = value is not None and value != ""
        _remember(self._known, attribute, says)
        return None if says else ()

    def _value(self, attribute: bytes, written: bytes) -> object:
        """The value of an attribute, `written` being what follows its name. Raises `_InOrder` where
        that says nothing, or is not written as everybody does."""
        size = len(written)
        if not (size < _SHORT and written[0] == _VALUE and written[1] == size - 2):
            raise _InOrder
        if size > _FRAME and written[2] == _TEXT and written[3] == size - _FRAME:
            return written[_FRAME:].decode()
        _, value = self._told(attribute)
        if value is None or value == "":
            raise _InOrder
        if type(value) is int and size <= _NUMBER:
            _remember(self._numbers, written, value)
        return value

    def _picked(self, attributes: Iterable[bytes]) -> Picker:
        picker = Picker()
        for attribute in attributes:
            name, value = self._told(attribute)
            picker.take(self._meanings(name), value)
        return picker

    def _meanings(self, name: str) -> tuple[Meaning, ...]:
        return self.vocabulary.get(name) or meanings_of_tag(name)


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(memory) >= REMEMBERED:
        memory.clear()
    memory[key] = value
