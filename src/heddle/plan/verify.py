"""The verifier: checks each step as it arrives, and the plan when it closes.

Nothing runs before it was checked. What is checked is in `plan.rules`; here is only the order of
things: what is known when, and what is said about the plan as a whole.

>>> from heddle.plan.ir import Plan, Step
>>> from heddle.plan.spec import ToolSpec
>>> price = ToolSpec("price", parameters={"properties": {"ticker": {"type": "string"}}})
>>> for finding in check(Plan([Step("1", "price", {"tickr": "A"})]), {"price": price}):
...     print(finding.message, "-", finding.hint)
step 1: price() has no argument "tickr" - did you mean "ticker"?
"""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from heddle.plan.bounds import bounds_of
from heddle.plan.case import Case, Known, Scope, position
from heddle.plan.findings import Finding
from heddle.plan.ir import MISSING, Hole, Plan, Step, dependencies
from heddle.plan.rules import FORWARD_HINT, OUTPUT_RULES, STEP_RULES
from heddle.plan.schema import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from heddle.plan.bounds import Bounds
    from heddle.plan.limits import Limits
    from heddle.plan.rules import Rule
    from heddle.plan.spec import Schema, ToolSpec

__all__ = ["Verifier", "check", "too_dear"]

_MOST_CIRCLES = 8  # named one by one; the forward references of further ones are still reported
_ONCE = frozenset({"too-many-steps", "too-deep", "too-many-calls"})


class Verifier:
    """Checks each step as it arrives, and the plan when it closes.

    Args:
        tools: what may be called, by name.
        limits: size bounds; None for programs and files that a person passes.
        inputs: names that the caller passed; None when they are not known, and so not checked.
        earlier: ids of earlier rounds, with the schema of their results (None: undeclared).
        runnable_only: whether parts of the format that this version cannot run are faults.
        coming: ids that are known to follow. A reference to one is judged when the plan closes;
            without it, it is reported at once as `unknown-reference`.
    """

    def __init__(
        self,
        tools: Mapping[str, ToolSpec],
        *,
        limits: Limits | None = None,
        inputs: Collection[str] | None = None,
        earlier: Mapping[str, Schema | None] | None = None,
        runnable_only: bool = True,
        coming: Collection[str] = (),
    ) -> None:
        self._scope = Scope(tools, limits, inputs, coming, runnable_only)
        for name, result in (earlier or {}).items():
            self._scope.known[name] = Known(result or None, depth=0, place=-1)

    def step(self, step: Step) -> list[Finding]:
        """Check a step against those before it, and remember it, even when it is faulty.

        A step of a hole's id takes the hole's place.

        Cost: linear in the step, whatever the size of the plan.
        """
        case = Case(self._scope, self.named(step))
        found = _apply(STEP_RULES, case, f"step {printable(step.id)}")
        self._scope.told |= _ONCE.intersection(finding.code for finding in found)
        self._scope.unmet |= not case.names.keys() <= self._scope.known.keys()
        if step.over is not MISSING:
            self._scope.maps[step.id] = case.elements
        self._scope.calls += case.elements or 0
        self._remember(step.id, Known(case.result, case.depth, case.place))
        return found

    def hole(self, hole: Hole) -> None:
        """Remember the id of a bad line, whose result nobody knows."""
        before = self._scope.known.get(hole.id)
        place = before.place if before else self._scope.entries
        self._scope.known.pop(hole.id, None)
        self._remember(hole.id, Known(None, depth=1, place=place, hole=True))

    def _remember(self, id: str, known: Known) -> None:
        """Keep the first of two steps of one id, as look-ups in a plan do."""
        scope = self._scope
        if known.place >= scope.entries:
            scope.entries = known.place + 1
        if id not in scope.known or scope.known[id].hole:
            scope.known[id] = known

    def named(self, step: Step) -> Step:
        """The same step with its positional arguments named in the tool's order.

        Those that cannot be named (too many, or given by name as well) stay as they are.
        """
        tool = self._scope.tool(step.tool)
        if tool is None or not any(position(name) is not None for name in step.args):
            return step
        args = {_name_of(name, tool.names, step.args): value for name, value in step.args.items()}
        return replace(step, args=args) if args.keys() != step.args.keys() else step

    def bounds(self, plan: Plan) -> Bounds:
        """What the plan can ask for at most. Cost: linear in the plan."""
        return bounds_of(plan, self._scope.tools, self._scope.limits)

    def close(self, plan: Plan) -> list[Finding]:
        """Check what can only be said of a whole plan: circles, its output, that there is one."""
        errors = any(finding.severity == "error" for finding in plan.findings)
        if not plan.entries and plan.output is None and not errors:
            return [Finding.at(None, "empty-plan", "the plan holds no step", hint="give a step")]
        case = Case(self._scope, Step("", "", {"output": plan.output}))
        return [
            *(_judge_forward(plan, self._scope.coming) if self._scope.unmet else ()),
            *_apply(OUTPUT_RULES, case, "the plan's output"),
            *too_dear(plan, self._scope.tools, self._scope.limits),
        ]

    def check(self, plan: Plan) -> list[Finding]:
        """Everything that is wrong with a plan, of which nothing was shown yet; see `check`."""
        found = list(plan.findings)
        for entry in plan.entries:
            if isinstance(entry, Hole):
                found += entry.findings
                self.hole(entry)
            else:
                found += self.step(entry)
        found += self.close(plan)
        return sorted(dict.fromkeys(found), key=lambda finding: _order(plan, finding))


