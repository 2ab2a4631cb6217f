"""Budgets under random plans: calls never above their bound, tokens by an error at most.

A plan is a random graph of tool calls, maps, `llm` steps and calls that fail and are tried again;
every reply is counted as a random number of tokens up to what it was allowed, and every prompt as
its provider counts: from 0.2 tokens a character to 0.45, where common text has a quarter.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure
from heddle import Agent, Limits, Plan, Ref, Step, execute, tool
from heddle.engine.events import ModelCall, StepStarted
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import Item
from heddle.testing import ScriptedModel, run_virtual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.engine.result import RunResult
    from heddle.models.protocol import Request

_SHORT, _FULL = 300, 10_000
_MOST_PER_CHARACTER = 0.45


def figures(*, short: bool, seed: int, count: int | None = None) -> Iterator[Figure]:
    """Run random plans under random budgets, and say what went above them."""
    count = count or (_SHORT if short else _FULL)
    calls_over = tokens_over = unkept = exhausted = 0
    worst = 0.0
    for number in range(count):
        random = Random(f"{seed} {number}")
        over, share, kept, ended = _joined(random) if number % 10 == 0 else _one(random)
        calls_over += over
        tokens_over += share > 0
        worst = max(worst, share)
        unkept += not kept
        exhausted += ended
    yield Figure("calls above the budget", calls_over, bar=0, of=count)
    yield Figure("tokens above the budget, the worst plan", 100 * worst, bar=1, unit="%")
    yield Figure("plans with tokens above it", tokens_over, of=count)
    yield Figure("joins that were not paid for", unkept, bar=0, of=-(-count // 10))
    yield Figure("plans that used a budget up", 100 * exhausted / count, 30, "%", at_least=True)


def _one(random: Random) -> tuple[int, float, bool, bool]:
    """A plan: calls above its budget, share of tokens above it, True, whether it ran out."""
    limits = Limits(
        budget_calls=random.randint(0, 40),
        budget_tokens=random.choice([None, random.randint(2_000, 60_000)]),
        budget_map_share=random.choice([1.0, 0.5]),
        budget_calls_by_tool={"work": random.randint(0, 30)} if random.random() < 0.3 else {},
        concurrency=random.choice([1, 4, 64]),
        speculation=random.random() < 0.3,
    )
    plan, tools, model = _plan(random), _tools(random), _model(random)
    result = run_virtual(
        execute(plan, tools, model=model, limits=limits, seed=random.getrandbits(32))
    )
    return *_above(result, limits), True, _ran_out(result)


def _joined(random: Random) -> tuple[int, float, bool, bool]:
    """An agent's run: the same, and whether its join was paid for."""
    tokens = random.randint(12_000, 60_000)
    limits = Limits(budget_calls=random.randint(1, 10), budget_tokens=tokens)
    lines = [f"{n}. work({n})" for n in range(1, random.randint(2, 12))]
    replan = '{"action": "replan", "answer": null, "reason": "more"}'
    finish = '{"action": "finish", "answer": "done", "reason": null}'

    rate = _rate(random)

    def reply(request: Request) -> list[Any]:
        text = "\n".join([*lines, "99. join()"])
        if request.role == "joiner":
            last = "No further round" in request.messages[0].content
            text = finish if last or random.random() < 0.5 else replan
        return [text, _usage(random, request, rate)]

    agent = Agent(ScriptedModel(reply), _tools(random), strategy="llmcompiler", limits=limits)
    result = run_virtual(agent.run("What is it?"))
    joins = [event for event in result.events if isinstance(event, ModelCall)]
    planned = any(event.role == "planner" for event in joins)
    return *_above(result, limits), result.answer == "done" or not planned, _ran_out(result)


def _above(result: RunResult, limits: Limits) -> tuple[int, float]:
    started = [event for event in result.events if isinstance(event, StepStarted)]
    over = max(0, len(started) - (limits.budget_calls or 0))
    tools = {step.id: step.tool for step in result.steps}
    for name, bound in limits.budget_calls_by_tool.items():
        over += max(0, sum(tools[event.step] == name for event in started) - bound)
    if limits.budget_tokens is None:
        return over, 0.0
    used = result.usage.input_tokens + result.usage.output_tokens
    return over, max(0.0, (used - limits.budget_tokens) / limits.budget_tokens)


def _ran_out(result: RunResult) -> bool:
    steps = any(
        step.error is not None and step.error.code == "over-budget" for step in result.steps
    )
    return steps or (result.error is not None and result.error.code == "over-budget")


def _plan(random: Random) -> Plan:
    steps: list[Step] = []
    for number in range(random.randint(1, 25)):
        before = [step.id for step in steps[-8:]]
        after = tuple(sorted(random.sample(before, min(len(before), random.randint(0, 2)))))
        id, kind = str(number), random.random()
        if kind < 0.25:
            text = "say " + "something " * random.randint(1, 200)
            context = Ref(after[0]) if after else None
            steps.append(Step(id, "llm", {"instruction": text, "context": context}, after=after))
        elif kind < 0.45:
            over = list(range(random.randint(0, 12)))
            steps.append(Step(id, "work", {"x": Item()}, over=over, after=after))
        else:
            name = random.choice(["work", "work", "flaky", "change"])
            steps.append(Step(id, name, {"x": number}, after=after))
    return Plan(steps)


def _tools(random: Random) -> list[Any]:
    async def rest() -> None:
        await asyncio.sleep(random.choice([0.0, 0.1, 1.0]))

    @tool(effect="read", fuse=random.random() < 0.5)
    async def work(x: int) -> int:
        """Some work."""
        await rest()
        return x

    @tool(effect="read", fuse=False)
    async def flaky(x: int) -> int:
        """Work that fails in passing."""
        await rest()
        if random.random() < 0.4:
            raise ToolFailed("not now", code="busy", retryable=True)
        return x

    @tool(effect="write")
    async def change(x: int) -> int:
        """An effect."""
        await rest()
        return x

    return [work, flaky, change]


def _model(random: Random) -> ScriptedModel:
    rate = _rate(random)
    return ScriptedModel(lambda request: [(random.random(), "x"), _usage(random, request, rate)])


def _rate(random: Random) -> float:
    """Tokens a character, as one provider counts them."""
    return random.uniform(0.2, _MOST_PER_CHARACTER)


def _usage(random: Random, request: Request, rate: float) -> Usage:
    """What a provider counts for a prompt, which differs by a few per cent from text to text."""
    prompt = int(request.characters * rate * random.uniform(0.95, 1.05))
    return Usage(prompt, 0, random.randint(0, request.max_output_tokens or 2_000))
