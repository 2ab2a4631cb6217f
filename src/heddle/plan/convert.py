r"""A plan of one dialect as text of another: renamed where it must be, never changed in silence.

>>> from heddle.plan.dialects import parse
>>> plan = parse('#E1 = search["a"]\n#E2 = read[#E1]', "rewoo")
>>> converted = convert(plan, "llmcompiler")
>>> print(converted.text, converted.renamed)
1. search("a")
2. read($1)
3. join()
 {'E1': '1', 'E2': '2'}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import DIALECTS, dialect_named, parse
from heddle.plan.ir import (
    MISSING,
    Choose,
    Plan,
    Ref,
    Step,
    Template,
    dependencies,
    nodes_of,
)
from heddle.plan.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heddle.plan.dialects import Dialect
    from heddle.plan.ir import Value
    from heddle.plan.spec import ToolSpec

__all__ = ["Converted", "able", "convert", "renamed"]

_STEP = re.compile(r"\bstep '?([^\s:,']++)'?")


@dataclass(frozen=True, slots=True)
class Converted:
    """A plan as text of a dialect.

    Attributes:
        plan: what the text reads as.
        renamed: the new id of each step by its old one; empty where all ids stayed.
        named: ids, the plan's own, of the steps whose positional arguments were given names.
    """

    text: str
    dialect: str
    plan: Plan
    renamed: dict[str, str]
    named: tuple[str, ...] = ()


def convert(plan: Plan, dialect: str, tools: Mapping[str, ToolSpec] | None = None) -> Converted:
    """A plan as text of a dialect, read back to see that it is the same plan.

    Ids stay where the dialect can carry all of them; else every step gets the id that the dialect
    gives the n-th one. Positional arguments are named only where the dialect cannot express the
    plan otherwise.

    Args:
        plan: it is left as it is.
        dialect: a name from `DIALECTS`.
        tools: by name, where arguments may be named in the order of their parameters.

    Invariant: the text reads as the plan that was given, but for the changes that are said: the
        canonical text is the same after renaming.
    Cost: linear in the plan, but for what the dialect's own writer costs; written at most four
        times.

    Raises:
        ConfigError: there is no dialect of that name.
        ValueError: the dialect cannot express the plan; the message says which part.
    """
    module = dialect_named(dialect)
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    failure: ValueError | None = None
    for own in _spellings(plan, tools):
        for names in _namings(own, module):
            try:
                found = _written(own, dialect, names)
            except ValueError as error:
                fault = ValueError(_in_own_names(str(error), names))
                failure = fault if own is plan else failure or fault
            else:
                return replace(found, named=_changed(plan, own))
    raise failure or ValueError("the plan cannot be written")


def able(plan: Plan, tools: Mapping[str, ToolSpec] | None = None) -> list[str]:
    """The names of all dialects that can express a plan. Cost: that of converting to each."""
    return [name for name in DIALECTS if _expresses(name, plan, tools)]


def _expresses(dialect: str, plan: Plan, tools: Mapping[str, ToolSpec] | None) -> bool:
    try:
        convert(plan, dialect, tools)
    except ValueError:
        return False
    return True


# -- ways to try ---------------------------------------------------------------------------------


def _spellings(plan: Plan, tools: Mapping[str, ToolSpec] | None) -> Iterator[Plan]:
    """The plan as it is, then with its arguments named, where that makes a difference."""
    yield plan
    if tools:
        verifier = Verifier(tools)
        steps = [verifier.named(step) for step in plan.steps]
        if any(one is not two for one, two in zip(steps, plan.steps, strict=True)):
            yield Plan(steps, output=plan.output)


def _namings(plan: Plan, module: Dialect) -> Iterator[dict[str, str]]:
    """New ids by old ones: none if all of them fit, then the dialect's own."""
    ids = [step.id for step in plan.steps]
    own = {id: module.id_for(n) for n, id in enumerate(ids, 1)}
    same = all(old == new for old, new in own.items())
    if same or all(map(module.fits, ids)):
        yield {}
    if not same:
        yield own


def _changed(plan: Plan, other: Plan) -> tuple[str, ...]:
    """The ids of the steps whose arguments have other names."""
    pairs = zip(plan.steps, other.steps, strict=True)
    return tuple(one.id for one, two in pairs if one.args.keys() != two.args.keys())


