"""The plan: a finite DAG of typed steps with references, possibly still arriving.

    Value    = JSON scalar | list[Value] | {str: Value} | Ref | Item | Input | Template | Choose
    Step     = id, tool, args {name: Value}, after, over, bound, when, default, role, sees,
               reads, writes, timeout_s, retry, note, origin
    Plan     = steps in order, append-only, open or closed; output; round

A reference is a node of the tree, never text: a dialect parses placeholders once, and a result
takes their place as a value that nobody scans again.

Invariant: `Step` and the nodes are immutable; a `Plan` only grows, until it is closed. A bad line
holds its place as a `Hole`, which may be filled once.

>>> plan = Plan()
>>> plan.add(Step("1", "price", {"ticker": "AAPL"}))
>>> plan.add(Step("2", "double", {"x": Ref("1")}))
>>> [ref.step for ref in references(plan.steps[1])]
['1']
"""

from __future__ import annotations

from dataclasses import MISSING as DATACLASS_MISSING
from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from heddle.plan.findings import Finding, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "MISSING",
    "Choose",
    "Hole",
    "Input",
    "Item",
    "Node",
    "Origin",
    "Path",
    "Plan",
    "Ref",
    "Step",
    "Template",
    "Value",
    "When",
    "dependencies",
    "nodes_of",
    "plain_step",
    "qualified",
    "references",
]

Path: TypeAlias = "tuple[str | int, ...]"


class _Missing:
    """The absence of a value, where null is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of a step, or the part of it at `path` (plain dict and list look-ups)."""

    step: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Item:
    """The element of the enclosing `over`, or the part of it at `path`."""

    path: Path = ()


@dataclass(frozen=True, slots=True)
class Input:
    """Data that the caller passed as `inputs={name: …}`, or the part of it at `path`."""

    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Template:
    """Text with references in it, rendered once, when the step starts."""

    parts: tuple[str | Ref | Item | Input, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """The first of these whose step was not skipped: the merge after an `if`."""

    options: tuple[Ref, ...]


Node: TypeAlias = Ref | Item | Input | Template | Choose
Value: TypeAlias = Any  # JSON, with nodes anywhere in it


@dataclass(frozen=True, slots=True)
class When:
    """A guard: the step runs when the subject is JSON true (or false, if negated)."""

    subject: Ref | Item | Input
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call with arguments.

    Positional arguments are stored under "0", "1", … until the verifier names them from the
    tool's own order. `note` and `origin` are for people: canonical text and hashes leave them out.

    Attributes:
        after: ids of steps that must have ended before, without passing a value.
        over: a list-valued value; the step runs once for each element (a map).
        bound: at most so many elements, when `over` is given.
        default: the value that dependents see if the step fails; MISSING for none.
        role: which model role an LLM step speaks in.
        sees: ids that an LLM step may see; None for its references only.
        reads: named resources that order this step after earlier writers.
        writes: named resources that order this step after earlier readers and writers.
        timeout_s: seconds for one attempt; None for the tool's or the run's own.
        retry: further attempts after the first; None for the tool's own.
    """

    id: str
    tool: str
    args: Mapping[str, Value] = field(default_factory=dict[str, Any])
    after: tuple[str, ...] = ()
    over: Value = MISSING
    bound: int | None = None
    when: When | None = None
    default: Value = MISSING
    role: str | None = None
    sees: tuple[str, ...] | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    timeout_s: float | None = None
    retry: int | None = None
    note: str = ""
    origin: Origin | None = None


_Unsealed: Any = make_dataclass(
    "_Unsealed",
    [
        each.name if each.default is DATACLASS_MISSING else (each.name, Any, each.default)
        for each in fields(Step)
    ],
    slots=True,
)  # the same slots, and setting one is no call


def plain_step(
    id: str,
    tool: str,
    args: Mapping[str, Value],
    note: str = "",
    origin: Origin | None = None,
    kind: type[Step] = Step,
) -> Step:
    """A step with arguments and nothing else: what `Step` makes, in a fifth of the time.

    A journal may hold a million; a frozen dataclass takes 3 µs to set its fields, one by one.
    """
    step = _Unsealed(id, tool, args, note=note, origin=origin)
    step.__class__ = kind
    return step


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of a bad line: its id is reserved and its dependents wait.

    Attributes:
        text: the line as the model wrote it.
        findings: what is wrong with it; at least one, the first says why it is a hole.
    """

    id: str
    text: str
    findings: tuple[Finding, ...]
    origin: Origin | None = None


class Plan:
    """Steps in order, append-only, open until `close`.

    Args:
        round: 1 for the first plan of a run; ids of later rounds read `round.name`.
        text: the planner's own words, kept for people and for repair.
        dialect: the name of the dialect that the text is in; "" for none.

    Cost: `add`, `fill` and look-ups are O(1).
    """

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        output: Value = None,
        round: int = 1,
        text: str = "",
        dialect: str = "",
    ) -> None:
        self.entries: list[Step | Hole] = []
        self.findings: list[Finding] = []
        self.output: Value = output
        self.round = round
        self.text = text
        self.dialect = dialect
        self.closed = False
        self.hashes: list[bytes] = []  # prefix hashes known so far; `plan.canonical` extends them
        self._places: dict[str, int] = {}
        self._open_holes = 0
        for step in steps:
            self.add(step)

    @property
    def steps(self) -> list[Step]:
        """The steps in plan order, without the holes."""
        if not self._open_holes:
            return self.entries  # type: ignore[return-value]  # no hole among them
        return [entry for entry in self.entries if isinstance(entry, Step)]

    @property
    def holes(self) -> list[Hole]:
        """The places of bad lines that nothing has filled, in plan order."""
        if not self._open_holes:
            return []
        return [entry for entry in self.entries if isinstance(entry, Hole)]

    def __contains__(self, id: str) -> bool:
        return id in self._places

    def __getitem__(self, id: str) -> Step | Hole:
        return self.entries[self._places[id]]

    def __len__(self) -> int:
        return len(self.entries)

    def place(self, id: str) -> int:
        """The position of a step or hole in the plan, counted from 0."""
        return self._places[id]

    def add(self, entry: Step | Hole) -> None:
        """Append a step or a hole.

        A second entry of one id is kept in `entries`, so that the verifier can name it; look-ups
        go on to see the first.

        Raises:
            ValueError: the plan is closed.
        """
        if self.closed:
            raise ValueError("the plan is closed")
        self._places.setdefault(entry.id, len(self.entries))
        self._open_holes += isinstance(entry, Hole)
        self.entries.append(entry)

    def fill(self, step: Step) -> None:
        """Put a step in the place of the hole of the same id; its findings go with the hole.

        Raises:
            KeyError: no entry of that id.
            ValueError: the entry is not a hole.
        """
        place = self._places[step.id]
        hole = self.entries[place]
        if not isinstance(hole, Hole):
            raise ValueError(f"step {step.id} is not a hole")
        gone = set(map(id, hole.findings))
        self.findings = [finding for finding in self.findings if id(finding) not in gone]
        self.entries[place] = step
        self._open_holes -= 1
        del self.hashes[place:]

    def dig(self, hole: Hole) -> None:
        """Put a hole in the place of a step that turned out to be bad.

        Raises:
            KeyError: no entry of that id.
        """
        place = self._places[hole.id]
        self._open_holes += not isinstance(self.entries[place], Hole)
        self.entries[place] = hole
        del self.hashes[place:]

    def close(self) -> None:
        """No more steps will come."""
        self.closed = True


