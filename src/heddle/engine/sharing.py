"""Sharing: equal calls of a run are one call.

Policy. Two steps make the same call when they name the same tool with the same filled arguments and
the same time limit. Types count (1, 1.0 and true differ), the order of an object's keys does not.
The first becomes the call; the others follow it. A follower takes no slot and no allowance and has
no attempt of its own; it gets a copy of the value, or the same failure.

- `pure`: for the whole run, values and failures, but for one that was out of time.
- `read`: until the world may have changed, which is when an effect begins or has returned, or
  another round begins. Who waits for the call in flight shares its failure too; who comes later
  looks again. A step that says when to look (`after`, `reads`, `writes`) always looks itself.
- `idempotent`, `write`, and tools declared with `fuse=False`: never.

A call that was ended from outside (cancelled, its line taken back) has no outcome to share: the
next of its followers makes it instead.

Source: the LLM-Tool Compiler fuses similar calls of one turn (arXiv 2405.17438, section 3); here
only equal calls are fused, because only they can be without asking a model. Forms that take many
calls at once are `batches`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.engine.events import TERMINAL
from heddle.engine.fill import ATOMS, fill, part
from heddle.engine.lookup import NothingChosen
from heddle.errors import ToolFailed
from heddle.plan.ir import Item, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.lookup import Lookup
    from heddle.engine.map_run import Element
    from heddle.engine.node import Node
    from heddle.plan.ir import Choose, Input, Step, Value

__all__ = ["Sharing"]

_Mark: TypeAlias = int
"""A hash of a call's tool and scalars: the same for equal calls, and seldom for others."""

_MOST = 16_384
"""Marks that are kept; with one more all are forgotten, so that a long map needs little memory."""

_LONGEST = 64 * 1024
"""Characters of arguments as JSON; calls with more are not compared."""


class _Calls:
    """Calls by mark, until another has the same; then by key."""

    __slots__ = ("keys", "marks")

    def __init__(self) -> None:
        self.marks: dict[_Mark, Node | None] = {}
        self.keys: dict[bytes, Node] = {}

    def forget(self) -> None:
        """No call that was made can be shared any more."""
        self.marks.clear()
        self.keys.clear()


class Sharing:
    """The calls of one run that other steps may share.

    Args:
        lookup: the values of the run.

    Attributes:
        followers: by call in flight, the steps that wait for its outcome.
        world: how often the world may have changed.

    Cost: of a call like no other, one look-up; else linear in the arguments. A hash and a reference
    are kept for each call.
    """

    def __init__(self, lookup: Lookup) -> None:
        self.followers: dict[Node, list[Node]] = {}
        self.world = 0
        self._peek = lookup.peek
        self._pure = _Calls()
        self._reads = _Calls()
        self._failures: dict[Node, tuple[str, str]] = {}

    def recall(self, node: Node) -> None:
        """A `pure` call was made in the past of the run: it need not be made again."""
        if node.element is None and node.map is None and node.spec.fuses:  # type: ignore[union-attr]
            self.find(node)

    def world_changed(self) -> None:
        """An effect has begun or returned, or a round begins: what was read may be stale."""
        self.world += 1
        if self._reads.marks:
            self._reads.forget()

    def failed(self, node: Node, code: str, message: str) -> None:
        """A call ended in a failure of its own, which is also that of its followers."""
        if node.spec.fuses:  # type: ignore[union-attr]  # only steps fail in attempts
            self._failures[node] = code, message

    def has_outcome(self, leader: Node) -> bool:
        """Whether a call that has ended came to something by itself."""
        return leader.status == "done" or leader in self._failures

    def failure(self, node: Node) -> tuple[str, str]:
        """Code and message of a call that `find` gave, and that failed."""
        return self._failures[node]

    def follow(self, leader: Node, node: Node) -> None:
        """A step waits for the outcome of a call in flight."""
        self.followers.setdefault(leader, []).append(node)

    def find(self, node: Node) -> Node | None:
        """Whose outcome a ready step will have; None if it makes the call itself.

        What it gives is still open, or done, or failed with a `failure`.
        """
        step: Step = node.step  # type: ignore[assignment]  # only steps become ready
        calls = self._pure
        if node.spec.effect != "pure":  # type: ignore[union-attr]  # only steps become ready
            if step.after or step.reads or step.writes:
                return None
            calls = self._reads
        mark = hash(step.tool)
        for name, value in step.args.items():
            kind = value.__class__
            if kind in ATOMS:
                mark ^= hash((name, value))
            elif kind is not list and kind is not dict:
                try:
                    mark ^= self._mark_of(node, name, value)
                except (ToolFailed, NothingChosen):
                    return None  # the step says so itself when it runs
        if len(calls.marks) >= _MOST:
            calls.forget()
        first = calls.marks.setdefault(mark, node)
        if first is node:
            return None
        calls.marks[mark] = None
        return self._compare(node, calls, first)

    def was_made(self, node: Node) -> bool:
        """Whether a call was made that looks the same, and may be shared.

        Raises:
            ToolFailed: an argument cannot be filled; see `Lookup.fill`.
            NothingChosen: a choice has no option with a value.
        """
        step: Step = node.step  # type: ignore[assignment]  # only steps become ready
        if not node.spec.fuses:  # type: ignore[union-attr]  # only steps become ready
            return False
        calls = self._pure if node.spec.effect == "pure" else self._reads  # type: ignore[union-attr]
        mark = hash(step.tool)
        for name, value in step.args.items():
            mark ^= self._mark_of(node, name, value)
        return mark in calls.marks

    def _compare(self, node: Node, calls: _Calls, first: Node | None) -> Node | None:
        """The call equal to a step's, among those of one mark, if there is one to share."""
        if first is not None and (key := self._key(first)) is not None:
            calls.keys[key] = first
        if (key := self._key(node)) is None:
            return None
        leader = calls.keys.setdefault(key, node)
        if leader is node:
            return None
        if leader.status not in TERMINAL or leader.status == "done":
            return leader
        if calls is self._pure and self._lasting(leader):
            return leader
        calls.keys[key] = node
        return None

    def _peek_at(self, element: Element) -> Callable[[Ref | Input | Item | Choose], Any]:
        def peek(node: Ref | Input | Item | Choose) -> Any:
            if type(node) is Item:
                return part(element.item, node.path, "the element")
            return self._peek(node)

        return peek

    def _lasting(self, leader: Node) -> bool:
        """Whether a pure call failed because of its arguments, and would fail again."""
        return leader in self._failures and self._failures[leader][0] != "timed-out"

    def _mark_of(self, node: Node, name: str, value: Value) -> _Mark:
        """The share that a reference or a template has in the mark of a call."""
        peek = self._peek if node.element is None else self._peek_at(cast("Element", node))
        value = peek(value) if value.__class__ is Ref else fill(value, peek)
        return hash((name, value)) if value.__class__ in ATOMS else 0

    def _key(self, node: Node) -> bytes | None:
        """What equal calls have in common; None for arguments that are too large, or bad."""
        step: Step = node.step  # type: ignore[assignment]  # only steps become ready
        try:
            peek = self._peek if node.element is None else self._peek_at(cast("Element", node))
            args = {name: fill(value, peek) for name, value in step.args.items()}
            text = json.dumps(
                [step.tool, step.timeout_s, step.role, step.sees, args], sort_keys=True
            )
        except (ToolFailed, NothingChosen, TypeError, ValueError):
            return None
        return sha256(text.encode()).digest()[:16] if len(text) <= _LONGEST else None
