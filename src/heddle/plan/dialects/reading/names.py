"""What a name in a plan's text means: a step of this round, of an earlier one, or not yet any.

Names that are no step when they are used stay text. They are remembered, so that a reference to
a step that comes later is found when the text has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.plan.findings import Finding
from heddle.plan.ir import Template, qualified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heddle.plan.ir import Input, Origin, Path, Ref, Value

__all__ = ["INPUT", "PATH", "Names", "Place", "path_of", "text_of"]

PATH = r"""(?:\.[^\W\d]\w*+|\[(?:-?[0-9]{1,9}|\\?["'][^"'\\\]\n]*+\\?["'])\])*+"""
"""A path after a reference, as a pattern: `.field`, `[0]`, `["key"]`."""

INPUT = r"[^\W\d]\w*+"
"""The name of an input, as a pattern: `mail` in `$input.mail`."""

_PART = re.compile(r"""\.([^.\[\]]++)|\[(-?[0-9]++)\]|\[\\?["']([^"'\\\]]*+)\\?["']\]""")
_REMEMBERED = 4096


def path_of(text: str) -> Path:
    """The keys and indexes of a path that a pattern has matched."""
    return tuple(
        int(found[2]) if found[2] else found[1] or found[3] or "" for found in _PART.finditer(text)
    )


def text_of(parts: Sequence[str | Ref | Input]) -> Value:
    """A text, a lone reference, or a template: what the parts of a text amount to."""
    filled = [part for part in parts if part != ""]
    if all(isinstance(part, str) for part in filled):
        return "".join(part for part in filled if isinstance(part, str))
    return filled[0] if len(filled) == 1 else Template(tuple(_merged(filled)))


def _merged(parts: Sequence[str | Ref | Input]) -> Iterator[str | Ref | Input]:
    """The parts, with neighbouring texts made one."""
    text: list[str] = []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
            continue
        if text:
            yield "".join(text)
            text = []
        yield part
    if text:
        yield "".join(text)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is used: the step's own name and id, its origin and its line."""

    name: str
    step: str
    origin: Origin
    snippet: str

    def finding(self, code: str, message: str, hint: str, *, warning: bool = False) -> Finding:
        """A finding at this place."""
        return Finding.at(
            self.origin,
            code,
            message,
            hint=hint,
            snippet=self.snippet,
            step=self.step,
            severity="warning" if warning else None,
        )


class Names:
    """The names that are steps so far.

    Args:
        round: the round of the plan; ids of later rounds are qualified.
        earlier: ids of earlier rounds, by the name that the text would use.
        mark: what the dialect puts before a name to refer to it; findings show it.

    Attributes:
        findings: what was found since they were last taken; whoever reads takes them.
    """

    def __init__(self, round: int, earlier: Mapping[str, str] | None, mark: str = "$") -> None:
        self.findings: list[Finding] = []
        self._round = round
        self._mark = mark
        self._escape = f"without `{mark}`" if mark else "in other words"
        self._earlier = earlier or {}
        self._own: dict[str, str] = {}
        self._unknown: dict[str, list[tuple[Place, bool]]] = {}
        self._remembered = 0
        self._warned: set[tuple[str, str]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._own

    def id_of(self, name: str) -> str:
        """The run-wide id of a step of this round, whether or not it exists."""
        return qualified(self._round, name)

    def add(self, name: str) -> None:
        """From now on the name is a step of this round."""
        self._own.setdefault(name, qualified(self._round, name))

    def find(self, name: str, place: Place) -> str | None:
        """The id that the name means, or None. A name in two rounds means the later one."""
        own, earlier = self._own.get(name), self._earlier.get(name)
        if own and earlier:
            self._warn_earlier(name, own, place)
        if own or name == place.name:
            return own
        if earlier:
            self._remember(name, place, False)
        return earlier

    def unknown(self, name: str, place: Place, *, certain: bool) -> None:
        """The name was left as text.

        Args:
            name: what stands where a step's name could stand.
            place: the step that uses it.
            certain: nothing but a reference can be meant, so it deserves a warning.
        """
        if name == place.name:
            self.findings.append(
                place.finding(
                    "cyclic-reference",
                    f"step {name} refers to itself",
                    f"refer to an earlier step, or write what is meant {self._escape}",
                )
            )
        else:
            self._remember(name, place, certain)

    def close(self) -> None:
        """The text has ended: find the references to steps that came too late."""
        for name, uses in self._unknown.items():
            for place, certain in uses:
                finding = self._late(name, place, certain)
                if finding:
                    self.findings.append(finding)
        self._unknown = {}

    def _remember(self, name: str, place: Place, certain: bool) -> None:
        self._remembered += 1
        uses = self._unknown.get(name, [])
        if self._remembered <= _REMEMBERED:
            self._unknown.setdefault(name, uses)
            if not uses or uses[-1][0] != place:
                uses.append((place, certain))
        elif self._remembered == _REMEMBERED + 1:
            self.findings.append(
                place.finding(
                    "too-many-references",
                    f"more than {_REMEMBERED} amounts could be references to later steps",
                    f"write amounts {self._escape}",
                )
            )

    def _warn_earlier(self, name: str, own: str, place: Place) -> None:
        if (place.step, name) in self._warned:
            return
        self._warned.add((place.step, name))
        self.findings.append(
            place.finding(
                "earlier-round",
                f"{self._mark}{name} names a step of this round and one of an earlier round",
                f"it is read as step {own}; continue the numbering to tell them apart",
            )
        )

    def _late(self, name: str, place: Place, certain: bool) -> Finding | None:
        if name in self._own and name in self._earlier:
            return place.finding(
                "earlier-round",
                f"{self._mark}{name} was read as a step of an earlier round; "
                "this round has one too, later",
                "continue the numbering of the earlier round to tell them apart",
            )
        if name in self._own:
            return place.finding(
                "forward-reference",
                f"{self._mark}{name} is a step that comes later",
                f"put step {name} before it; if no step is meant, write it {self._escape}",
            )
        if certain and name not in self._earlier:
            return place.finding(
                "unknown-reference",
                f"{self._mark}{name} is no step, so it was left as text",
                "refer to an earlier step",
                warning=True,
            )
        return None
