"""Native parallel tool calls: what most agents in production do.

Source: the function-calling interface of chat completions (OpenAI) and of messages (Anthropic).
What differs: a call starts when its arguments are complete, while the model still writes the next
one; its arguments are verified first, and a faulty one is a result that says what is wrong. The
model still has to end its turn before it can read a result, so there is one turn a level of the
task's graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.models.protocol import Message
from heddle.strategies import Verdict
from heddle.strategies.turns import LAST, observations, out_of_turns
from heddle.strategies.wording import inputs_text, prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heddle.strategies import Messages, Reply, Rounds

__all__ = ["DIALECT", "planner_messages", "strategy", "turns"]

DIALECT = None


async def strategy(rounds: Rounds) -> Verdict:
    """Turns of calls and results, until the model calls nothing more."""
    verdict = await turns(rounds)
    assert verdict is not None  # nobody told it to stop
    return verdict


async def turns(rounds: Rounds, lasts: Callable[[], bool] | None = None) -> Verdict | None:
    """The same, until `lasts` says before a turn that it takes too long; then None."""
    messages = list(planner_messages(rounds))
    while lasts is None or not lasts():
        last = rounds.last_turn_next
        messages += [Message("user", LAST)] if last else []
        reply = await rounds.read(
            messages, "native", native=True, may_answer=True, effects=not last
        )
        if not reply.calls:
            return Verdict("finish", reply.text.strip())
        if last:
            raise out_of_turns(rounds)
        await rounds.settle(reply.plan)
        messages.append(Message("assistant", reply.text, calls=reply.calls))
        messages += _results(rounds, reply)
    return None


def _results(rounds: Rounds, reply: Reply) -> Iterator[Message]:
    """The result of each call, in the order of the calls."""
    seen = observations(rounds, reply.plan)
    for call, result in zip(reply.calls, seen, strict=True):
        yield Message("tool", result, call_id=call.id)


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the model reads first: how to call, and the question; the tools come beside it."""
    system = prompt("parallel", inputs=inputs_text(rounds.inputs))
    return [Message("system", system), Message("user", rounds.question)]
