"""How much a plan can ask for, said before any of it runs.

>>> from heddle.plan.ir import Item, Plan, Ref, Step
>>> plan = Plan([
...     Step("1", "search", {"query": "a"}),
...     Step("2", "read", {"page": Item()}, over=Ref("1"), bound=5),
...     Step("3", "sum", {"texts": Ref("2")}),
... ])
>>> print(bounds_of(plan, {}).said)
3 steps, at most 7 calls, 5 on the widest level, 3 one after the other
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.ir import MISSING, Choose, Hole, Ref, Step, dependencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Plan, Value
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

__all__ = ["Bounds", "bounds_of", "most_elements"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a plan can ask for at most, holes left out.

    Attributes:
        steps: its steps.
        calls: calls of tools, a map's elements each counted; None where a map has no bound.
        effects: calls that may change the world; None where such a map has no bound.
        width: calls that are equally far from the start, at the widest place; None as above. More
            may run at once where a long call of one level lasts into the next.
        depth: steps on the longest path.
        unbounded: maps whose elements nothing bounds before they run.
        expansions: steps that run plans which are not known yet, and are in none of these figures.
        work_s: seconds of all calls, one after the other, as estimated; None where a tool has no
            estimate.
        path_s: seconds of the longest path, as estimated.
        model_calls: calls that ask a model; None where such a map has no bound.
        cost_usd: what all calls cost whose tools say what one costs; None where such a map has no
            bound.
        unpriced: calls whose tools do not say; None as above.
    """

    steps: int
    calls: int | None
    effects: int | None
    width: int | None
    depth: int
    unbounded: tuple[str, ...] = ()
    expansions: tuple[str, ...] = ()
    work_s: float | None = None
    path_s: float | None = None
    model_calls: int | None = 0
    cost_usd: float | None = 0.0
    unpriced: int | None = 0

    @property
    def said(self) -> str:
        """The figures in one line."""
        calls = "calls not bounded"
        if self.calls is not None:
            calls = f"at most {self.calls:,} call{'' if self.calls == 1 else 's'}"
        wide = f", {self.width:,} on the widest level" if self.width is not None else ""
        maps = f"; no bound on {', '.join(self.unbounded[:8])}" if self.unbounded else ""
        more = ""
        if self.expansions:
            more = f"; and what the plans expanded by {', '.join(self.expansions[:8])} ask for"
        plural = "" if self.steps == 1 else "s"
        return (
            f"{self.steps:,} step{plural}, {calls}{wide}, {self.depth:,} one after the other"
            f"{self._cost}{maps}{more}"
        )

    @property
    def _cost(self) -> str:
        """What the calls cost, where any tool says so."""
        if self.cost_usd is None:
            return ", cost not bounded"
        if not self.cost_usd:
            return ""
        others = f" without {self.unpriced:,} calls of no known price" if self.unpriced else ""
        return f", at most {self.cost_usd:.4g} USD{others}"

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {**found, "unbounded": [*self.unbounded], "expansions": [*self.expansions]}


def most_elements(
    step: Step, elements: Mapping[str, int | None], limits: Limits | None
) -> int | None:
    """How often a step's tool can be called; None where nothing says so.

    Args:
        step: the step; without `over`, it is called once.
        elements: the same of earlier steps, by id; maps alone are looked at.
        limits: the bounds that hold, if any do.
    """
    over = step.over
    if over is MISSING:
        return 1
    known: list[int | None] = [step.bound, limits.max_width if limits else None]
    if isinstance(over, (list, tuple)):
        known.append(len(cast("list[Any]", over)))
    else:
        known.append(_longest_list(over, elements))
    return min((most for most in known if most is not None), default=None)


def _longest_list(over: Value, elements: Mapping[str, int | None]) -> int | None:
    """Elements of the results of maps that `over` names, or may choose from."""
    refs = over.options if isinstance(over, Choose) else (over,)
    lengths = [
        elements.get(ref.step) if isinstance(ref, Ref) and not ref.path else None for ref in refs
    ]
    known = [length for length in lengths if length is not None]
    return max(known) if known and len(known) == len(lengths) else None


def bounds_of(
    plan: Plan,
    specs: Mapping[str, ToolSpec],
    limits: Limits | None = None,
    *,
    seconds: Mapping[str, float] | None = None,
) -> Bounds:
    """What a plan can ask for at most.

    Args:
        plan: the plan; references to steps that it does not have count for nothing.
        specs: the tools, for their effects.
        limits: the bounds that will hold, if any do.
        seconds: the estimated seconds of a call, by tool.

    Cost: linear in the plan.
    """
    steps = [entry for entry in plan.entries if not isinstance(entry, Hole)]
    maps: dict[str, int | None] = {}
    most: dict[str, int | None] = {}
    depth: dict[str, int] = {}
    path_s: dict[str, float | None] = {}
    for step in steps:
        most[step.id] = most_elements(step, maps, limits)
        if step.over is not MISSING:
            maps[step.id] = most[step.id]
        before = [id for id in dependencies(step) if id in depth and id != step.id]
        depth[step.id] = 1 + max((depth[id] for id in before), default=0)
        path_s[step.id] = _path(step, [path_s[id] for id in before], seconds or {})
    called = {step.id: specs[step.tool] for step in steps if step.tool in specs}
    effects = [id for id, spec in called.items() if spec.effectful]
    asking = [id for id, spec in called.items() if spec.asks_model]
    priced = {id: spec.cost_usd for id, spec in called.items() if spec.cost_usd is not None}
    free = [id for id, spec in called.items() if spec.implicit]
    levels: Counter[int] = Counter()
    for id, level in depth.items():
        levels[level] += most[id] or 0
    bounded = None not in most.values()
    return Bounds(
        steps=len(steps),
        calls=_total(list(most.values())),
        effects=_total([most[id] for id in effects]),
        width=max(levels.values(), default=0) if bounded else None,
        depth=max(depth.values(), default=0),
        unbounded=tuple(id for id, elements in most.items() if elements is None),
        expansions=tuple(step.id for step in steps if step.tool == "expand"),
        work_s=_work(steps, most, seconds or {}),
        path_s=_longest(list(path_s.values())),
        model_calls=_total([most[id] for id in asking]),
        cost_usd=_cost_of(priced, most),
        unpriced=_total([most[id] for id in most if id not in priced and id not in free]),
    )


def _total(calls: list[int | None]) -> int | None:
    known = [most for most in calls if most is not None]
    return sum(known) if len(known) == len(calls) else None


def _cost_of(priced: Mapping[str, float], most: Mapping[str, int | None]) -> float | None:
    costs = [(most[id], each) for id, each in priced.items()]
    known = [calls * each for calls, each in costs if calls is not None]
    return math.fsum(known) if len(known) == len(costs) else None


def _path(step: Step, before: list[float | None], seconds: Mapping[str, float]) -> float | None:
    known = [path for path in before if path is not None]
    if step.tool not in seconds or len(known) < len(before):
        return None
    return seconds[step.tool] + max(known, default=0.0)


def _longest(paths: list[float | None]) -> float | None:
    known = [path for path in paths if path is not None]
    return max(known) if known and len(known) == len(paths) else None


def _work(
    steps: list[Step], most: Mapping[str, int | None], seconds: Mapping[str, float]
) -> float | None:
    """All calls one after the other."""
    total = 0.0
    for step in steps:
        calls = most[step.id]
        if calls is None or step.tool not in seconds:
            return None
        total += calls * seconds[step.tool]
    return total if steps else None
