"""What a model call costs, by the table of the genai-prices package.

Chosen because it is maintained by the pydantic team and carries its data inside the wheel, so that
a price needs no network. Where it is not installed, or does not know the model, there is no price.

Reading the table takes a quarter of a second of CPU, and steps run while prices are asked for: it
is read in a thread, which starts with the first call to a model.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heddle.models.protocol import Usage

__all__ = ["cost_usd", "read_table"]

UNPRICED = frozenset(("python", "replay"))
"""Providers that are in no table, so that nobody waits for it on their account."""


@lru_cache(maxsize=1)
def read_table() -> None:
    """Begin to read the table, once and in a thread; `cost_usd` waits for it."""
    Thread(target=_table, name="heddle-prices").start()


def cost_usd(provider: str, model: str, usage: Usage) -> float | None:
    """US dollars for a call; None where the price is not known."""
    if provider in UNPRICED:
        return None
    prices = _table()
    if prices is None:
        return None
    try:
        price = prices.calc_price(
            prices.Usage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cached_input_tokens,
                output_tokens=usage.output_tokens,
            ),
            model_ref=model,
            provider_id=provider,
        )
    except LookupError:
        return None
    return float(price.total_price)


@lru_cache(maxsize=1)
def _table() -> Any:
    try:
        import genai_prices
    except ImportError:
        return None
    return genai_prices
