"""What reading a price list gives: rules and rows, and whatever of the list could not be taken."""

from __future__ import annotations

from typing import NamedTuple

from metering.domain.price_matching import PriceList
from metering.domain.prices import Price


class UnreadablePriceList(ValueError):
    """The file is no price list that can be read at all; the message names the place and the
    remedy. Nothing of it is used."""


class Refused(NamedTuple):
    """A price of the list that is not taken over, and why.

    `provider` and `model_id` say whose it is, in the list's own words where ours are not known. A
    model of which anything is refused keeps the rows that it has, where the refusal says
    `whole`: its other prices would be wrong without the one that is missing.
    """

    provider: str
    model_id: str
    what: str
    reason: str
    whole: bool = False


def readable(refused: Refused) -> Refused:
    """The refusal as it can be shown and stored, whatever characters the list is written in."""
    provider, model_id, what, reason = (_readable(text) for text in refused[:4])
    return Refused(provider, model_id, what, reason, refused.whole)


def _readable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class ParsedList(NamedTuple):
    """One edition of a list: how it finds a model, its dated rows, numbered from 1, and what of it
    was refused."""

    rules: PriceList
    prices: tuple[Price, ...]
    refused: tuple[Refused, ...] = ()
