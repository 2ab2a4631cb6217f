"""What the names of a Python program stand for, and the ids that its steps get.

A variable is a reference to the step that computes it, and its step has its name: `x`, and when x
is assigned again, `x:2`. What has no name is `_1`, `_2`, …. What a statement has changed can be
taken back, so that a statement that is refused in its middle leaves no trace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heddle.plan.expression import at_path
from heddle.plan.ir import Choose, Input, Ref, qualified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Path

__all__ = ["Bound", "Cell", "Scope"]

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,55}")
_VERSION = re.compile(r"(?P<name>[A-Za-z_]\w*):(?P<version>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of the element that a comprehension is at: which of its lists, and the path."""

    column: int
    path: Path = ()


Bound: TypeAlias = Ref | Input | Choose | Cell
"""What a name may stand for."""


class Scope:
    """The names so far.

    Args:
        round: the round of the plan; ids of later rounds are qualified.
        earlier: ids of earlier rounds, by the name that the text would use.
    """

    def __init__(self, round: int, earlier: Mapping[str, str] | None) -> None:
        self._round = round
        self._names: dict[str, Bound] = {}
        self._parts: dict[str, dict[str | int, Bound]] = {}
        self._used: set[str] = set()
        self._next: dict[str, int] = {}  # where to look for a free version of a name
        self._changes: list[dict[str, Bound | None]] = []
        self._learn(earlier or {})

    def _learn(self, earlier: Mapping[str, str]) -> None:
        """Bind the names of earlier steps; a name with versions means its last one."""
        versions: dict[str, int] = {}
        for name, id in earlier.items():
            found = _VERSION.fullmatch(name)
            base = found["name"] if found else name
            version = int(found["version"]) if found else 1
            if version >= versions.get(base, 0):
                versions[base] = version
                self._names[base] = Ref(id)
            if id == qualified(self._round, name):
                self._used.add(name)  # a step of this round, where one line is read again

    # -- names

    def get(self, name: str, path: Path = ()) -> Bound | None:
        """What a name, or the part of it at a path, stands for; None where it is no name."""
        found = self._names.get(name)
        if found is None or not path:
            return found
        parts = self._parts.get(name)
        if parts is not None and path[0] in parts:
            found, path = parts[path[0]], path[1:]
        if isinstance(found, Cell):
            return Cell(found.column, (*found.path, *path))
        return at_path(found, path)  # type: ignore[return-value]  # it is what went in

    def put(self, name: str, bound: Bound, parts: dict[str | int, Bound] | None = None) -> None:
        """From now on the name stands for this.

        Args:
            name: as the program spells it.
            bound: what it stands for.
            parts: what its elements stand for, where that is known to be more direct.
        """
        if self._changes:
            self._changes[-1].setdefault(name, self._names.get(name))
        self._names[name] = bound
        self._parts.pop(name, None)
        if parts:
            self._parts[name] = parts

    def begin(self) -> None:
        """Remember what is changed from here on."""
        self._changes.append({})

    def undo(self) -> dict[str, Bound]:
        """Take back what was changed since `begin`; what the changed names stood for."""
        new: dict[str, Bound] = {}
        for name, old in self._changes.pop().items():
            new[name] = self._names.pop(name)
            self._parts.pop(name, None)
            if old is not None:
                self._names[name] = old
        return new

    def keep(self) -> None:
        """What was changed since `begin` stays."""
        changes = self._changes.pop()
        if self._changes:
            self._changes[-1] = {**changes, **self._changes[-1]}

    # -- ids

    def id(self, name: str = "") -> str:
        """A new id for a step: that of a variable, or an unnamed one."""
        found = self._version(name) if _ID.fullmatch(name) else self._number()
        self._used.add(found)
        return qualified(self._round, found)

    def release(self, id: str) -> None:
        """An id was not used after all."""
        name = id.partition(".")[2] if self._round > 1 else id
        self._used.discard(name)
        self._next.pop(name.partition(":")[0] if not name.startswith("_") else "", None)

    def _version(self, name: str) -> str:
        if name not in self._used:
            return name
        version = self._next.get(name, 2)
        while f"{name}:{version}" in self._used:
            version += 1
        self._next[name] = version + 1
        return f"{name}:{version}"

    def _number(self) -> str:
        number = self._next.get("", 1)
        while f"_{number}" in self._used:
            number += 1
        self._next[""] = number + 1
        return f"_{number}"
