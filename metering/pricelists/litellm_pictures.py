"""What LiteLLM's price map asks for pictures, which it says in up to four ways: by the piece that
goes in, by the piece that comes out, by pixels, by tokens.

They are ways to say one price, and LiteLLM's own reckoning takes one of them for a call: tokens
where they are told, else pieces. A call here may report tokens and pieces both, so a price is
taken over in one way, the one that the provider counts by; the others are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from metering.domain.prices import InvalidPrice, Tier, UnitPrice
from metering.pricelists.json_lists import number
from metering.pricelists.litellm_rows import Unknown

_IN: Final = "input_cost_per_image"
_OUT: Final = "output_cost_per_image"
_PIXELS: Final = ("input_cost_per_pixel", "output_cost_per_pixel")
_MAKES_PICTURES: Final = ("image_generation", "image_edit")
_FREE: Final = "minimax_free_input_images"

_SIZE: Final = re.compile(r"(?:^|/)(\d{2,5})-x-(\d{2,5})/")
_ROUNDED: Final = Decimal("1e-6")
"""By what part a price for a pixel may be off, which is that of a picture divided and rounded."""
_MOST_TOKENS: Final = 10_000
"""More than these no picture of the size that a list's price is for is made of."""


class Pictures(NamedTuple):
    """`price` is that of a picture that comes out; `goes_in` that of one that goes in; of the keys
    in `read` nothing more is to be read."""

    price: Decimal | None = None
    goes_in: UnitPrice | None = None
    read: frozenset[str] = frozenset()
    unknown: tuple[Unknown, ...] = ()


def pictures(model: str, entry: Mapping[str, Any]) -> Pictures:
    """How the entry prices pictures, where one key alone does not say it. `model` is its name in
    the map, which may hold a size. Raises `InvalidPrice` where two ways contradict each other."""
    found = _coming_out(entry)
    makes_them = entry.get("mode") in _MAKES_PICTURES or _price(entry, f"{_OUT}_token")
    if makes_them and _price(entry, _IN):
        into = _going_in(model, entry)
        return found._replace(
            price=into.price,
            read=found.read | into.read,
            unknown=(*found.unknown, *into.unknown),
        )
    return found._replace(goes_in=_beyond_the_free(entry), read=found.read | _free_keys(entry))


def _coming_out(entry: Mapping[str, Any]) -> Pictures:
    """A picture costs what its tokens do, where both have a price."""
    piece, of_tokens = _price(entry, _OUT), _price(entry, f"{_OUT}_token")
    if not piece or not of_tokens:
        return Pictures()
    if piece > of_tokens * _MOST_TOKENS:
        raise InvalidPrice(
            f"{_OUT} is more than {_MOST_TOKENS} tokens of a picture cost: nobody says whether "
            "pictures or their tokens are paid"
        )
    why = "a picture costs what its tokens do, which have a price; it is not paid twice"
    return Pictures(read=frozenset({_OUT}), unknown=(Unknown(_OUT, why),))


def _going_in(model: str, entry: Mapping[str, Any]) -> Pictures:
    """What `input_cost_per_image` is of a model that makes pictures."""
    said = _price(entry, _IN)
    assert said is not None
    out, of_tokens = _price(entry, _OUT), _price(entry, "input_cost_per_token")
    if of_tokens and (out or _price(entry, f"{_OUT}_token")):
        why = "a picture that goes in is among the input tokens, which have a price"
        return Pictures(read=frozenset({_IN}), unknown=(Unknown(_IN, why),))
    if out == said and not of_tokens:
        return Pictures(read=frozenset({_IN}))
    if _is_of_the_size(model, entry, said):
        return Pictures(price=said, read=frozenset({_IN, *_PIXELS}))
    if not any(_others(entry)):
        # LiteLLM multiplies it by the pictures that were made.
        return Pictures(price=said, read=frozenset({_IN}))
    why = f"with mode {entry.get('mode')} nobody says whether it is of what goes in or comes out"
    return Pictures(read=frozenset({_IN}), unknown=(Unknown(_IN, why, whole=True),))


def _is_of_the_size(model: str, entry: Mapping[str, Any], piece: Decimal) -> bool:
    """Whether the price by the pixel is that of the piece, for pictures of the size in the name."""
    size, pixel = _SIZE.search(model), _price(entry, _PIXELS[0])
    if size is None or not pixel or _price(entry, _PIXELS[1]):
        return False
    whole = pixel * int(size[1]) * int(size[2])
    return abs(whole - piece) <= piece * _ROUNDED


def _others(entry: Mapping[str, Any]) -> Iterator[bool]:
    for key in entry:
        if "cost" in key and key != _IN:
            yield bool(_price(entry, key))


def _free_keys(entry: Mapping[str, Any]) -> frozenset[str]:
    return frozenset({_IN}) if _free_pictures(entry) is not None else frozenset()


def _beyond_the_free(entry: Mapping[str, Any]) -> UnitPrice | None:
    """The price of every picture of a request beyond those that are free."""
    free = _free_pictures(entry)
    if free is None:
        return None
    price = _price(entry, _IN)
    if price is None or free != int(free) or free < 1:
        raise InvalidPrice(f"{_FREE}: {free} pictures of what price?")
    return UnitPrice(1, Decimal(0), (Tier(int(free), price),), marginal=True)


def _free_pictures(entry: Mapping[str, Any]) -> Decimal | None:
    said = (entry.get("provider_specific_entry") or {}).get(_FREE)
    if said is None:
        return None
    free = number(said)
    if isinstance(free, str):
        raise InvalidPrice(f"{_FREE}: {free}")
    return free


def _price(entry: Mapping[str, Any], key: str) -> Decimal | None:
    """The key's price, where it is one above 0."""
    amount = number(entry.get(key))
    return amount if isinstance(amount, Decimal) and amount else None
