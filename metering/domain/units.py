"""What can be counted and priced: the registry of units, and how they contain one another.

A unit is named as price lists name its count (`cache_read_tokens`, `audio_seconds`). Its dimensions
say what contains what: a unit is an ancestor of every unit that has all of its dimensions and more,
so `input_tokens` holds `cache_read_tokens` and `input_audio_tokens`, and both of these hold
`cache_audio_read_tokens`. The dimensions and the price keys are those of the genai-prices registry;
what it does not know (images by the piece, video, sessions, capacity by the hour) is under `OWN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_M: Final = 1_000_000
_MODALITIES: Final = ("text", "audio", "image", "video")


@dataclass(frozen=True, slots=True)
class Unit:
    """One countable thing. `price_key` is its name in price lists, which quote it per `per`."""

    name: str
    price_key: str
    per: int
    dimensions: frozenset[tuple[str, str]]

    @property
    def family(self) -> str:
        return dict(self.dimensions)["family"]

    def holds(self, other: Unit) -> bool:
        """Whether a count of this unit includes every one of `other`'s."""
        return self.dimensions < other.dimensions

    def compatible(self, other: Unit) -> bool:
        """Whether one and the same thing may count as both."""
        mine, theirs = dict(self.dimensions), dict(other.dimensions)
        return all(theirs.get(key, value) == value for key, value in mine.items())


def _unit(name: str, price_key: str, per: int, **dimensions: str) -> Unit:
    return Unit(name, price_key, per, frozenset(dimensions.items()))


def _tokens(name: str, kind: str = "", **dimensions: str) -> Unit:
    if kind:
        dimensions["token_type"] = kind
    return _unit(f"{name}_tokens", f"{name}_mtok", _M, family="tokens", **dimensions)


def _token_units() -> list[Unit]:
    units = [_tokens("input", direction="input"), _tokens("output", direction="output")]
    for modality in ("", *_MODALITIES):
        of: dict[str, str] = {"modality": modality} if modality else {}
        infix = f"_{modality}" if modality else ""
        inputs, outputs = {**of, "direction": "input"}, {**of, "direction": "output"}
        if modality:
            units.append(_tokens(f"input{infix}", **inputs))
            units.append(_tokens(f"output{infix}", **outputs))
        units += [
            _tokens(f"cache{infix}_read", "cache_read", **inputs),
            _tokens(f"cache{infix}_write", "cache_write", **inputs),
            _tokens(f"cache{infix}_write_5m", "cache_write", **inputs, cache_ttl="5m"),
            _tokens(f"cache{infix}_write_1h", "cache_write", **inputs, cache_ttl="1h"),
            _tokens(f"input{infix}_tool", "tool", **inputs),
            _tokens(f"output{infix}_reasoning", "reasoning", **outputs),
            _tokens(f"output{infix}_citation", "citation", **outputs),
        ]
    return units


def _tool(name: str, tool_type: str) -> Unit:
    return _unit(name, f"{name}_kcount", 1000, family="tool_calls", tool_type=tool_type)


def _other_units() -> list[Unit]:
    pages = {"family": "document_pages", "direction": "input"}
    audio = {"family": "durations", "modality": "audio"}
    return [
        _unit("input_characters", "input_mchars", _M, family="characters", direction="input"),
        _unit(
            "input_text_messages",
            "input_text_messages_kcount",
            1000,
            family="messages",
            direction="input",
            modality="text",
        ),
        _unit("audio_seconds", "audio_hours", 3600, **audio),
        _unit("input_audio_seconds", "input_audio_hours", 3600, **audio, direction="input"),
        _unit("output_audio_seconds", "output_audio_hours", 3600, **audio, direction="output"),
        _unit("input_pixels", "input_gpixels", 1000 * _M, family="pixels", direction="input"),
        _unit("input_document_pages", "input_document_kpages", 1000, **pages),
        _unit(
            "input_annotated_document_pages",
            "input_annotated_document_kpages",
            1000,
            **pages,
            page_type="annotated",
        ),
        _unit("rerank_searches", "rerank_searches_kcount", 1000, family="rerank"),
        _tool("web_searches", "web_search"),
        _tool("social_searches", "social_search"),
        _tool("storage_searches", "storage_search"),
        _tool("code_executions", "code_execution"),
        _unit("requests", "requests_kcount", 1000, family="requests"),
    ]


VIDEO_SIZES: Final = ("480p", "720p", "768p", "1080p", "2k", "4k")
IMAGE_SIZES: Final = ("512", "0_5k", "1024", "1k", "1536", "2k", "4k")
SEARCH_SIZES: Final = ("low", "medium", "high")
"""What a second of video, a picture and a search cost may hang on: each size is a unit inside the
plain one, which is what a source counts that does not tell the size."""


