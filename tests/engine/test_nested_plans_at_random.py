"""Random plans with maps, guards, choices, named resources, batches and plans in plans: they end.

Whatever the plan: every accepted step ends once, bounds hold, an effect is written down before it
happens and is not left out because the output does not need it, and events survive the wire.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache
from random import Random
from typing import Any

import pytest

import heddle
from heddle.engine.events import StepAccepted, StepEnded, StepIntent
from heddle.engine.wire import event_from_json, event_to_json
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual

WHAT = [1, 2, 10, "bad", "a", None, [3]]


class Tools:
    """Tools that count who is inside of them."""

    def __init__(self) -> None:
        self.inside = 0
        self.peak = 0
        self.effects = 0
        inside = self._inside

        @heddle.tool(effect="read", provider="p")
        async def look(x: Any) -> Any:
            return await inside(x)

        @heddle.tool(effect="pure")
        async def listed(x: Any) -> list[Any]:
            return WHAT[: len(str(x)) % 5]

        @heddle.tool(effect="pure")
        async def flag(x: Any) -> bool:
            return len(str(x)) % 2 == 0

        @heddle.tool(effect="write")
        async def send(x: Any) -> Any:
            self.effects += 1
            return await inside(x)

        async def many(xs: list[Any]) -> list[Any]:
            await inside("many")
            return [ValueError("bad") if x == "bad" else x for x in xs]

        @heddle.tool(effect="read", provider="p", batch=many, max_batch=3)
        async def batched(x: Any) -> Any:
            raise AssertionError("never asked for one")

        self.all = [look, listed, flag, send, batched]

    async def _inside(self, x: Any) -> Any:
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            await asyncio.sleep(len(str(x)) / 4)
        finally:
            self.inside -= 1
        if x == "bad":
            raise ValueError("bad")
        return x


class Maker:
    """Makes plans as JSON."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def plan(self, size: int, depth: int) -> dict[str, Any]:
        steps: list[dict[str, Any]] = []
        for n in range(size):
            steps.append(self._step(f"s{n}", steps, depth))
        plan: dict[str, Any] = {"heddle": 1, "steps": steps}
        if steps and self.random.random() < 0.5:
            plan["output"] = {"$ref": self.random.choice(steps)["id"]}
        return plan

    def _step(self, id: str, before: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        chance, choice = self.random.random, self.random.choice
        names = ["look", "listed", "flag", "send", "batched", *["expand"] * (2 * (depth > 0))]
        step: dict[str, Any] = {"id": id, "tool": choice(names)}
        over = chance() < 0.3 and step["tool"] != "flag"
        if over:
            lists = [s["id"] for s in before if "over" in s or s["tool"] == "listed"]
            sources = [[choice(WHAT) for _ in range(4)], *({"$ref": other} for other in lists)]
            step["over"] = choice(sources)
        if step["tool"] == "expand":
            step["args"] = {"plan": {"$literal": self.plan(self.random.randrange(5), depth - 1)}}
        else:
            step["args"] = {"x": self._value(before, item=over)}
        flags = [s["id"] for s in before if s["tool"] == "flag"]
        if flags and chance() < 0.3:
            step["when"] = {"$ref": choice(flags)}
        if before and chance() < 0.2:
            step["after"] = [choice(before)["id"]]
        for field, share in (("default", 0.3), ("reads", 0.2), ("writes", 0.3)):
            if chance() < share:
                step[field] = choice(WHAT) if field == "default" else [choice("ab")]
        return step

    def _value(self, before: list[dict[str, Any]], *, item: bool) -> Any:
        kind = self.random.random()
        if item and kind < 0.5:
            return {"$item": []}
        if before and kind < 0.8:
            return {"$ref": self.random.choice(before)["id"]}
        if len(before) > 1 and kind < 0.9:
            options = self.random.sample([step["id"] for step in before], 2)
            return {"$choose": [{"$ref": id} for id in options]}
        return self.random.choice(WHAT)


@cache
def run(seed: int) -> tuple[Any, Tools, Limits]:
    maker, tools = Maker(seed), Tools()
    choice = maker.random.choice
    limits = Limits(
        concurrency=choice([1, 2, 64]), per_provider={"p": choice([1, 9])},
        max_expansions=choice([3, 50]), run_timeout_s=100_000,
    )  # fmt: skip
    plan = heddle.parse(json.dumps(maker.plan(maker.random.randrange(1, 12), 2)), "json")
    return run_virtual(heddle.execute(plan, tools.all, limits=limits)), tools, limits


@pytest.mark.parametrize("seed", range(80))
def test_a_random_plan_ends_and_nothing_is_lost(seed: int) -> None:
    result, tools, limits = run(seed)
    accepted = [event.step for event in result.events if isinstance(event, StepAccepted)]
    ended = [event for event in result.events if isinstance(event, StepEnded)]
    assert sorted(event.step for event in ended) == sorted(step.id for step in accepted)
    assert all(event.code != "deadline" for event in ended)  # nobody waits for ever
    assert tools.inside == 0
    assert tools.peak <= limits.concurrency
    sends = {step.id for step in accepted if step.tool == "send"}
    assert all(event.code != "not-needed" for event in ended if event.step in sends)
    keys = [event.key for event in result.events if isinstance(event, StepIntent)]
    assert len(set(keys)) == len(keys) == tools.effects
    for event in result.events:
        assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event
    assert result.timing.lower_bound_s <= result.timing.makespan_s + 1e-9


def test_random_plans_do_most_of_what_plans_can() -> None:
    results = [run(seed)[0] for seed in range(80)]
    codes = {step.error.code for result in results for step in result.steps if step.error}
    wanted = {"items-failed", "guard-false", "ceiling", "expansion-failed", "upstream-failed"}
    assert wanted <= codes
    assert sum(result.status == "succeeded" for result in results) > 10
    assert sum("." in step.id for result in results for step in result.steps) > 40