def _written(plan: Plan, dialect: str, names: dict[str, str]) -> Converted:
    """The plan under these names, written and read back.

    Raises:
        ValueError: the dialect cannot express it.
    """
    meant = renamed(plan, names) if names else Plan(plan.steps, output=plan.output)
    try:
        wanted = canonical_text(meant)
        text = dialect_named(dialect).write(meant)
        read = parse(text, dialect)
        same = not read.holes and canonical_text(read) == wanted
    except RecursionError:
        raise ValueError("a value nests too deep to be written") from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    errors = [finding for finding in read.findings if finding.severity == "error"]
    if errors:
        raise ValueError(f"the {dialect} dialect would read it otherwise: {errors[0].message}")
    if not same:
        raise ValueError(
            f"the {dialect} dialect would read it otherwise: {_differing(meant, read)}"
        )
    return Converted(text, dialect, read, names)


def _differing(plan: Plan, read: Plan) -> str:
    """What is not the same in two plans that differ."""
    for one, two in zip(plan.steps, read.steps, strict=False):
        if canonical_text(Plan([one])) != canonical_text(Plan([two])):
            return f"step {one.id} is not the same"
    if len(plan.steps) != len(read.steps):
        return f"it has {len(read.steps)} steps"
    return "its output is not the same"


def _in_own_names(message: str, names: Mapping[str, str]) -> str:
    """A message about renamed steps that says the plan's own ids too."""
    old = {new: id for id, new in names.items()}

    def both(found: re.Match[str]) -> str:
        id = old.get(found[1], found[1])
        return found[0] if id == found[1] else f"{found[0]} (the plan's {id})"

    return _STEP.sub(both, message)


# -- renaming ------------------------------------------------------------------------------------


def renamed(plan: Plan, names: Mapping[str, str]) -> Plan:
    """A plan with other ids, in its references, orders and output too; its round is 1.

    Args:
        plan: without holes.
        names: the new id of every step by its old one.

    Cost: linear in the plan.

    Raises:
        ValueError: two steps have one id, or something refers to no step of the plan, so that
            renaming could make it mean another one; a value nests too deep.
    """
    _refuse_strangers(plan, names)
    renaming = _Renaming(names)
    try:
        steps = [renaming.step(step) for step in plan.steps]
        return Plan(steps, output=renaming.value(plan.output))
    except RecursionError:
        raise ValueError("a value nests too deep to be renamed") from None


def _refuse_strangers(plan: Plan, names: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for step in plan.steps:
        if step.id in seen:
            raise ValueError(f"two steps have the id {step.id!r}: they cannot be renamed")
        seen.add(step.id)
    for step in plan.steps:
        for id in (*dependencies(step), *(step.sees or ())):
            if id not in names:
                raise ValueError(f"step {step.id}: it refers to {id!r}, no step of this plan")
    for node in nodes_of(plan.output):
        if isinstance(node, Ref) and node.step not in names:
            raise ValueError(f"the output refers to {node.step!r}, no step of this plan")


class _Renaming:
    """Puts new ids in the place of old ones. The names within an expression are no ids."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def step(self, step: Step) -> Step:
        """A step with every id renamed, and without its place in a text of other names."""
        when = step.when
        return replace(
            step,
            id=self._names[step.id],
            args=self.value(dict(step.args)),
            after=self._all(step.after),
            over=MISSING if step.over is MISSING else self.value(step.over),
            when=replace(when, subject=self.value(when.subject)) if when else None,
            sees=None if step.sees is None else self._all(step.sees),
            origin=None,
        )

    def _all(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._names[id] for id in ids)

    def value(self, value: Value) -> Any:
        """A value with every reference renamed."""
        if isinstance(value, Ref):
            return Ref(self._names[value.step], value.path)
        if isinstance(value, Template):
            return Template(tuple(self.value(part) for part in value.parts))
        if isinstance(value, Choose):
            return Choose(tuple(self.value(option) for option in value.options))
        if isinstance(value, dict):
            held = cast("dict[str, Value]", value)
            return {name: self.value(item) for name, item in held.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in cast("list[Value]", value)]
        return value
