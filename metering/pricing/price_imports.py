"""Taking prices over: public lists, contracts over them, our own; first what would change.

Each import happens in one transaction under one lock, all of it or nothing. A new price ends the
old one at its date; what was rated before stays as it was rated until somebody re-rates an open
month (`revaluation`). What a list says that cannot be taken is kept with its edition.

This is the door: which list a file is. How public lists are taken over is in `public_lists`, how
contracts are in `contract_imports`, and what both keep to in `import_results`.
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

from metering.domain.digests import digest_of
from metering.pricelists.json_lists import read_json
from metering.pricelists.langfuse import is_langfuse, parse_langfuse
from metering.pricelists.litellm import is_litellm, parse_litellm
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.catalogue import GENAI_PRICES, LANGFUSE, LITELLM, MANUAL
from metering.pricing.contract_imports import import_contract
from metering.pricing.import_results import ImportResult, PriceListOutOfOrder, UnconfirmedLeaps
from metering.pricing.public_lists import take_over

__all__ = [
    "ImportResult",
    "PriceListOutOfOrder",
    "UnconfirmedLeaps",
    "import_contract",
    "import_file",
    "import_genai_prices",
    "take_over",
]


def import_genai_prices(*, effective_at: datetime, **how: bool) -> ImportResult:
    """Take over the prices inside the installed `genai-prices` package, from `effective_at` on.

    The same edition again changes nothing, whatever the instant. Of a model and condition that had
    no price here, the list's whole dated history is taken; all others are as before until
    `effective_at` (aware) and as the list says from then on.

    Raises `PriceListOutOfOrder` if a different edition already took effect then or later, and
    `InvalidPrice` or `InvalidClause` if the list holds something that is not understood.
    """
    # A megabyte of literals and their types, for this one function.
    from genai_prices.data import providers

    from metering.pricelists.genai_prices import parse_genai_prices

    parsed = parse_genai_prices(
        providers,
        source=f"{GENAI_PRICES} {version('genai-prices')}",
        effective_at=effective_at,
    )
    return take_over(GENAI_PRICES, parsed, **how)


def import_file(text: str, name: str, *, effective_at: datetime, **how: bool) -> ImportResult:
    """Take over LiteLLM's or Langfuse's price file, or (as `manual`) one of our own.

    Which it is, its content says; `name` is the file's. As `import_genai_prices` for the rest.
    Raises `UnreadablePriceList` for a file that is none of them or is cut off.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return import_contract(text, name, book=MANUAL, now=effective_at, **how)
    value = read_json(text, name=name)
    if is_litellm(value):
        book, parse = LITELLM, parse_litellm
    elif is_langfuse(value):
        book, parse = LANGFUSE, parse_langfuse
    else:
        raise UnreadablePriceList(
            f"{name} is neither LiteLLM's price map nor Langfuse's price list, nor a CSV of our "
            "own: see manage.py help import_prices"
        )
    source = f"{book} {name} {digest_of(text)[:8]}"
    return take_over(book, parse(text, source=source, effective_at=effective_at), **how)