def _order(plan: Plan, finding: Finding) -> tuple[int, int, int]:
    place = plan.place(finding.step) if finding.step in plan else len(plan)
    return finding.line, finding.column, place


def too_dear(plan: Plan, tools: Mapping[str, ToolSpec], limits: Limits | None) -> Iterator[Finding]:
    """Whether the calls of a plan may cost more than they are allowed to. Cost: linear."""
    most = limits.max_cost_usd if limits else None
    if most is None:
        return
    bounds = bounds_of(plan, tools, limits)
    if bounds.cost_usd is None or bounds.cost_usd > most:
        cost = "without bound" if bounds.cost_usd is None else f"{bounds.cost_usd:.4g} USD"
        message = f"the plan's calls may cost {cost}, more than {most:.4g} USD"
        hint = "give its maps a smaller `bound`, leave steps out, or raise `max_cost_usd`"
        yield Finding.at(None, "too-dear", message, hint=hint)


def _apply(rules: Sequence[tuple[str, Rule]], case: Case, who: str) -> list[Finding]:
    step = case.step
    return [
        Finding.at(step.origin, code, f"{who}: {message}", hint=hint, step=step.id)
        for code, rule in rules
        for message, hint in rule(case)
    ]


def _name_of(name: str, names: Sequence[str], given: Mapping[str, object]) -> str:
    """The name of a positional argument; the name itself if there is none, or it is taken."""
    place = position(name)
    if place is None or name in names or place >= len(names) or names[place] in given:
        return name
    return names[place]


def _judge_forward(plan: Plan, coming: Collection[str]) -> Iterator[Finding]:
    """References to later steps: circles by name, the others one by one."""
    graph: dict[str, set[str]] = {}
    forward: list[tuple[Step, str]] = []
    for place, step in enumerate(plan.entries):
        if isinstance(step, Hole) or plan.place(step.id) != place:
            continue
        needs = [*dependencies(step), *(step.sees or ())]
        graph[step.id] = {name for name in needs if name in plan and name != step.id}
        forward += ((step, name) for name in dict.fromkeys(needs) if _later(plan, name, place))
    circled: set[tuple[str, str]] = set()
    for circle in _circles(graph) if forward else ():
        circled.update(pairwise(circle))
        yield _circle_finding(plan, circle)
    for step, name in forward:
        if (step.id, name) not in circled and name in coming:
            message = f"step {printable(step.id)}: it refers to step {printable(name)}"
            yield Finding.at(
                step.origin,
                "forward-reference",
                f"{message}, which comes later",
                hint=FORWARD_HINT,
                step=step.id,
            )


def _later(plan: Plan, name: str, place: int) -> bool:
    return name in plan and plan.place(name) > place


def _circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Circles that share no step, each as ids that refer to the next one, the first one again last.

    Cost: linear in the graph; at most `_MOST_CIRCLES` are found.
    """
    for _ in range(_MOST_CIRCLES):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][::-1]  # graphlib names them in the order of running
            yield circle
            for name in circle:
                graph[name] = set()
        else:
            return


def _circle_finding(plan: Plan, circle: list[str]) -> Finding:
    first = min(circle, key=plan.place)
    turn = circle.index(first)
    names = [*circle[turn:-1], *circle[:turn], first]
    entry = plan[first]
    return Finding.at(
        entry.origin,
        "cyclic-reference",
        f"step {printable(first)}: steps refer to each other in a circle: "
        + " → ".join(printable(name) for name in (names if len(names) <= 12 else names[:12])),
        hint="take one of these references away",
        step=first,
    )


def check(
    plan: Plan,
    tools: Mapping[str, ToolSpec],
    *,
    limits: Limits | None = None,
    inputs: Collection[str] | None = None,
    earlier: Mapping[str, Schema | None] | None = None,
    runnable_only: bool = True,
) -> list[Finding]:
    """Everything that is wrong with a plan, in the order of its text; [] when it is clean.

    The findings of its reading are among them. The arguments are those of `Verifier`.

    Cost: linear in the plan.
    """
    verifier = Verifier(
        tools,
        limits=limits,
        inputs=inputs,
        earlier=earlier,
        runnable_only=runnable_only,
        coming=[entry.id for entry in plan.entries],
    )
    return verifier.check(plan)
