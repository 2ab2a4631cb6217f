"""Random plans, and tools that do to them whatever tools can do; all of it from one seed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from heddle.errors import ToolFailed
from heddle.plan.ir import MISSING, Choose, Hole, Input, Item, Ref, Step, Template, When
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.reference import Fails, Hangs

TIMEOUT_S = 10.0
INPUTS: dict[str, Any] = {"mail": {"to": ["a@b"], "flag": True}, "text": "$1 {x} #E2"}
EFFECTS = ("pure", "read", "idempotent", "write")
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


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ids: list[str] = []
        self.maps: list[str] = []
        self.in_map = False

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def ref(self) -> Ref:
        near = self.ids[-12:] if self.chance(0.8) else self.ids
        path = self.random.choice(
            [(), (), (), (), ("id",), ("list", 1), ("list",)]
            + ([("gone", 0)] if self.chance(0.1) else [])
        )
        return Ref(self.random.choice(near), path)

    def value(self, depth: int = 0) -> Any:
        pick = self.random.random()
        if not self.ids or pick < 0.15:
            if self.in_map and self.chance(0.5):
                return self.item()
            return self.random.choice([1, 2.5, None, True, "$1 {0}", [1, [2]], {"a": {"b": "#E1"}}])
        if pick < 0.45:
            return self.ref()
        if pick < 0.55:
            return Template(("x", self.ref(), "$1", self.ref()))
        if pick < 0.62:
            return Choose(tuple(Ref(self.ref().step) for _ in range(self.random.randint(1, 3))))
        if pick < 0.68:
            return Input("mail", ("to", 0)) if self.chance(0.5) else Input("text")
        if depth > 2:
            return "leaf"
        if pick < 0.85:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        return {f"k{n}": self.value(depth + 1) for n in range(self.random.randint(0, 3))}

    def item(self) -> Item:
        return Item(self.random.choice([(), (), (), ("id",), ("list", 1)]))

    def over(self) -> Any:
        """What a map runs over: most often a list, or another map."""
        pick = self.random.random()
        if self.maps and pick < 0.5:
            return Ref(self.random.choice(self.maps[-4:]))
        if not self.ids or pick < 0.7:
            return [self.value(1) for _ in range(self.random.choice([0, 1, 3, 5]))]
        if pick < 0.8:
            return Choose((Ref(self.ref().step), Ref(self.ref().step)))
        return self.random.choice(
            [Ref(self.ref().step, ("list",)), Input("mail", ("to",)), self.ref()]
        )

    def mapped(self, step: Step) -> Step:
        """The same step as a map."""
        over = self.over()
        self.in_map = True
        count = self.random.choice([0, 1, 2])
        args = {"me": step.id, "item": Item(), **{f"a{n}": self.value() for n in range(count)}}
        self.in_map = False
        self.maps.append(step.id)
        when = step.when
        if self.chance(0.2):
            path = self.random.choice([("yes",), ("yes",), ("no",)])
            when = When(Item(path if self.chance(0.9) else ()), self.chance(0.3))
        bound = self.random.choice([None, None, None, 4])
        return replace(step, args=args, over=over, when=when, bound=bound)

    def guard(self) -> When | None:
        if not self.ids or not self.chance(0.15):
            return None
        subject = self.random.choice(
            [
                Ref(self.ref().step, ("yes",)),
                Ref(self.ref().step, ("no",)),
                Input("mail", ("flag",)),
            ]
            + ([self.ref()] if self.chance(0.2) else [])
        )
        return When(subject, self.chance(0.3))

    def step(self, id: str, tools: list[ToolSpec]) -> Step:
        count = self.random.choices([0, 1, 2, 3], [2, 5, 3, 1])[0]
        args = {"me": id, **{f"a{n}": self.value() for n in range(count)}}
        after = (self.ref().step,) if self.ids and self.chance(0.1) else ()
        return Step(
            id,
            self.random.choice(tools).name,
            args,
            after=after,
            when=self.guard(),
            default={"id": "default", "list": [0, 0]} if self.chance(0.2) else MISSING,
            reads=("disk",) if self.chance(0.1) else (),
            writes=(self.random.choice(["disk", "table"]),) if self.chance(0.1) else (),
            timeout_s=TIMEOUT_S,
        )


def make_case(seed: int, size: int | None = None) -> Case:
    """A random plan, of an odd seed with maps, every third with speculation; about 23 steps."""
    maker = _Maker(seed)
    random = maker.random
    maps = seed % 2 == 1
    tools = [
        ToolSpec(
            f"t{n}",
            effect=random.choice(EFFECTS),  # type: ignore[arg-type]
            provider=random.choice(["", "p", "q"]),
            concurrency=random.choice([None, None, 1, 3]),
        )
        for n in range(4)
    ]
    entries: list[Step | Hole] = []
    for number in range(size or random.randint(1, 45)):
        id = str(number)
        hole = maker.chance(0.02)
        step = maker.step(id, tools)
        if maps and maker.chance(0.25):
            step = maker.mapped(step)
        entries.append(Hole(id, "", ()) if hole else step)
        maker.ids.append(id)
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
        kinds={step.id: random.choice(KINDS) for step in steps if maker.chance(faulty)},
        seconds={step.id: random.choice([0.0, 0.0, 0.5, 1.0, random.random()]) for step in steps},
        arrivals=arrivals,
        reserved={step.id for step in steps if maker.chance(0.03)},
        release_at=now + random.choice([0.0, 1.0]),
        limits=Limits(
            concurrency=random.choice([1, 2, 5, 64]),
            per_provider={"p": random.choice([1, 2, 8])} if maker.chance(0.6) else {},
            requests_per_minute={"q": random.choice([2.0, 60.0])} if maker.chance(0.2) else {},
            grace_s=TIMEOUT_S * 5,
            speculation=seed % 3 == 0,
        ),
        specs=tools,
    )
