"""What a bill and the metered usage are compared and divided by: cells, and who owns what."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

UNALLOCATED: Final = "unallocated"
"""The cost centre of what nobody owns. It has a named person, like every other."""

TOKEN_CLASSES: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "output",
    "input_audio",
    "cache_audio_read",
    "output_audio",
    "input_image",
    "cache_image_read",
    "output_image",
)
"""The disjoint classes that tokens are priced and billed in; `input` is uncached text, `output`
is text and reasoning. A class outside this list is a unit: `requests`, `web_search`, …"""

_OF_MODEL: Final = "@"


def class_of_model(token_class: str, model: str) -> str:
    """The class of what another model than the answering one used: `input@claude-opus-4-8`."""
    return f"{token_class}{_OF_MODEL}{model}"


def class_and_model(token_class: str) -> tuple[str, str]:
    """The class without the model that it names, and that model (`""`: the event's own)."""
    name, _, model = token_class.partition(_OF_MODEL)
    return name, model


def counts_tokens(token_class: str) -> bool:
    """Whether the class counts tokens: one of `TOKEN_CLASSES`, or a unit of tokens that has no
    class of its own (`input_video_tokens`)."""
    return token_class in TOKEN_CLASSES or token_class.endswith("_tokens")


class Owner(NamedTuple):
    """Who bears a cost: a cost centre, and the tenant the work was for (`""`: for none)."""

    cost_centre: str
    tenant: str = ""


class Cell(NamedTuple):
    """The grain at which a provider's bill and our metering meet.

    `project` is the provider's project or workspace (`""`: not known or the default one), `day`
    is UTC, `model` is the one that executed, `tier` is `standard`, `batch`, `flex`, `priority`, …
    """

    provider: str
    project: str
    day: date
    model: str
    token_class: str
    tier: str


class MeteredCell(NamedTuple):
    """What one owner used in one cell.

    `quantity` counts tokens (or units) of the class. `cost` is exact, in `currency`; it is `None`
    where the usage is unpriced, which is not zero: one cell may have a priced and an unpriced
    reading. `events` counts the calls that touched the class (shared calls count for the event's
    own owner only).
    """

    cell: Cell
    owner: Owner
    quantity: Decimal
    cost: Decimal | None
    currency: str
    events: int
