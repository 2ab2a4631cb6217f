"""Limits: how large a plan may be, and how much may happen at once and in all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "bound_name"]

_BY_NAME = (
    "per_provider", "per_tool", "requests_per_minute", "input_tokens_per_minute",
    "output_tokens_per_minute",
)  # fmt: skip

_COUNTS = (
    "max_steps", "concurrency", "max_rounds", "max_turns", "max_attempts", "max_deaths",
    "sync_threads", "worker_processes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a plan's size, on what runs at once, and on time.

    The size bounds hold for what a model wrote. Programs and files that a person passes are
    checked against them only on request.

    Attributes:
        max_steps: steps in one plan.
        max_width: elements of one map, and steps that may be ready at once.
        max_depth: steps on the longest path of a plan.
        max_cost_usd: what the calls of one plan may cost, as their tools say; None for no bound.
        max_calls: calls that one plan may ask for, a map counted by what bounds its elements.
        max_references: references in one step.
        max_literal_bytes: one literal argument, as UTF-8 JSON.
        max_text_bytes: one planner reply.
        max_nesting: lists and objects inside one argument.
        max_holes: bad lines in one plan; with one more the round fails and is replanned.
        max_rounds: plans in one run; 1 means never replan.
        max_turns: turns of a model that reads every result before it goes on.
        max_expansions: plans in one run that came out as results and are run by `expand`.
        budget_calls: calls of tools in one run, attempts and elements each counted; here and below,
            None for no bound, and what does not fit any more is not begun.
        budget_calls_by_tool: the same of one tool, by its name.
        budget_tokens: tokens that a run may use in all, prompts and replies.
        budget_input_tokens: tokens of prompts.
        budget_output_tokens: tokens of replies.
        budget_usd: what a run may cost in US dollars: models by their price, tools as they say.
        budget_join_share: the share of tokens and money that is kept for joining.
        budget_map_share: the share of what is left that one map may use, from when it begins.
        budget_expansion_share: the same of one plan that came out as a result.
        max_output_tokens: where a model's reply is cut, if there is a budget of tokens or money.
        concurrency: steps in flight in one run.
        per_provider: slots of a provider, by its name.
        per_tool: slots of a tool, by its name.
        requests_per_minute: requests that a provider grants in any minute, by its name, or by
            "provider:model" for one of its models; so in the other bounds by provider.
        input_tokens_per_minute: tokens of prompts that it grants in any minute.
        output_tokens_per_minute: tokens of replies.
        adaptive: whether calls to a provider become fewer when it refuses some, and what it says
            of its own limits is listened to.
        weight: what this run gets of a shared allowance while others wait as well: one of weight 2
            gets twice what one of weight 1 gets.
        step_timeout_s: seconds for one attempt, where neither step nor tool says otherwise.
        step_total_s: seconds for a step from its first attempt on, further ones and the waits
            between them included; None for no bound of its own.
        queue_timeout_s: seconds that a ready step may wait for its slots before its first attempt;
            then it is skipped. None for as long as the run lasts.
        max_attempts: attempts of a step, or of a model call, whose fault may pass: throttled, no
            connection, server errors. Its own exceptions are tried again where `retry` says so.
        max_deaths: processes in a row that may die with nothing under way but the same step, and
            without bringing the run further; it is not tried again then, but has failed,
            `poisoned`.
        run_timeout_s: seconds for the whole run; None for no deadline.
        join_reserve_s: seconds of the run's time that are kept for joining.
        stall_timeout_s: seconds that a model's stream may be silent.
        sync_threads: threads for synchronous tools.
        worker_processes: processes for tools that are isolated, started when they are needed.
        speculation: whether a `pure` or `read` call may be begun before its step's guard is known.
            Off, because a guard is a promise: `if consent: look_up(person)` looks up nobody before.
        hedging: whether a `pure` or `read` call that takes unusually long gets a second copy, two
            of a hundred calls at most. Off, because a copy is a call that the plan did not ask for
            and that somebody pays for; it pays where a fan-out waits for the slowest of many.
        hedging_models: whether that holds for tools that ask models as well.
        grace_s: seconds that a cancelled tool may take to clean up before it is left behind.
    """

    max_steps: int = 256
    max_width: int = 1_000
    max_depth: int = 64
    max_cost_usd: float | None = None
    max_calls: int = 100_000
    max_references: int = 256
    max_literal_bytes: int = 64 * 1024
    max_text_bytes: int = 1024 * 1024
    max_nesting: int = 64
    max_holes: int = 3
    max_rounds: int = 3
    max_turns: int = 24
    max_expansions: int = 8
    budget_calls: int | None = None
    budget_calls_by_tool: Mapping[str, int] = field(default_factory=dict[str, int])
    budget_tokens: int | None = None
    budget_input_tokens: int | None = None
    budget_output_tokens: int | None = None
    budget_usd: float | None = None
    budget_join_share: float = 0.1
    budget_map_share: float = 1.0
    budget_expansion_share: float = 1.0
    max_output_tokens: int = 8_192
    concurrency: int = 64
    per_provider: Mapping[str, int] = field(default_factory=dict[str, int])
    per_tool: Mapping[str, int] = field(default_factory=dict[str, int])
    requests_per_minute: Mapping[str, float] = field(default_factory=dict[str, float])
    input_tokens_per_minute: Mapping[str, float] = field(default_factory=dict[str, float])
    output_tokens_per_minute: Mapping[str, float] = field(default_factory=dict[str, float])
    adaptive: bool = True
    weight: float = 1.0
    step_timeout_s: float | None = 120.0
    step_total_s: float | None = None
    queue_timeout_s: float | None = None
    max_attempts: int = 4
    max_deaths: int = 5
    run_timeout_s: float | None = 600.0
    join_reserve_s: float = 20.0
    stall_timeout_s: float = 60.0
    sync_threads: int = 64
    worker_processes: int = 8
    speculation: bool = False
    hedging: bool = False
    hedging_models: bool = False
    grace_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse bounds that can never be met.

        Raises:
            ValueError: a bound is not positive, or a time is no finite number of seconds.
        """
        for name in ("step_timeout_s", "step_total_s", "queue_timeout_s", "run_timeout_s"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 <= seconds < math.inf:
                raise ValueError(f"limits: {name} must be a number of seconds, or None")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"limits: {name} must be at least 1")
        if not 0 < self.weight < math.inf:
            raise ValueError("limits: weight must be positive")
        for name in _BY_NAME:
            for key, bound in getattr(self, name).items():
                if bound <= 0:
                    raise ValueError(f"limits: {name}[{key!r}] must be positive")
        self._refuse_odd_budgets()

    def _refuse_odd_budgets(self) -> None:
        budgets = {name: getattr(self, name) for name in _BUDGETS}
        by_tool = {
            f"budget_calls_by_tool[{tool!r}]": bound
            for tool, bound in self.budget_calls_by_tool.items()
        }
        for name, bound in (budgets | by_tool).items():
            if bound is not None and not 0 <= bound < math.inf:
                raise ValueError(f"limits: {name} must be a number from 0, or None")
        for name in ("budget_join_share", "budget_map_share", "budget_expansion_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"limits: {name} must be a share from 0 to 1")
        if self.max_output_tokens < 1:
            raise ValueError("limits: max_output_tokens must be at least 1")

    def slots_of(self, provider: str) -> int | None:
        """The slots of a provider or of one of its models; None for no bound."""
        return self.per_provider.get(bound_name(provider, self.per_provider) or "")

    def rated(self, provider: str) -> bool:
        """Whether its requests or tokens a minute are bounded."""
        rates = (
            self.requests_per_minute,
            self.input_tokens_per_minute,
            self.output_tokens_per_minute,
        )
        return bound_name(provider, *rates) is not None


_BUDGETS = (
    "budget_calls", "budget_tokens", "budget_input_tokens", "budget_output_tokens", "budget_usd",
)  # fmt: skip


def bound_name(name: str, *bounds: Mapping[str, float]) -> str | None:
    """Under which name something is bounded: its own, else its provider's; None if it is not.

    >>> bound_name("openai:gpt-5", {"openai": 8}), bound_name("openai:gpt-5", {})
    ('openai', None)
    """
    for key in dict.fromkeys((name, name.partition(":")[0])):
        if any(key in values for values in bounds):
            return key
    return None
