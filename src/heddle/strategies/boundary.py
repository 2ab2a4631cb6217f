"""The boundary between planning first and going step by step, as a model of tokens.

Ask of each call: does a result change its arguments, or its existence? Arguments alone can be
planned with placeholders, however deep the plan. A call whose existence or tool depends on a result
cannot: who plans first needs another round for it, and who goes step by step does not.

All sizes are tokens; where a provider has not counted, four characters make one.

Source: the counts of ReWOO (arXiv 2305.18323, §2.2) and LLMCompiler (arXiv 2312.04511, §5), with
rounds of plan and join added; that nobody has published a router with numbers is why this one
prints its own.

>>> shape, sizes = Shape(steps=10, depth=10), Sizes(1000, 1000, 1000, 450, 450)
>>> plan_first(shape, sizes).input, stepwise(shape, sizes).input
(6500.0, 38500.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Bill", "Prices", "Shape", "Sizes", "plan_first", "replans", "stepwise"]


class Shape(NamedTuple):
    """What a task looks like, as far as it is known.

    Attributes:
        steps: calls.
        depth: levels of calls that need each other; a level's calls run at the same time.
        conditional: share of the calls below the first level whose existence or tool depends on
            a result, from 0 to 1.
        failing: share of calls that fail; each costs whoever notices it another call.
    """

    steps: float
    depth: float
    conditional: float = 0.0
    failing: float = 0.0

    @property
    def width(self) -> float:
        """Calls of a level."""
        return self.steps / max(1.0, self.depth)


class Sizes(NamedTuple):
    """Tokens of the parts that prompts and replies are made of.

    Attributes:
        prompt: what a planner reads before any result: instructions, tools, question.
        turn: the same for one who goes step by step.
        join: what a joiner reads besides the results.
        result: one result as a joiner reads it, with the call that it is of.
        observation: one result as one reads it who goes step by step.
        digest: one earlier step as a planner of a later round reads it.
        step: one step of a plan, written.
        action: one call of one who goes step by step, written.
        answer: the last reply.
    """

    prompt: float
    turn: float
    join: float = 250.0
    result: float = 150.0
    observation: float = 120.0
    digest: float = 40.0
    step: float = 40.0
    action: float = 50.0
    answer: float = 30.0


class Prices(NamedTuple):
    """What a token costs, by kind; only their ratios matter here."""

    input: float = 1.0
    cached: float = 0.1
    output: float = 4.0


class Bill(NamedTuple):
    """Tokens and model calls of a run.

    Attributes:
        input: tokens read, those included that the provider has read before.
        cached: those, where it keeps them.
        output: tokens written.
        calls: model calls one after another.
    """

    input: float
    cached: float
    output: float
    calls: float

    def cost(self, prices: Prices, *, cache: float = 0.0) -> float:
        """What it comes to.

        Args:
            prices: of a token, by kind.
            cache: share of what the provider could keep that it keeps; True for all of it.
        """
        cached = self.cached * cache
        fresh = self.input - cached
        return fresh * prices.input + cached * prices.cached + self.output * prices.output

    def without(self, paid: Bill) -> Bill:
        """What is left of it when a part is paid."""
        return Bill(*(max(0.0, whole - part) for whole, part in zip(self, paid, strict=True)))


def replans(shape: Shape) -> float:
    """Rounds after the first that planning ahead is expected to need.

    A round goes as deep as it can, so that what counts is the thread with the most conditional
    calls on it: the mean of a binomial count, and what the largest of `width` such counts is above
    it. Failing calls are looked into one round at a time.
    """
    below = max(0.0, shape.depth - 1)
    q = min(1.0, shape.conditional)
    spread = math.sqrt(2 * math.log(max(1.0, shape.width)) * q * (1 - q) * below)
    return min(below, q * below + spread) + min(1.0, shape.failing * shape.steps)


def plan_first(shape: Shape, sizes: Sizes) -> Bill:
    """What rounds of plan and join cost.

    With R replans: (1 + R) prompts for the planner and the joiner each; the joiner of each round
    reads all results so far, the planner of each further round a digest of them. A place that says
    `later` is written and read like a step, and has no result.
    """
    rounds = 1 + replans(shape)
    laters = shape.conditional * max(0.0, shape.steps - shape.width)
    joined = (rounds + 1) / 2  # how often a joiner reads a step, on the average
    planned = (rounds - 1) / 2  # how often a planner does
    read = rounds * (sizes.prompt + sizes.join)
    read += shape.steps * (joined * sizes.result + planned * sizes.digest)
    read += laters * (joined + planned) * sizes.digest
    written = (shape.steps + laters) * sizes.step + rounds * sizes.answer
    cached = (rounds - 1) * (sizes.prompt + sizes.join)
    return Bill(read, cached, written, 2 * rounds)


def stepwise(shape: Shape, sizes: Sizes, *, one_at_a_time: bool = False) -> Bill:
    """What turns of calls and results cost.

    In k turns the prompt is read k + 1 times, and the calls and results of the j-th turn k + 1 - j
    times.

    Args:
        shape: of the task.
        sizes: of its texts.
        one_at_a_time: a turn makes one call, as in ReAct, and not all that are possible.
    """
    turns = shape.steps if one_at_a_time else shape.depth
    turns += min(1.0, shape.failing * shape.steps)
    each = shape.steps / max(1.0, turns) * (sizes.action + sizes.observation)
    read = (turns + 1) * sizes.turn + each * turns * (turns + 1) / 2
    cached = turns * sizes.turn + each * (turns - 1) * turns / 2
    return Bill(read, cached, shape.steps * sizes.action + sizes.answer, turns + 1)