def qualified(round: int, name: str) -> str:
    """The run-wide id of a step: a round's number and the dialect's own name.

    >>> qualified(1, "3"), qualified(2, "3")
    ('3', '2.3')
    """
    return name if round == 1 else f"{round}.{name}"


_SCALARS = frozenset((str, int, float, bool, type(None)))


def nodes_of(value: Value) -> Iterator[Node]:
    """All nodes in a value, in reading order; a template's parts follow the template.

    Cost: linear, without recursion, so that deep values are harmless.
    """
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if item.__class__ in _SCALARS or isinstance(item, (str, int, float)):
            continue
        if isinstance(item, dict):
            stack.extend(reversed(list(cast("dict[str, Any]", item).values())))
        elif isinstance(item, (list, tuple)):
            stack.extend(reversed(item))  # type: ignore[arg-type]
        elif isinstance(item, (Ref, Item, Input)):
            yield item
        elif isinstance(item, Template):
            yield item
            stack.extend(reversed(item.parts))
        elif isinstance(item, Choose):
            yield item
            stack.extend(reversed(item.options))


def references(step: Step) -> list[Ref]:
    """Every reference of a step: in its arguments, its `over` and its guard, in reading order."""
    args = [item for item in step.args.values() if item.__class__ not in _SCALARS]
    found = [node for node in nodes_of(args) if isinstance(node, Ref)] if args else []
    if step.over is not MISSING:
        found += [node for node in nodes_of(step.over) if isinstance(node, Ref)]
    if step.when is not None and isinstance(step.when.subject, Ref):
        found.append(step.when.subject)
    return found


def dependencies(step: Step) -> dict[str, None]:
    """The ids that must have ended before the step may start, each once, in reading order."""
    return dict.fromkeys([*(ref.step for ref in references(step)), *step.after])
