"""How soon a run of a strategy can end at all: bounds on wall time, each with where it comes from.

A model that answers after L seconds and then says r tokens a second has said the c-th token of its
reply at L + c / r, whoever reads it. Tools take t seconds and any number of them run at once. For N
calls in D levels of W = N / D, an action of a tokens, a plan of p tokens a step, a last reply of z:

- direct: L + z/r.
- react: N (L + a/r + t) + L + z/r. Nothing overlaps: an action is the end of its reply, and the
  next prompt needs its result.
- parallel: D (L + max over j of max(ja/r + t, Wa/r)) + L + z/r. The j-th call of a turn can start
  when it is said, and the next prompt needs all of them. The last call is said last, so that with
  tools that take alike this is D (L + Wa/r + t) + L + z/r: eager or not is then the same.
- llmcompiler, rewoo: L + max(Wp/r + Dt, Np/r + t) + L + z/r. A call of level d is said at
  L + dWp/r at the latest thread, and from there D − d + 1 calls follow each other; what is largest
  over d is linear in d, so it is the first level or the last. The joiner needs all of it.
- abstraction, code: the same without the joiner: L + max(Wp/r + Dt, Np/r + t).
- n chains of abstraction one after the other, each decoded in s seconds and with tools that need T
  from their last word on: ns + T and not n (s + T), since nothing waits for a chain's tools before
  the next one is written.

What is computed here is the same, call by call, with the replies' own lengths in place of a, p and
z: `ends` is the recursion E_j = max(said_j, E_above) + t that those closed forms are the solution
of. No run can end before that, and nothing of heddle is in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heddle.models.protocol import ToolCall
from heddle.testing.chat_reply import pieces_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.testing.world import Pace, World

__all__ = ["Spoken", "bound_s", "chains_s", "closed_form_s", "ends", "over_http", "spoken"]


_CALL = {"rewoo": r"\b(?:left|right)\[[^\]]*\]", "abstraction": r"\[FUNC [^\]]*\]",
         "code": r"\b(?:left|right)\([^)]*\)\n"}  # fmt: skip
_PLAIN = r"\b(?:left|right)\([^)]*\)"


@dataclass(frozen=True, slots=True)
class Spoken:
    """When the parts of a reply are there, in seconds after it was asked for.

    Attributes:
        text: what is said.
        at: for each character of the text.
        calls: for each native call.
        end: for all of it.
    """

    text: str
    at: tuple[float, ...]
    calls: tuple[float, ...]
    end: float


def spoken(said: Sequence[str | ToolCall], pace: Pace, piece: int = 8) -> Spoken:
    """A reply as `World.model` says it: in pieces of so many characters, calls whole."""
    at: list[float] = []
    calls: list[float] = []
    done = 0
    for item in said:
        if isinstance(item, ToolCall):
            done += item.characters
            calls.append(pace.seconds(done))
            continue
        for start in range(0, len(item), piece):
            part = item[start : start + piece]
            done += len(part)
            at += [pace.seconds(done)] * len(part)
    text = "".join(item for item in said if isinstance(item, str))
    return Spoken(text, tuple(at), tuple(calls), pace.seconds(done))


def over_http(said: Sequence[str | ToolCall], first_s: float, tokens_per_s: float) -> Spoken:
    """A reply as `SimulatedProvider` streams it: in word pieces, the first without a delay."""
    text = "".join(item for item in said if isinstance(item, str))
    at: list[float] = []
    number = 0
    for part in pieces_of(text):
        at += [first_s + number / tokens_per_s] * len(part)
        number += 1
    calls: list[float] = []
    for call in (item for item in said if isinstance(item, ToolCall)):
        number += 1 + len(pieces_of(call.arguments))
        calls.append(first_s + (number - 1) / tokens_per_s)
    return Spoken(text, tuple(at), tuple(calls), first_s + max(0, number - 1) / tokens_per_s)


def ends(said: Sequence[float], above: Sequence[int | None], takes: Sequence[float]) -> list[float]:
    """When each call has ended that starts once it is said and the one above it has ended.

    Args:
        said: when each call is complete.
        above: for each, the place of the call that it needs.
        takes: how long each one takes.
    """
    ended: list[float] = []
    for said_s, needs, tool_s in zip(said, above, takes, strict=True):
        ready = said_s if needs is None else max(said_s, ended[needs])
        ended.append(ready + tool_s)
    return ended


def bound_s(strategy: str, world: World, replies: Sequence[Spoken]) -> float:
    """The least seconds in which a run can end that gets these replies."""
    takes = [world.seconds(n) for n in range(world.count)]
    if strategy in ("direct", "react", "parallel"):
        return _turns_s(replies, takes) + replies[-1].end
    plan = replies[0]
    calls = re.finditer(_CALL.get(strategy, _PLAIN), plan.text)
    said = [plan.at[call.end() - 1] for call in calls]
    above = [n - world.width if n >= world.width else None for n in range(world.count)]
    planned = max(plan.end, *ends(said, above, takes))
    return planned + sum(reply.end for reply in replies[1:])


def _turns_s(replies: Sequence[Spoken], takes: Sequence[float]) -> float:
    """Turns of calls, or of one action at the end of the reply, and of their results."""
    left = iter(takes)
    total = 0.0
    for reply in replies[:-1]:
        said = reply.calls or (reply.end,)
        total += max([reply.end, *(at + next(left) for at in said)])
    return total


def chains_s(said: Sequence[Sequence[float]], decoded_s: Sequence[float], tool_s: float) -> float:
    """The least seconds for chains of calls, one written after the other, each call below the last.

    Args:
        said: for each chain, when each of its calls is said, from its own beginning.
        decoded_s: how long each chain takes to be written.
        tool_s: what a call takes.
    """
    began, last = 0.0, 0.0
    for chain, decoded in zip(said, decoded_s, strict=True):
        above = [None, *range(len(chain) - 1)]
        ended = ends(chain, above, [tool_s] * len(chain))
        last = max(last, *(began + end for end in ended))
        began += decoded
    return max(began, last)


def closed_form_s(
    strategy: str, world: World, *, first_s: float, action_s: float, step_s: float, answer_s: float
) -> float:
    """The closed forms above, where all actions and steps are equally long.

    Args:
        strategy: its name.
        world: width, depth and the tools' time.
        first_s: L.
        action_s: a/r.
        step_s: p/r.
        answer_s: z/r.
    """
    n, d, w, t = world.count, world.depth, world.width, world.tool_s
    last = first_s + answer_s
    planned = first_s + max(w * step_s + d * t, n * step_s + t)
    return {
        "direct": last,
        "react": n * (first_s + action_s + t) + last,
        "parallel": d * (first_s + w * action_s + t) + last,
        "llmcompiler": planned + last,
        "rewoo": planned + last,
        "abstraction": planned,
        "code": planned,
    }[strategy]
