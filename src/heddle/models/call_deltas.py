r"""Native tool calls, put together from the deltas of a streamed reply.

A call is given as soon as it is whole: when the brackets of its arguments close, so that a step
can start while the model writes the next one. Calls come in the order in which they began; one
whose arguments are empty, `{}` (some servers begin so, and go on) or never close waits until a
later one has arguments, or for the end of the reply.

Servers differ, and a delta is judged by all that it says: an id that is known belongs to its call;
a name begins a call, unless it repeats the name of one that is still open; the rest continues the
call of its index, or else the last one.

Source: the OpenAI API reference, "Streaming"; what others do: ollama/ollama issue 15457 (every
index is 0), vercel/ai issue 18440 (no id, or a blank one), agno-agi/agno issue 8879 (head and tail
of a call under different indexes), and servers that give every delta an id of its own.

>>> reader = CallReader()
>>> reader.feed({"index": 0, "id": "c1", "function": {"name": "price", "arguments": '{"of": "'}})
>>> reader.ready()
[]
>>> reader.feed({"index": 0, "function": {"arguments": 'AAPL"}'}})
>>> reader.ready()
[ToolCall(id='c1', name='price', arguments='{"of": "AAPL"}')]
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heddle.models.protocol import ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CallReader", "ContradictoryCall"]

Foreign: TypeAlias = Any  # JSON from a server, of whatever form
IN_TEXT: Final = re.compile(r'["\\]')
OUTSIDE: Final = re.compile(r'["{}\[\]]')
NOT_BLANK: Final = re.compile(r"\S")


class ContradictoryCall(ValueError):
    """Deltas that make no call."""


class CallReader:
    """The calls of one reply.

    Args:
        names: the tools' own names by the names under which they were offered; a name that is not
            there is given as it came.
        earlier: how many calls the conversation holds already; where a server leaves an id out,
            `call_N` is made up, with N counted from there.

    Attributes:
        characters: how much has come of names and arguments.

    Cost: linear over all deltas.
    """

    __slots__ = (
        "_by_id", "_by_index", "_calls", "_earlier", "_given", "_last_begun", "_names",
        "characters",
    )  # fmt: skip

    def __init__(self, names: Mapping[str, str] | None = None, earlier: int = 0) -> None:
        self._names = names or {}
        self._earlier = earlier
        self._calls: list[_Call] = []
        self._given = 0
        self._last_begun = -1
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[object, _Call] = {}
        self.characters = 0

    def feed(self, delta: Foreign) -> None:
        """Take one entry of a delta's `tool_calls`.

        Raises:
            AttributeError, TypeError: it has another form.
            ContradictoryCall: it goes on after a call's end.
        """
        function: Foreign = delta.get("function") or {}
        name, arguments = _text(function.get("name")), _arguments(function.get("arguments"))
        call = self._belonging(_text(delta.get("id")).strip(), name, delta.get("index"))
        call.name = call.name or name
        call.add(arguments, head=bool(name))
        if call.begun:
            self._last_begun = max(self._last_begun, call.place)
        self.characters += len(name) + len(arguments)

    def ready(self) -> list[ToolCall]:
        """The calls that have become whole since the last time, in order."""
        end = self._given
        while end < len(self._calls):
            call = self._calls[end]
            empty_for_good = not call.begun and end < self._last_begun
            if not call.closed and not empty_for_good:
                break
            end += 1
        return self._give(end)

    def close(self) -> list[ToolCall]:
        """The reply has ended: the calls that were not given yet, as far as they have come.

        Raises:
            ContradictoryCall: one of them has no name.
        """
        return self._give(len(self._calls))

    def _belonging(self, id: str, name: str, index: object) -> _Call:
        """The call that a delta is about: a new one, if it begins one."""
        known = self._by_id.get(id) if id else None
        if known is not None and not known.another(name, index):
            return known
        latest = self._calls[-1] if self._calls else None
        here = latest if index is None else self._by_index.get(index)
        if not name:
            here = here or latest
        if here is None or here.over(id, name):
            here = _Call("" if known else id, index, len(self._calls))
            self._calls.append(here)
        self._by_index[index] = here
        if id:
            self._by_id.setdefault(id, here)  # also those that each delta has of its own
        return here

    def _give(self, end: int) -> list[ToolCall]:
        calls = self._calls[self._given : end]
        self._given = end
        return [self._finished(call) for call in calls]

    def _finished(self, call: _Call) -> ToolCall:
        if not call.name:
            raise ContradictoryCall("a tool call without a name")
        call.close()
        number = self._earlier + call.place + 1
        while not call.id:
            if f"call_{number}" not in self._by_id:
                call.id = f"call_{number}"
            number += len(self._calls)
        self._by_id.setdefault(call.id, call)
        return ToolCall(call.id, self._names.get(call.name, call.name), call.arguments or "{}")


class _Call:
    """One call, as far as it has come.

    Attributes:
        index: under which it began.
        place: among all calls, from 0.
        begun: it has arguments, if only the beginning of them.
        closed: the brackets of its arguments are closed, around something.
    """

    __slots__ = (
        "_depth", "_ended", "_in_text", "_keyed", "_parts", "_skip", "begun", "closed", "id",
        "index", "name", "place",
    )  # fmt: skip

    def __init__(self, id: str, index: object, place: int) -> None:
        self.id = id
        self.index = index
        self.place = place
        self.name = ""
        self.begun = False
        self.closed = False
        self._parts: list[str] = []
        self._depth = 0
        self._ended = False  # the brackets are closed, if only around nothing
        self._keyed = False  # a text has begun between them
        self._in_text = False
        self._skip = False  # the next character stands after a backslash

    @property
    def arguments(self) -> str:
        """What has come of them."""
        return "".join(self._parts).strip()

    def another(self, name: str, index: object) -> bool:
        """Whether a delta with this one's id begins another call all the same."""
        return bool(name) and self.closed and (index != self.index or name != self.name)

    def over(self, id: str, name: str) -> bool:
        """Whether a delta with an id or a name that is new belongs to the next call."""
        if not name:
            return bool(id) and self.closed
        return self.closed or (bool(self.name) and (bool(id) or name != self.name))

    def add(self, text: str, *, head: bool) -> None:
        """Take more of the arguments; those of a head may be all of them a second time.

        Raises:
            ContradictoryCall: there was no more to come.
        """
        at = 0
        while at < len(text):
            if self._ended:
                if NOT_BLANK.search(text, at) is None:
                    return
                if self.closed:
                    return self._again(text, head)
                self._parts.clear()  # the brackets were around nothing: these are the arguments
            end = self._scan(text, at)
            self._parts.append(text[at:end])
            self._ended = end is not None
            self.closed = self._ended and self._keyed
            self.begun = self.closed or self._depth > 0
            at = len(text) if end is None else end

    def close(self) -> None:
        """Take it for whole, as it is."""
        self.closed = self._ended = True

    def _again(self, text: str, head: bool) -> None:
        arguments = self.arguments or "{}"
        if text.strip() != arguments or not (head or arguments == "{}"):
            raise ContradictoryCall("a tool call that goes on after its end")

    def _scan(self, text: str, at: int) -> int | None:
        """Where the brackets close; None if they are still open."""
        if self._skip:
            at, self._skip = at + 1, False
        while found := (IN_TEXT if self._in_text else OUTSIDE).search(text, at):
            at, mark = found.end(), found[0]
            if mark == "\\":
                self._skip = at == len(text)
                at += 1
            elif mark == '"':
                self._in_text, self._keyed = not self._in_text, True
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth = max(0, self._depth - 1)
                if not self._depth:
                    return at
        return None


def _text(value: Foreign) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _arguments(value: Foreign) -> str:
    """Arguments as JSON text, where a server sends the object itself too."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else _text(value)
