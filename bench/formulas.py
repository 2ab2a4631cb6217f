"""What a run of a strategy must cost, in closed form: tokens to the token, seconds as a bound.

For N calls in D levels of W = N / D, over texts of fixed sizes: F what a model reads before any
result, Q the question, a and o one action and one observation as they are sent again, p one step of
a plan, l one result as a joiner reads it, e the end of a plan, z the last reply.

- direct: 1 call. In: F + Q. Out: z.
- react: N + 1 calls. In: (N + 1)(F + Q) + (a + o) N (N + 1) / 2, of them cached
  N (F + Q) + (a + o) N (N − 1) / 2. Out: Na + z.
- parallel: D + 1 calls. In: (D + 1)(F + Q) + W (a + o) D (D + 1) / 2, of them cached
  D (F + Q) + W (a + o) D (D − 1) / 2. Out: Na + z.
- llmcompiler: 2 calls. In: F + F' + 2Q + Σl, of them cached c. Out: Np + e + z.
- rewoo: the same with 3Q, as the solver reads the question twice.
- abstraction, code: 1 call. In: F + Q. Out: Np + e.

F' is what the joiner reads besides question and results, and c what its instructions have in common
with the planner's first words. Cached is what a provider has that keeps every prompt and charges
the longest common beginning as read before. Those with turns and those with a joiner are computed
by `heddle.strategies.boundary`, which `auto` decides by; only the sizes are put in here.

Sizes are measured on the smallest task that has one of each (two calls, one after the other) and
hold for every other shape. Where a number in an id gets one more digit, so does what mentions it.

Source: ReWOO (arXiv 2305.18323, §2.2) and LLMCompiler (arXiv 2312.04511, §5) count alike; the
joiner's and the cached tokens are ours.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import heddle
from heddle.strategies.boundary import Bill, Shape, Sizes, plan_first, stepwise
from heddle.testing.chat_request import beginning
from heddle.testing.clock import run_virtual
from heddle.testing.world import World

if TYPE_CHECKING:
    from heddle.models.protocol import Request
    from heddle.testing.world import Pace

__all__ = ["PLENTY", "STRATEGIES", "Parts", "asked", "parts_of", "tokens"]

STRATEGIES = ("direct", "react", "parallel", "rewoo", "llmcompiler", "abstraction", "code")
PLENTY = heddle.Limits(max_rounds=200, max_turns=400, max_depth=1_000, run_timeout_s=None)


@dataclass(frozen=True, slots=True)
class Parts:
    """Measured sizes of what prompts and replies are made of, in characters.

    Attributes:
        prompt: what the first prompt holds besides the question.
        join: what the joiner's holds besides question and results; 0 where nobody joins.
        questions: how often the joiner reads the question.
        common: what the two prompts begin with.
        first: the line of a result whose call refers to nothing, its line break included.
        other: the line of one whose call refers to another.
        action: one action, as it is said and sent again.
        observation: its result, as it is sent.
        step: one step of a plan.
        answer: the last reply, where a model gives it after results.
    """

    prompt: int
    join: int = 0
    questions: int = 0
    common: int = 0
    first: int = 0
    other: int = 0
    action: int = 0
    observation: int = 0
    step: int = 0
    answer: int = 0


async def asked(strategy: str, world: World, model: Any) -> tuple[Any, float]:
    """Ask a world's question; the result, and how many seconds it took by the loop's clock."""
    agent = heddle.Agent(model, world.tools, strategy=strategy, limits=PLENTY)
    now = asyncio.get_running_loop().time
    began = now()
    result = await agent.run(world.question)
    return result, now() - began


def in_memory(
    strategy: str, world: World, pace: Pace | None = None
) -> tuple[Any, float, list[Request]]:
    """The same in virtual time: the result, the seconds, and what the model was asked."""
    model = world.model(pace)
    result, seconds = run_virtual(asked(strategy, world, model))
    return result, seconds, model.requests


def parts_of(strategy: str, world: World) -> Parts:
    """The sizes, measured on a task of two calls with the tools and texts of this world."""
    small = World(1, 2, sizes=world.sizes)
    small.tools = world.tools  # what they return is of another task, and just as long
    _, _, requests = in_memory(strategy, small)
    prompt = requests[0].characters - len(small.question)
    parts = Parts(prompt, step=world.sizes.step, answer=world.sizes.answer)
    if strategy in ("react", "parallel"):
        said, seen = requests[1].messages[-2:]
        return replace(parts, action=said.characters, observation=seen.characters)
    if strategy in ("rewoo", "llmcompiler"):
        return replace(parts, **_join_parts(small, *requests))
    return parts


def _join_parts(small: World, planner: Request, joiner: Request) -> dict[str, int]:
    """What a joiner's prompt is made of."""
    text = joiner.messages[-1].content
    first, other = [line for line in text.splitlines() if line.startswith('{"id"')]
    questions = text.count(small.question)
    results = len(first) + 1 + len(other)
    return {
        "join": joiner.characters - questions * len(small.question) - results,
        "questions": questions,
        "common": len(beginning(planner.messages[0].content, joiner.messages[0].content)),
        "first": len(first) + 1,
        "other": len(other) + 1,
    }


def tokens(strategy: str, world: World, parts: Parts) -> Bill:
    """Tokens and model calls of a run, a character being a token.

    Args:
        strategy: its name.
        world: the task: shape, question and sizes; nothing of it is conditional or fails.
        parts: measured sizes.
    """
    asks = parts.prompt + len(world.question)
    shape = Shape(world.count, world.depth)
    if strategy == "direct":
        return Bill(asks, 0, parts.answer, 1)
    if strategy in ("react", "parallel"):
        sizes = Sizes(
            prompt=0, turn=asks, action=parts.action, observation=parts.observation,
            answer=parts.answer,
        )  # fmt: skip
        return _whole(stepwise(shape, sizes, one_at_a_time=strategy == "react"))
    end = _end(strategy, world)
    if not parts.join:
        return Bill(asks, 0, world.count * parts.step + end, 1)
    sizes = Sizes(
        prompt=asks, turn=0, join=parts.join + parts.questions * len(world.question),
        result=_lines(strategy, world, parts) / world.count, step=parts.step,
        answer=end + parts.answer,
    )  # fmt: skip
    bill = plan_first(shape, sizes)
    return _whole(bill._replace(cached=bill.cached + parts.common))


def _whole(bill: Bill) -> Bill:
    """What is computed with floats, as the whole numbers that it stands for."""
    return Bill(*(round(value) for value in bill))


def _lines(strategy: str, world: World, parts: Parts) -> int:
    """All results as a joiner reads them: no line break after the last one.

    In a line of LLMCompiler each further digit of an id stands once where the step is named and
    once where it is referred to. In one of ReWOO the planner's note is as much shorter.
    """
    below = world.count - world.width
    size = world.width * parts.first + below * parts.other - 1
    if strategy == "rewoo":
        return size
    return size + _digits(1, world.count) + _digits(1, below) - world.count - below


def _end(strategy: str, world: World) -> int:
    """The last line of a plan."""
    first_of_last = world.count - world.width + 1
    ids = world.width + _digits(first_of_last, world.count)  # a letter, and the number
    between = world.width - 1
    return {
        "rewoo": 0,
        "llmcompiler": len(f"{world.count + 1}. join()\n"),
        "abstraction": len("Answer: \n") + ids + between,
        "code": len("f''\n") + ids + 2 * world.width + between,
    }[strategy]


def _digits(first: int, last: int) -> int:
    return sum(len(str(number)) for number in range(first, last + 1))
