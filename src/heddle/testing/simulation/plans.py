"""Random plans: every node of the IR, all four effect classes, maps, guards, named resources.

>>> one, other = random_plan(7), random_plan(7)
>>> one.steps == other.steps, len(one.steps) > 0
(True, True)
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, Final

from heddle.plan.ir import MISSING, Choose, Input, Item, Plan, Ref, Step, Template, When
from heddle.plan.spec import EFFECTS, ToolSpec
from heddle.testing.simulation.outside import made_tool

if TYPE_CHECKING:
    from heddle.tools.function import Tool

__all__ = ["INPUTS", "TIMEOUT_S", "random_plan", "tools_of"]

TIMEOUT_S: Final = 10.0
INPUTS: Final[dict[str, Any]] = {"mail": {"to": ["a@b"], "flag": True}, "text": "$1 {x} #E2"}

_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {name: {} for name in ("me", "item", "a0", "a1")},
}
_LITERALS: Final = (1, 2.5, None, True, "$1 {0}", [1, [2]], {"a": {"b": "#E1"}})


@cache
def _tool(name: str) -> Tool:
    """The tool of a name that says what it is: effect, provider, and how many calls at once."""
    effect, provider, concurrency = name.split("_")
    return made_tool(
        ToolSpec(
            name,
            parameters=_PARAMETERS,
            effect=effect,  # type: ignore[arg-type]
            provider=provider.strip("-"),
            concurrency=int(concurrency) or None,
        )
    )


def tools_of(plan: Plan) -> list[Tool]:
    """The tools that a random plan calls."""
    names = dict.fromkeys(step.tool for step in plan.steps if step.tool != "expand")
    return [_tool(name) for name in names]


def random_plan(
    seed: int, size: int | None = None, *, wild: bool = False, nests: bool = False
) -> Plan:
    """A plan of so many steps, about 23 by default; every other seed has maps.

    Args:
        seed: chooses everything.
        size: how many steps.
        wild: whether it has things, too, that the verifier would refuse.
        nests: whether some of its steps expand plans.

    Cost: linear in its size.
    """
    return _Maker(seed, wild=wild, nests=nests).plan(size)


class _Maker:
    """Makes the steps of one plan, each of which may refer to those before it."""

    def __init__(self, seed: int, *, wild: bool = False, nests: bool = False) -> None:
        self.wild = wild
        self.random = Random(seed)
        self.ids: list[str] = []
        self.maps: list[str] = []
        self.in_map = False
        self.with_maps = seed % 2 == 1
        self.seed = seed
        self.nests = nests

    def plan(self, size: int | None) -> Plan:
        """The whole of it."""
        random = self.random
        tools = [
            f"{random.choice(EFFECTS)}_{random.choice('-pq')}_{random.choice((0, 0, 1, 3))}"
            for _ in range(4)
        ]
        plan = Plan()
        for number in range(1, (size or random.randint(2, 40)) + 1):
            step = self.step(str(number), random.choice(tools))
            if self.nests and number > 1 and Random(f"{self.seed} {number}").random() < 0.15:
                step = self.nested(step, tools)
            elif self.with_maps and self.chance(0.2):
                step = self.mapped(step)
            plan.add(step)
            self.ids.append(step.id)
        return plan

    def chance(self, share: float) -> bool:
        """Whether something is so in this share of cases."""
        return self.random.random() < share

    def ref(self) -> Ref:
        """A result, most often a late one, or a part of it that may not be there."""
        near = self.ids[-12:] if self.chance(0.8) else self.ids
        id = self.random.choice(near)
        paths: list[tuple[str | int, ...]] = [(), (), (), (), ("id",), ("list", 1), ("list",)]
        if id in self.maps and not self.wild:
            paths = [(), (), (0,), (1, "id")]
        elif self.chance(0.05):
            paths.append(("gone", 0))
        return Ref(id, self.random.choice(paths))

    def single(self) -> str:
        """The id of a step that is no map."""
        return self.random.choice([id for id in self.ids if self.wild or id not in self.maps])

    def value(self, depth: int = 0) -> Any:
        """An argument."""
        pick = self.random.random()
        if not self.ids or pick < 0.2:
            if self.in_map and self.chance(0.5):
                return Item(self.random.choice(((), (), (), ("id",), ("list", 1))))
            return self.random.choice(_LITERALS)
        if pick < 0.5:
            return self.ref()
        if pick < 0.6:
            return Template(("x", self.ref(), "$1", self.ref()))
        if pick < 0.67:
            return Choose(tuple(Ref(self.ref().step) for _ in range(self.random.randint(2, 3))))
        if pick < 0.73:
            return Input("mail", ("to", 0)) if self.chance(0.5) else Input("text")
        if depth > 0:
            return "leaf"
        return self.container(pick, depth)

    def container(self, pick: float, depth: int) -> Any:
        """A list, or an object."""
        count = self.random.randint(0, 2)
        if pick < 0.87:
            return [self.value(depth + 1) for _ in range(count)]
        return {f"k{n}": self.value(depth + 1) for n in range(count)}

    def over(self) -> Any:
        """What a map runs over: most often a list, or another map."""
        pick = self.random.random()
        if self.maps and pick < 0.5:
            return Ref(self.random.choice(self.maps[-4:]))
        if not self.ids or pick < 0.75:
            return [self.value(1) for _ in range(self.random.choice((0, 1, 2, 4)))]
        if self.wild and self.chance(0.3):
            return Choose((Ref(self.ref().step), Ref(self.ref().step)))
        refs: list[Any] = [Input("mail", ("to",)), self.ref()]
        if len(self.maps) < len(self.ids):
            refs.append(Ref(self.single(), ("list",)))
        return self.random.choice(refs)

    def mapped(self, step: Step) -> Step:
        """The same step as a map."""
        over = self.over()
        self.in_map = True
        args = {"me": step.id, "item": Item(), **self.more(self.random.choice((0, 0, 1)))}
        self.in_map = False
        self.maps.append(step.id)
        when = step.when
        if self.chance(0.2):
            paths = [("yes",), ("yes",), ("no",)] + ([()] if self.wild else [])
            path = self.random.choice(paths)
            when = When(Item(path), self.chance(0.3))
        wide = isinstance(over, Ref) or self.wild
        bound = self.random.choice((None, 1, 4)) if wide else None
        return replace(step, args=args, over=over, when=when, bound=bound)

    def nested(self, step: Step, tools: list[str]) -> Step:
        """A step in its place that runs a plan: two calls, the second of which uses the first's."""
        first, second = tools[0], self.random.choice(tools)
        plan = f'1. {first}(me="{step.id} 1")\n2. {second}(me="{step.id} 2", a0="$1")'
        args = {"plan": plan, "dialect": "llmcompiler"}
        return Step(step.id, "expand", args, after=step.after, when=step.when)

    def more(self, count: int) -> dict[str, Any]:
        """Arguments that refer to what is before."""
        return {f"a{n}": self.value() for n in range(count)}

    def guard(self) -> When | None:
        """When a step runs."""
        if len(self.maps) == len(self.ids) or not self.chance(0.12):
            return None
        paths = [("yes",), ("yes",), ("no",)] + ([()] if self.chance(0.2) else [])
        subject = Ref(self.single(), self.random.choice(paths))
        return When(Input("mail", ("flag",)) if self.chance(0.2) else subject, self.chance(0.3))

    def step(self, id: str, tool: str) -> Step:
        """A step that is no map; most steps say in their arguments who they are."""
        alone = tool.startswith(("idempotent", "write")) or self.chance(0.85)
        args = {"me": id if alone else "anyone"}
        args |= self.more(self.random.choices((0, 1, 2), (4, 5, 2))[0])
        return Step(
            id,
            tool,
            args,
            after=(self.ref().step,) if self.ids and self.chance(0.1) else (),
            when=self.guard(),
            default={"id": "default", "list": [0, 0]} if self.chance(0.2) else MISSING,
            reads=("disk",) if self.chance(0.1) else (),
            writes=(self.random.choice(("disk", "table")),) if self.chance(0.1) else (),
            timeout_s=TIMEOUT_S,
        )
