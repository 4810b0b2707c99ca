"""The disjoint classes of an event that has no price to say which classes it is priced in."""

from __future__ import annotations

from decimal import Decimal

from metering.domain.units import class_of
from metering.domain.usage import UsageEvent


def usage_classes(event: UsageEvent) -> tuple[tuple[str, int | Decimal], ...]:
    """Each token class and unit that was used, and how much of it, without any price.

    The classes are those of `cells.TOKEN_CLASSES`; a count that was not reported is no use. Where
    the parts of the input overlap (cached audio, say) `input` is what none of them covers, and
    never below zero.
    """
    read = event.cached_input_tokens or 0
    hourly = event.cache_write_1h_tokens or 0
    written = max(event.cache_write_tokens or 0, hourly)
    audio, image = event.audio_input_tokens or 0, event.image_input_tokens or 0
    audio_out, image_out = event.audio_output_tokens or 0, event.image_output_tokens or 0
    used: tuple[tuple[str, int | Decimal], ...] = (
        ("input", max((event.input_tokens or 0) - read - written - audio - image, 0)),
        ("cache_read", read),
        ("cache_write", written - hourly),
        ("cache_write_1h", hourly),
        ("input_audio", audio),
        ("input_image", image),
        ("output", max((event.output_tokens or 0) - audio_out - image_out, 0)),
        ("output_audio", audio_out),
        ("output_image", image_out),
        *((class_of(name), quantity) for name, quantity in sorted(event.units.items())),
    )
    return tuple((name, quantity) for name, quantity in used if quantity)
