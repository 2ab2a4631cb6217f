"""Models that plan at random: what an agent is told in a simulation, and what goes wrong with it.

Asked the same thing again, such a model says something else, as real ones do: only what the journal
has of it can make a run that was cut off go on as it had begun.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from heddle.engine.asking import Asker
from heddle.errors import ModelError
from heddle.models.protocol import estimated_usage
from heddle.plan.canonical import hash_of
from heddle.plan.dialects import dialect_named
from heddle.plan.ir import Plan, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from heddle.models.protocol import Request, Usage
    from heddle.testing.simulation.faults import NoFaults
    from heddle.testing.simulation.life import Life

__all__ = ["STRATEGIES", "RandomPlanner", "Reread", "rereading"]

STRATEGIES: Final = ("llmcompiler", "rewoo", "react")
"""What agents of the simulation follow."""

_ARGUMENTS: Final = (1, 2.5, None, True, "a $1 {0}", [1, [2]], {"a": {"b": "#E1"}})
_FIRST = re.compile(r"(?:from|with) (?:#E)?(\d+)\.\s*$")
_LINE = re.compile(r"^(?:#E)?(\d+)(?:\.| =)", re.MULTILINE)


class RandomPlanner:
    """A model of one life of a program.

    Args:
        seed: chooses what it says.
        strategy: whose form it keeps to; one of STRATEGIES.
        tools: names that its plans call.
        asked: the prompts of all lives so far, by role and round; it adds its own.
        life: whose model it is; when that dies, it says nothing any more.
        faults: says what goes wrong.
    """

    name = "planner"
    provider = "random"

    def __init__(
        self,
        seed: int,
        strategy: str,
        tools: Sequence[str],
        asked: list[tuple[str, int]],
        life: Life,
        faults: NoFaults,
    ) -> None:
        self._seed = seed
        self._strategy = strategy
        self._tools = tools
        self._asked = asked
        self._life = life
        self._fires = faults.fires

    async def stream(self, request: Request) -> AsyncGenerator[str | Usage]:
        """A reply, in a few pieces; or a part of one, or none.

        Raises:
            ModelError: what is wrong with the provider.
        """
        await self._life.alive()
        about = request.role, request.round
        random = Random(f"{self._seed} {about} {self._asked.count(about)}")
        self._asked.append(about)
        text = self._reply(request, random)
        if self._fires("model-refusal"):
            raise _broken("rate-limited")
        places = sorted(random.randrange(len(text) + 1) for _ in range(3))
        for start, end in zip([0, *places], [*places, len(text)], strict=True):
            await self._life.pause(random.choice((0.0, 0.0, 0.3)))
            if self._fires("kill-in-reply"):
                self._life.die()
                await self._life.alive()
            if self._fires("model-cut"):
                raise _broken("connection-lost")
            if start < end:
                yield text[start:end]
        yield estimated_usage(request, len(text))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _reply(self, request: Request, random: Random) -> str:
        if request.role == "joiner":
            return _verdict(random) if self._strategy == "llmcompiler" else "so it is"
        said = "\n".join(message.content for message in request.messages)
        if request.role == "repair":
            numbers = _LINE.findall(said)
            return self._plan(random, int(numbers[-1]) if numbers else 1, 1)
        if self._strategy == "react":
            return self._turn(random, request.round)
        found = _FIRST.search(said)
        return self._plan(random, int(found[1]) if found else 1, random.randint(2, 24))

    def _turn(self, random: Random, round: int) -> str:
        if random.random() < 0.25:
            return f"Thought: enough\nAction: finish[{random.randint(1, 9)}]"
        tool = random.choice(self._tools)
        args = json.dumps({"me": f"turn {round}", "a0": random.choice(_ARGUMENTS)})
        return f'Thought: go on\nAction: {{"action": "{tool}", "action_input": {args}}}'

    def _plan(self, random: Random, first: int, count: int) -> str:
        """A plan as text, now and then with a line that nobody can use."""
        dialect = dialect_named(self._strategy)
        steps: list[Step] = []
        for number in range(first, first + count):
            steps.append(self._step(random, dialect.id_for(number), [step.id for step in steps]))
        text = dialect.write(Plan(steps))
        if random.random() < 0.15:
            bad = random.randrange(count)
            text = text.replace(f"{steps[bad].tool}(", "nothing_of_the_kind(", 1)
        return text

    def _step(self, random: Random, id: str, before: list[str]) -> Step:
        def value() -> Any:
            if not before or random.random() < 0.4:
                return random.choice(_ARGUMENTS)
            ref = Ref(random.choice(before), random.choice(((), (), ("id",), ("list", 1))))
            return random.choice((ref, [ref, "x"], Template(("of ", ref, "!"))))

        if random.random() < 0.08:
            inner = "\n".join(
                f'{n}. {random.choice(self._tools)}(me="{id} {n}")' for n in range(1, 3)
            )
            return Step(id, "expand", {"plan": inner, "dialect": "llmcompiler"})
        tool = random.choice(self._tools)
        alone = tool.startswith(("idempotent", "write")) or random.random() < 0.8
        args = {"me": id if alone else "anyone"}
        return Step(id, tool, args | {f"a{n}": value() for n in range(random.randint(0, 2))})


def _verdict(random: Random) -> str:
    pick = random.random()
    if pick < 0.15:
        return "that is all"
    finish = pick < 0.6
    said = {
        "action": "finish" if finish else "replan",
        "answer": str(random.randint(1, 9)) if finish else None,
        "reason": None if finish else f"more, {random.randint(1, 9)}",
    }
    return json.dumps(said)


def _broken(code: str) -> ModelError:
    return ModelError("no luck", code=code, provider=RandomPlanner.provider, retryable=True)


class Reread(NamedTuple):
    """A reply that was taken from the journal, and what a model would have been asked for it.

    Attributes:
        call: its number.
        started_s: when it was begun, by the run's clock.
    """

    call: int
    started_s: float
    prompt_hash: str


@contextmanager
def rereading(into: list[Reread]) -> Generator[None]:
    """Note what is taken from journals in the place of asking, until the block is left."""
    real: Callable[..., None] = Asker.paid_before

    def paid_before(self: Asker, messages: Any, call: Any, tools: Any = ()) -> None:
        plain = [
            [each.role, each.content, [*map(list, each.calls)], each.call_id] for each in messages
        ]
        into.append(Reread(call.call, call.started_at, hash_of(plain)))
        real(self, messages, call, tools)

    Asker.paid_before = paid_before
    try:
        yield
    finally:
        Asker.paid_before = real
