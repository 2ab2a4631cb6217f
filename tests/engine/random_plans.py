"""What may happen to random plans, and tools that do whatever tools can do; all from one seed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from heddle.errors import ToolFailed
from heddle.plan.ir import Hole, Step
from heddle.plan.limits import Limits
from heddle.testing.reference import Fails, Hangs
from heddle.testing.simulation.plans import INPUTS, TIMEOUT_S, random_plan, tools_of

if TYPE_CHECKING:
    from heddle.plan.spec import ToolSpec

ERRORS: dict[str, type[BaseException]] = {
    "raises": ValueError,
    "exits": SystemExit,
    "interrupts": KeyboardInterrupt,
    "stops": StopAsyncIteration,
    "cancelled": asyncio.CancelledError,
    "escapes": BaseException,
}
KINDS = (*ERRORS, "refuses", "hangs", "swallows")


@dataclass
class Case:
    """A plan with everything that happens to it."""

    seed: int
    entries: list[Step | Hole]
    kinds: dict[str, str]  # what a step's tool does; missing: gives a value
    seconds: dict[str, float]  # how long its tool takes
    arrivals: dict[str, float]  # when it joins the plan, in virtual seconds
    reserved: set[str]  # steps that begin as holes and are filled at the end
    release_at: float
    limits: Limits
    specs: list[ToolSpec]
    inputs: dict[str, Any] = field(default_factory=lambda: INPUTS)

    @property
    def writes(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self.specs if spec.effect == "write")


def value_of(args: dict[str, Any]) -> Any:
    """A value that depends on every argument, and has parts for paths and guards to find."""
    text = json.dumps(args, sort_keys=True)
    digest = hashlib.md5(text.encode()).hexdigest()
    if digest[0] < "4":
        return [True, digest[:8], None][int(digest[1], 16) % 3]
    return {"id": digest[:6], "yes": True, "no": False, "list": [digest[6:9], {"$ref": "1"}]}


def kind_of(case: Case, args: dict[str, Any]) -> str | None:
    """What the tool does; of a map, it does so to some of its elements."""
    kind = case.kinds.get(args["me"])
    if "item" not in args or kind is None:
        return kind
    digest = hashlib.md5(json.dumps(args["item"], sort_keys=True).encode()).digest()
    return kind if digest[0] % 3 == 0 else None


def reference_tool(case: Case, args: dict[str, Any]) -> Any:
    """What the reference interpreter calls."""
    kind = kind_of(case, args)
    if kind in ("hangs", "swallows"):
        raise Hangs
    if kind is not None:
        raise Fails("refused" if kind == "refuses" else "tool-failed")
    return value_of(args)


class WildTools:
    """The executor that the scheduler calls: the same tools, in time."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.calls: list[str] = []

    async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
        me = args["me"]
        self.calls.append(me)
        kind = kind_of(self.case, args)
        if seconds := self.case.seconds[me]:
            await asyncio.sleep(seconds)
        if kind == "hangs":
            await asyncio.Event().wait()
        elif kind == "swallows":
            await _swallow(TIMEOUT_S * 3)
        elif kind == "refuses":
            raise ToolFailed("no", code="refused")
        elif kind is not None:
            raise ERRORS[kind]("boom")
        value = value_of(args)
        _deface(args)
        return value


async def _swallow(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        try:
            await asyncio.sleep(end - loop.time())
        except asyncio.CancelledError:
            continue


def _deface(value: Any) -> None:
    """Change every container, as a tool may that was given them."""
    inner = list(value.values()) if isinstance(value, dict) else list(value)
    for item in inner:
        if isinstance(item, (dict, list)):
            _deface(item)
    value.clear()


def make_case(seed: int, size: int | None = None) -> Case:
    """A random plan, of an odd seed with maps, every third with speculation; about 21 steps."""
    plan = random_plan(seed, size, wild=True)
    random = Random(seed)

    def chance(share: float) -> bool:
        return random.random() < share

    entries: list[Step | Hole] = [
        Hole(step.id, "", ()) if chance(0.02) else replace(step, args={**step.args, "me": step.id})
        for step in plan.steps
    ]
    steps = [entry for entry in entries if isinstance(entry, Step)]
    faulty = random.choice([0.0, 0.05, 0.25])
    now, arrivals = 0.0, {}
    pause = random.choice([0.0, 0.0, 1.0])
    for entry in entries:
        now += pause * random.random()
        arrivals[entry.id] = now
    return Case(
        seed=seed,
        entries=entries,
        kinds={step.id: random.choice(KINDS) for step in steps if chance(faulty)},
        seconds={step.id: random.choice([0.0, 0.0, 0.5, 1.0, random.random()]) for step in steps},
        arrivals=arrivals,
        reserved={step.id for step in steps if chance(0.03)},
        release_at=now + random.choice([0.0, 1.0]),
        limits=Limits(
            concurrency=random.choice([1, 2, 5, 64]),
            per_provider={"p": random.choice([1, 2, 8])} if chance(0.6) else {},
            requests_per_minute={"q": random.choice([2.0, 60.0])} if chance(0.2) else {},
            grace_s=TIMEOUT_S * 5,
            speculation=seed % 3 == 0,
        ),
        specs=[tool.spec for tool in tools_of(plan)],
    )
