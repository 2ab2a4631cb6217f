"""What a model call takes: reckoned before it is made, read from its usage when it is over.

A prompt's tokens are reckoned from its bytes: two to a token until its model has counted one, which
is more than any common text has, then three, or what it has counted if that is more. A reply may
have what the request allows it. So the error of a reservation is that of one prompt, and is small.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

from heddle.errors import ConfigError
from heddle.models.prices import cost_usd
from heddle.models.protocol import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.models.protocol import Model, Request
    from heddle.plan.limits import Limits

__all__ = ["Ask", "Reckoner", "cut_replies_at", "most_output_tokens", "refuse_unpriced"]

_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_UNCOUNTED = 1.5
_MARGIN = 1.05
"""Texts of one run are alike, and still some have more tokens than others of their size."""

_REPLAYED = "replay"
"""A recorded model costs nothing."""


class Ask(NamedTuple):
    """A model call as it is reckoned.

    Attributes:
        tokens: of the prompt, by its bytes.
        output_tokens: the most that its reply may have.
    """

    model: Model
    tokens: int
    output_tokens: int


def most_output_tokens(limits: Limits) -> int:
    """Where replies are cut: no single one may use up more than a quarter of the run's tokens."""
    budgets = (limits.budget_tokens, limits.budget_output_tokens)
    quarters = [max(1, budget // 4) for budget in budgets if budget is not None]
    return min([limits.max_output_tokens, *quarters])


def cut_replies_at(limits: Limits) -> int | None:
    """The same, where there is a budget that replies use up; None where there is none."""
    budgets = (limits.budget_tokens, limits.budget_output_tokens, limits.budget_usd)
    return None if budgets == (None, None, None) else most_output_tokens(limits)


def refuse_unpriced(limits: Limits, models: Iterable[Model]) -> None:
    """Refuse a budget of money that nobody could hold.

    Raises:
        ConfigError: a model's price is not known.
    """
    for model in models if limits.budget_usd is not None else ():
        if model.provider != _REPLAYED and _price(model, 1, 1) is None:
            raise ConfigError(
                f"nobody knows the price of {model.provider}:{model.name}, so that no budget of "
                "money can be held",
                code="no-price",
                hint="bound tokens instead: limits.budget_tokens (--max-tokens)",
            )


def _price(model: Model, prompt: int, reply: int) -> float | None:
    return cost_usd(model.provider, model.name, Usage(prompt, 0, reply))


class Reckoner:
    """Reckons the model calls of one run, and learns from what they were counted as.

    Args:
        limits: where replies are cut.
        counted: by model, the most tokens that a prompt had of what it has by its bytes; shared by
            all who reckon for one run.
    """

    def __init__(self, limits: Limits, counted: dict[str, float]) -> None:
        self.most_output_tokens = most_output_tokens(limits)
        self._priced = limits.budget_usd is not None
        self._counted = counted

    def ask(self, model: Model, request: Request) -> Ask:
        """A call of this model. Cost: linear in the prompt."""
        size = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        called = (call for message in request.messages for call in message.calls)
        size += sum(call.characters for call in called)
        offered = request.characters - sum(message.characters for message in request.messages)
        size += offered + (len(json.dumps(request.schema)) if request.schema else 0)
        tokens = -(-size // _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(request.messages)
        output = request.max_output_tokens or self.most_output_tokens
        return Ask(model, tokens, output)

    def before(self, ask: Ask) -> dict[str, float]:
        """The most that a call takes."""
        return self._amounts(ask.model, self.prompt_tokens(ask), ask.output_tokens, None)

    def after(self, ask: Ask, usage: Usage, cost: float | None) -> dict[str, float]:
        """What a call took, by its usage and price."""
        if usage.input_tokens:
            share, name = usage.input_tokens / max(1, ask.tokens), ask.model.name
            self._counted[name] = max(share, self._counted.get(name, 0.0))
        return self._amounts(ask.model, usage.input_tokens, usage.output_tokens, cost)

    def prompt_tokens(self, ask: Ask) -> int:
        """Tokens of the prompt, as far as is known of this model."""
        return math.ceil(ask.tokens * self._share(ask.model))

    def prompt_bytes(self, model: Model, tokens: float) -> int:
        """How large a text of so many tokens may be."""
        return max(0, int(tokens * _BYTES_PER_TOKEN / self._share(model)))

    def _share(self, model: Model) -> float:
        counted = self._counted.get(model.name)
        return _UNCOUNTED if counted is None else max(1.0, _MARGIN * counted)

    def _amounts(
        self, model: Model, prompt: int, reply: int, cost: float | None
    ) -> dict[str, float]:
        found: dict[str, float] = {
            "input_tokens": prompt,
            "output_tokens": reply,
            "tokens": prompt + reply,
        }
        if self._priced:
            found["cost_usd"] = (_price(model, prompt, reply) or 0.0) if cost is None else cost
        return found
