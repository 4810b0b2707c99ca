"""What the keys of LiteLLM's price map mean: `input_cost_per_token_above_200k_tokens_batches`.

A key is a unit, perhaps a context threshold, perhaps a tier. What a key of a price means that is
not here is not known, and a price that is not known is never left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from metering.domain.units import IMAGE_SIZES, VIDEO_SIZES

UNITS_OF_KEYS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "input_cost_per_token": ("input_tokens", 1),
        "output_cost_per_token": ("output_tokens", 1),
        "output_cost_per_reasoning_token": ("output_reasoning_tokens", 1),
        "citation_cost_per_token": ("output_citation_tokens", 1),
        "cache_read_input_token_cost": ("cache_read_tokens", 1),
        "input_cost_per_token_cache_hit": ("cache_read_tokens", 1),
        "cache_creation_input_token_cost": ("cache_write_tokens", 1),
        "cache_creation_input_token_cost_above_1hr": ("cache_write_1h_tokens", 1),
        "cache_creation_input_token_cost_above_12hr": ("cache_write_12h_tokens", 1),
        "input_cost_per_audio_token": ("input_audio_tokens", 1),
        "output_cost_per_audio_token": ("output_audio_tokens", 1),
        "cache_read_input_audio_token_cost": ("cache_audio_read_tokens", 1),
        "cache_creation_input_audio_token_cost": ("cache_audio_write_tokens", 1),
        "input_cost_per_image_token": ("input_image_tokens", 1),
        "output_cost_per_image_token": ("output_image_tokens", 1),
        "cache_read_input_image_token_cost": ("cache_image_read_tokens", 1),
        "input_cost_per_video_token": ("input_video_tokens", 1),
        "output_cost_per_video_token": ("output_video_tokens", 1),
        "input_cost_per_character": ("input_characters", 1),
        "output_cost_per_character": ("output_characters", 1),
        "input_cost_per_image": ("input_images", 1),
        "output_cost_per_image": ("output_images", 1),
        "input_cost_per_video_per_second": ("input_video_seconds", 1),
        "output_cost_per_video_per_second": ("output_video_seconds", 1),
        "input_cost_per_audio_per_second": ("input_audio_seconds", 1),
        "input_cost_per_request": ("requests", 1),
        "input_cost_per_text_message": ("input_text_messages", 1),
        "ocr_cost_per_page": ("input_document_pages", 1),
        "annotation_cost_per_page": ("input_annotated_document_pages", 1),
        "code_interpreter_cost_per_session": ("code_sessions", 1),
        "file_search_cost_per_1k_calls": ("storage_searches", 1000),
        "file_search_cost_per_gb_per_day": ("storage_gb_days", 1),
        "vector_store_cost_per_gb_per_day": ("storage_gb_days", 1),
        "google_maps_grounding_cost_per_query": ("maps_queries", 1),
        **{
            f"output_cost_per_image_{size.upper().replace('_', '.')}": (f"output_{size}_images", 1)
            for size in IMAGE_SIZES
        },
    }
)
"""Key → our unit, and how many of it the key's price buys."""

UNITS_BY_MODE: Final[Mapping[tuple[str, str], tuple[str, int]]] = MappingProxyType(
    {
        ("audio_transcription", "input_cost_per_second"): ("audio_seconds", 1),
        ("audio_transcription", "output_cost_per_second"): ("audio_seconds", 1),
        ("audio_speech", "output_cost_per_second"): ("output_audio_seconds", 1),
        ("video_generation", "output_cost_per_second"): ("output_video_seconds", 1),
        ("image_generation", "input_cost_per_pixel"): ("output_pixels", 1),
        ("image_generation", "output_cost_per_pixel"): ("output_pixels", 1),
        **{
            ("video_generation", f"output_cost_per_second_{size}"): (
                f"output_video_{size}_seconds",
                1,
            )
            for size in VIDEO_SIZES
        },
        ("rerank", "input_cost_per_query"): ("rerank_searches", 1),
        ("search", "input_cost_per_query"): ("web_searches", 1),
        ("vector_store", "input_cost_per_query"): ("storage_searches", 1),
    }
)
"""Keys that mean another unit with every mode of a model. With a mode that is not here nobody can
say seconds (or queries) of what."""

MEANS_ANOTHER_UNIT: Final = frozenset(
    {("image_generation", "input_cost_per_image"), ("image_edit", "input_cost_per_image")}
)
"""Keys that say input and may be, with these modes, the price of what comes out
(`litellm_pictures` tells)."""

TIERS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "batches": {"processing": "batch"},
        "priority": {"service_tier": "priority"},
        "flex": {"service_tier": "flex"},
        "balanced": {"service_tier": "balanced"},
        "ultrafast": {"service_tier": "ultrafast"},
    }
)
"""How a key ends → the calls that its price is for."""

UNKNOWN_TIERS: Final = ("_decisions",)
"""Ends of keys for calls that no event can be told to be: the price for all others is as it is."""

OTHERWISE_READ: Final = frozenset(
    {
        "tiered_pricing",
        "off_peak_pricing",
        "search_context_cost_per_query",
        "search_free_requests",
        "web_search_billing_unit",
        "provider_specific_entry",
        "regional_processing_uplift_multiplier_eu",
        "regional_processing_uplift_multiplier_us",
        "regional_endpoint_uplift_multiplier",
        "cost_per_second",
    }
)
"""Prices of another shape than a number under a key."""

SAME_PRICE_OTHERWISE_SAID: Final = frozenset(
    {"input_dbu_cost_per_token", "output_dbu_cost_per_token"}
)
"""What a price comes to in a provider's own points: the same price stands beside it in money."""

_IS_PRICE: Final = re.compile(r"cost|price|pricing|multiplier|_free_|billing_unit|specific_entry")


class Key(NamedTuple):
    """A unit's price: `above` so many input tokens (`None`: below all thresholds), in a tier."""

    unit: str
    per: int
    above: int | None
    tier: str


def is_price(key: str) -> bool:
    """Whether the key says something about what is to be paid."""
    return _IS_PRICE.search(key) is not None and key not in SAME_PRICE_OTHERWISE_SAID


def read_key(key: str, mode: str) -> Key | None:
    """What the key means for a model of this mode; `None`: that is not known."""
    for tier in ("", *TIERS):
        if tier and not key.endswith(f"_{tier}"):
            continue
        rest = key.removesuffix(f"_{tier}") if tier else key
        name, above = _threshold(rest)
        unit = UNITS_BY_MODE.get((mode, name)) or UNITS_OF_KEYS.get(name)
        if (mode, name) in MEANS_ANOTHER_UNIT:
            return None
        if unit is not None:
            return Key(*unit, above, tier)
    return None


def _threshold(key: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.+)_above_(\d+)k_tokens", key)
    return (found[1], int(found[2]) * 1000) if found else (key, None)