def _by_size() -> list[Unit]:
    video = {"family": "durations", "modality": "video", "direction": "output"}
    return [
        *(
            _unit(f"output_video_{s}_seconds", f"output_video_{s}_hours", 3600, **video, size=s)
            for s in VIDEO_SIZES
        ),
        *(
            _unit(name, name, 1, family="images", direction="output", size=size)
            for size in IMAGE_SIZES
            for name in (f"output_{size}_images",)
        ),
        *(
            _unit(
                f"web_searches_{size}",
                f"web_searches_{size}_kcount",
                1000,
                family="tool_calls",
                tool_type="web_search",
                size=size,
            )
            for size in SEARCH_SIZES
        ),
    ]


def _own_units() -> list[Unit]:
    video = {"family": "durations", "modality": "video"}
    written_for_12h = {"direction": "input", "cache_ttl": "12h"}
    return [
        _tokens("cache_write_12h", "cache_write", **written_for_12h),
        _unit("output_characters", "output_mchars", _M, family="characters", direction="output"),
        _unit("output_pixels", "output_gpixels", 1000 * _M, family="pixels", direction="output"),
        _unit("input_images", "input_images", 1, family="images", direction="input"),
        _unit("output_images", "output_images", 1, family="images", direction="output"),
        _unit("input_video_seconds", "input_video_hours", 3600, **video, direction="input"),
        _unit("output_video_seconds", "output_video_hours", 3600, **video, direction="output"),
        _tool("maps_queries", "maps"),
        _unit("code_sessions", "code_sessions", 1, family="sessions"),
        _unit("storage_gb_days", "storage_gb_days", 1, family="storage"),
        _unit("provisioned_hours", "provisioned_hours", 1, family="capacity"),
        *_by_size(),
    ]


OWN: Final = tuple(unit.name for unit in _own_units())
"""Units that other price lists charge for and genai-prices has no name for. Of them,
`provisioned_hours` is one unit of reserved capacity for an hour (`metering.domain.capacity`)."""

UNITS: Final[Mapping[str, Unit]] = MappingProxyType(
    {unit.name: unit for unit in (*_token_units(), *_other_units(), *_own_units())}
)

UNIT_ORDER: Final[Mapping[str, int]] = MappingProxyType({name: i for i, name in enumerate(UNITS)})
"""The order in which units are listed: in price rows, in lines."""

BY_PRICE_KEY: Final[Mapping[str, Unit]] = MappingProxyType(
    {unit.price_key: unit for unit in UNITS.values()}
)

BY_DIMENSIONS: Final[Mapping[frozenset[tuple[str, str]], Unit]] = MappingProxyType(
    {unit.dimensions: unit for unit in UNITS.values()}
)

CLASS_OF_UNIT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_tokens": "input",
        "cache_read_tokens": "cache_read",
        "cache_write_tokens": "cache_write",
        "cache_write_1h_tokens": "cache_write_1h",
        "cache_write_12h_tokens": "cache_write_12h",
        "output_tokens": "output",
        "input_audio_tokens": "input_audio",
        "cache_audio_read_tokens": "cache_audio_read",
        "output_audio_tokens": "output_audio",
        "input_image_tokens": "input_image",
        "cache_image_read_tokens": "cache_image_read",
        "output_image_tokens": "output_image",
    }
)
"""The token class (`cells.TOKEN_CLASSES`) under which what is left of a unit, once its contained
units are taken out, is billed. A unit that is not here is its own class, under its own name."""

_OTHER_NAMES: Final = {
    "web_search": "web_searches",
    "web_search_requests": "web_searches",
    "social_search": "social_searches",
    "file_search": "storage_searches",
    "storage_search": "storage_searches",
    "code_execution": "code_executions",
    "code_interpreter": "code_executions",
    "rerank": "rerank_searches",
    "rerank_search": "rerank_searches",
    "request": "requests",
    "audio_second": "audio_seconds",
    "characters": "input_characters",
    "images": "output_images",
    "image": "output_images",
    "maps_grounding": "maps_queries",
    "session": "code_sessions",
    "sessions": "code_sessions",
    "pages": "input_document_pages",
    "document_pages": "input_document_pages",
    **{token_class: unit for unit, token_class in CLASS_OF_UNIT.items()},
}


NAMES: Final = frozenset((*UNITS, *_OTHER_NAMES))
"""All names by which `unit_named` knows a unit."""


def unit_named(name: str) -> Unit | None:
    """The unit that an event's `units` mean by this name, in either number; `None`: not known."""
    return UNITS.get(name) or UNITS.get(_OTHER_NAMES.get(name, ""))


def class_of(unit_as_sent: str) -> str:
    """The class that a unit of an event is used and billed in."""
    unit = unit_named(unit_as_sent)
    return CLASS_OF_UNIT.get(unit.name, unit_as_sent) if unit else unit_as_sent
