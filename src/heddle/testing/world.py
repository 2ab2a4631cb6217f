"""A made-up world: a task of calls in levels, the tools that answer it, and a model that knows it.

The task is a grid, `depth` levels of `width` calls; each call needs the result above it. A share of
the calls is conditional: which tool they go to depends on that result, so nobody can plan them
before it is known. The model knows the shape of the task and no result that it has not read; it
speaks the language that its prompt asks for, so that every strategy can be compared on one task.
All texts have fixed sizes, so that tokens can be counted beforehand.

>>> world = World(width=2, depth=2)
>>> [tool.spec.name for tool in world.tools]
['left', 'right']
>>> len(world.observation(0)) == world.sizes.observation
True
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heddle.errors import ToolFailed
from heddle.models.protocol import ToolCall, Usage
from heddle.testing.chat_request import Prompt, PromptCache
from heddle.testing.scripted import Piece, ScriptedModel
from heddle.tools.function import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.models.protocol import Request

__all__ = ["Pace", "Sizes", "World"]

_VALUE = re.compile(r"k(\d{4})=([0-9a-f]{6})")
_FAILS = re.compile(r"k(\d{4}) fails")
_CALLED = re.compile(r'"id": "(?:\d+\.)?(\w+)", "tool": "\w+", "args": \{"(?:key|0)": "k(\d{4})"')
_NUMBER = re.compile(r'"id": "(?:\d+\.)?[a-zE]?(\d+)", "tool"')
_NONE = "------"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of texts, in characters.

    Attributes:
        action: one turn of thought and action.
        step: one step of a plan.
        observation: one result.
        answer: the last reply.
        call: one native call, its name and its arguments; no shorter than it has to be.
    """

    action: int = 200
    step: int = 100
    observation: int = 400
    answer: int = 100
    call: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a model speaks.

    Attributes:
        first_s: seconds before the first character.
        characters_per_s: after that.
    """

    first_s: float = 0.0
    characters_per_s: float = float("inf")

    def seconds(self, characters: int) -> float:
        """How long a reply takes."""
        return self.first_s + characters / self.characters_per_s


class World:
    """A task, its tools and its model.

    Args:
        width: calls of a level.
        depth: levels.
        conditional: share of the calls below the first level whose tool depends on the result
            above, from 0 to 1.
        failing: share of calls that fail, from 0 to 1.
        tool_s: seconds that a call takes, on the average.
        uneven: by which share of that calls are faster or slower, from 0 to 1.
        sizes: of texts.
        seed: another one is another task of the same shape.
    """

    def __init__(
        self,
        width: int = 2,
        depth: int = 2,
        *,
        conditional: float = 0.0,
        failing: float = 0.0,
        tool_s: float = 0.0,
        uneven: float = 0.0,
        sizes: Sizes | None = None,
        seed: int = 0,
    ) -> None:
        self.width = width
        self.depth = depth
        self.sizes = sizes or Sizes()
        self.tool_s = tool_s
        self._uneven = uneven
        self.seed = seed
        count = width * depth
        below = sorted(range(width, count), key=lambda n: self._draw("conditional", n))
        self._conditional = set(below[: round(conditional * len(below))])
        self._failing = {n for n in range(count) if self._draw("failing", n) < failing}
        self._values = self._true_values()
        self.tools: list[Tool] = [self._tool("left"), self._tool("right")]
        self.calls: list[tuple[str, str]] = []  # (tool, key) in the order in which they came

    # -- the task

    @property
    def count(self) -> int:
        """How many calls the task has."""
        return self.width * self.depth

    @property
    def question(self) -> str:
        """What the user asks."""
        return f"Task {self.seed}: follow {self.width} threads down {self.depth} levels."

    @property
    def answer(self) -> str:
        """The right answer: the values at the end of each thread."""
        last = range(self.count - self.width, self.count)
        return " ".join(self._values[n] or _NONE for n in last)

    def is_right(self, answer: Any) -> bool:
        """Whether an answer names the right values in their order, whatever is around them."""
        found = re.findall(r"\b[0-9a-f]{6}\b|-{6}", _VALUE.sub(r"\2", str(answer)))
        return " ".join(found) == self.answer

    def conditional(self, n: int) -> bool:
        """Whether the tool of a call depends on the result above it."""
        return n in self._conditional

    def seconds(self, n: int) -> float:
        """How long a call takes."""
        return self.tool_s * (1 + self._uneven * (2 * self._draw("seconds", n) - 1))

    def observation(self, n: int) -> str:
        """The result of a call that does not fail."""
        return f"k{n:04}={self._values[n] or _NONE}".ljust(self.sizes.observation, ".")

    def _draw(self, what: str, n: int) -> float:
        return int(_digest(self.seed, what, n)[:8], 16) / 2**32

    def _true_values(self) -> list[str | None]:
        """What each call gives if it is made as it should be; None where it cannot be made."""
        values: list[str | None] = []
        for n in range(self.count):
            above = values[n - self.width] if n >= self.width else _NONE
            if above is None or n in self._failing:
                values.append(None)
            else:
                values.append(_digest(self.seed, self._tool_of(n, above), n, above)[:6])
        return values

    def _tool_of(self, n: int, above: str) -> str:
        if n in self._conditional and int(above, 16) % 2:
            return "right"
        return "left"

    def _tool(self, name: str) -> Tool:
        @tool(name=name, effect="read", description=f"Look up a key, turning {name}.")
        async def look(key: str, given: str = _NONE) -> str:
            n = int(key[1:])
            self.calls.append((name, key))
            await asyncio.sleep(self.seconds(n))
            if n in self._failing:
                raise ToolFailed(f"{key} fails", code="tool-failed")
            found = _VALUE.search(given)
            value = _digest(self.seed, name, n, found[2] if found else given)[:6]
            return f"{key}={value}".ljust(self.sizes.observation, ".")

        return look

    # -- the model

    def model(
        self, pace: Pace | None = None, *, piece: int = 8, keeps: bool = True
    ) -> ScriptedModel:
        """A model in memory that knows the task.

        Its usage counts a token for every character, and as cached what a prompt has in common
        with the beginning of an earlier one, to the character.

        Args:
            pace: how fast it speaks.
            piece: characters that come at once.
            keeps: whether it keeps what it has read, and says so.
        """
        pace = pace or Pace()
        cache = PromptCache(len, 1)

        def said(request: Request) -> list[Piece]:
            cached = cache.cached_tokens(Prompt.of(request)) if keeps else 0
            return _paced(self.reply(request), request, pace, piece, cached)

        return ScriptedModel(said)

    def reply(self, request: Request) -> list[str | ToolCall]:
        """What the model says to a request: text, calls, or both."""
        text = "\n".join(message.content for message in request.messages)
        seen = dict(_VALUE.findall(text))
        values = {int(key): value for key, value in seen.items()}
        failed = {int(key) for key in _FAILS.findall(text)}
        system = request.messages[0].content
        if request.tools:
            return self._native(values, failed)
        if "Action: tool[input]" in system:
            return [self._turn(values, failed)]
        if request.role == "joiner":
            return [self._join(values, failed, closed=request.schema is not None)]
        called = {int(key): id for id, key in _CALLED.findall(text)}
        last = max([0, *map(int, _NUMBER.findall(text))])
        return [self._plan(_form(system), values, called, last)]

    def _next(self, values: Mapping[int, str], failed: set[int]) -> list[int]:
        """The calls whose inputs are known, and that were not made."""
        ready: list[int] = []
        for n in range(self.count):
            above_known = n < self.width or n - self.width in values
            if n not in values and n not in failed and above_known:
                ready.append(n)
        return ready

    def _arguments(self, n: int, values: Mapping[int, str]) -> tuple[str, str, str]:
        """Tool, key and what is given, for one who has read what is above."""
        above = values[n - self.width] if n >= self.width else _NONE
        return self._tool_of(n, above), f"k{n:04}", above

    def _said(self, values: Mapping[int, str]) -> str:
        last = range(self.count - self.width, self.count)
        return " ".join(values.get(n, _NONE) for n in last)

    def _native(self, values: Mapping[int, str], failed: set[int]) -> list[str | ToolCall]:
        calls: list[str | ToolCall] = []
        for n in self._next(values, failed):
            name, key, given = self._arguments(n, values)
            arguments = json.dumps({"key": key, "given": given})[:-1]
            arguments = arguments.ljust(self.sizes.call - len(name) - 1) + "}"
            calls.append(ToolCall(f"call_{n:04}", name, arguments))
        return calls or [_padded(self._said(values), self.sizes.answer)]

    def _turn(self, values: Mapping[int, str], failed: set[int]) -> str:
        ready = self._next(values, failed)
        if not ready:
            return _padded(f"Action: finish[{self._said(values)}]", self.sizes.answer, "Thought: ")
        name, key, given = self._arguments(ready[0], values)
        return _padded(f'Action: {name}("{key}", "{given}")', self.sizes.action, "Thought: ")

    def _join(self, values: Mapping[int, str], failed: set[int], *, closed: bool) -> str:
        if not closed:
            return _padded(self._said(values), self.sizes.answer)
        ready = self._next(values, failed)
        if not ready:
            reply = json.dumps({"action": "finish", "answer": self._said(values)})
        else:
            above = [n - self.width for n in ready if n >= self.width]
            known = " ".join(f"k{n:04}={values[n]}" for n in above)
            reply = json.dumps({"action": "replan", "reason": f"go on from {known}"})
        return reply.ljust(self.sizes.answer)

    def _plan(
        self, form: str, values: Mapping[int, str], called: Mapping[int, str], number: int
    ) -> str:
        """All calls that can be planned from here, in the form that the prompt asks for."""
        ids = dict(called)
        lines: list[str] = []
        for n in range(self.count):
            above = n - self.width
            planned = above < 0 or above in ids
            unknown = n in self._conditional and above not in values and form != "rewoo"
            if n in called or not planned or (unknown and form != "llmcompiler"):
                continue
            number += 1
            if unknown:
                what = f'later("where k{n:04} is looked up", ${ids[above]})\n'
                lines.append(_sized(f"{number}. {what}", "Thought: ", self.sizes.step))
                continue
            name = self._tool_of(n, values.get(above, "0")) if above >= 0 else "left"
            given = _reference(form, ids[above]) if above >= 0 else None
            ids[n] = _id(form, number)
            lines.append(_step(form, ids[n], name, f"k{n:04}", given, self.sizes.step))
        last = [ids.get(n) for n in range(self.count - self.width, self.count)]
        return "".join(lines) + _ending(form, number, last)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _form(system: str) -> str:
    for mark, form in (("#E1 = ", "rewoo"), ("[FUNC ", "abstraction"), ("of Python:", "code")):
        if mark in system:
            return form
    return "llmcompiler"


def _id(form: str, number: int) -> str:
    return {"rewoo": f"E{number}", "abstraction": f"y{number}", "code": f"s{number}"}.get(
        form, str(number)
    )


def _reference(form: str, id: str) -> str:
    return {"rewoo": f"#{id}", "llmcompiler": f"${id}"}.get(form, id)


def _step(form: str, id: str, name: str, key: str, given: str | None, size: int) -> str:
    """One step, with as much said about it as makes it `size` characters long."""
    args = f'"{key}"' + (f", {given}" if given else "")
    call, before = {
        "rewoo": (f"#{id} = {name}[{args}]\n", "Plan: "),
        "abstraction": (f"[FUNC {name}({args}) = {id}]\n", ""),
        "code": (f"{id} = {name}({args})\n", "# "),
    }.get(form, (f"{id}. {name}({args})\n", "Thought: "))
    return _sized(call, before, size)


def _sized(call: str, before: str, size: int) -> str:
    return before + "." * max(0, size - len(before) - len(call) - 1) + "\n" + call


def _ending(form: str, number: int, last: Sequence[str | None]) -> str:
    done = [id for id in last if id is not None]
    if form == "llmcompiler":
        return f"{number + 1}. join()\n"
    if form == "abstraction":
        return f"Answer: {' '.join(done)}\n"
    if form == "code":
        return "f'" + " ".join(f"{{{id}}}" for id in done) + "'\n" if len(done) == len(last) else ""
    return ""


def _padded(text: str, size: int, before: str = "") -> str:
    """A text with as much in front of it as makes it `size` characters long."""
    missing = size - len(text) - len(before) - 1
    return f"{before}{'.' * missing}\n{text}" if missing >= 0 and before else text.ljust(size)


def _paced(
    said: list[str | ToolCall], request: Request, pace: Pace, size: int, cached: int
) -> list[Piece]:
    """A reply at its pace, and its usage: a token for every character."""
    script: list[Piece] = []
    wait = pace.first_s
    spoken = 0
    for item in said:
        length = len(item) if isinstance(item, str) else item.characters
        spoken += length
        if isinstance(item, ToolCall):
            script.append((wait + length / pace.characters_per_s, item))
            wait = 0.0
            continue
        for start in range(0, length, size):
            part = item[start : start + size]
            script.append((wait + len(part) / pace.characters_per_s, part))
            wait = 0.0
    return [*script, Usage(request.characters, cached, spoken)]
