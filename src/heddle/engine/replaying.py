"""Replaying: how far the program of a run had come, read from what it has said.

A strategy is a program. To go on with its run it is begun again, and finds what it asks for: plans
that were closed, replies that were paid for, verdicts, choices. What it sees of the run is the
state as it was then, and its clock is the record's, so that it decides as it did. Where the record
ends it goes on by itself.

    marks of one process:   read 1 · join 1 · replan 1 · read 2 ✂     ✂ cut off: no end was seen
    of the next:                                         read 2 · join 2 …
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.engine import events as ev
from heddle.errors import ModelError
from heddle.models.protocol import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heddle.engine.events import Event

__all__ = ["Mark", "Replay", "failed", "replayed"]


class Mark:
    """Something that the program did: it read a plan, asked, chose, joined.

    Attributes:
        place: the sequence number of the first event that it made.
        what: "read", "ask", "chose", "join", "joined" or "replan".
        event: that event; of a read or an ask that has ended, its last ModelCall.
        open: whether its plan has begun and not ended.
        closed: whether its plan has ended.
    """

    __slots__ = ("closed", "event", "open", "place", "round", "what")

    def __init__(self, place: int, what: str, event: Any) -> None:
        self.place = place
        self.what = what
        self.event = event
        self.round: int = getattr(event, "round", 0)
        self.open = self.closed = False

    def whole(self, *, last: bool) -> bool:
        """Whether its end is on record; one that failed counts if the program went on after it."""
        if self.what not in ("read", "ask") or self.closed:
            return True
        call = self.event
        return isinstance(call, ev.ModelCall) and not self.open and (not call.code or not last)


class Replay:
    """What the program of a run finds on record, in order.

    Args:
        events: all events of the run.

    Attributes:
        cut_round: the round that was being read when the last process died; 0 for none.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        record = _Record()
        for place, event in enumerate(events):
            record.take(place, event)
        record.cut()
        self.cut_round = record.cut_round
        self._marks = record.marks
        self._kept = record.kept
        self._repairs = record.repairs
        self._next = 0

    def ask_last_again(self) -> None:
        """Forget what was said after the last plan: more is known of it now than was then."""
        while self._marks and not self._marks[-1].closed:
            self._marks.pop()
        self._kept.clear()

    # -- looking ---------------------------------------------------------------------------------

    @property
    def going(self) -> bool:
        """Whether there is more on record."""
        return self._next < len(self._marks)

    @property
    def ahead(self) -> Mark | None:
        """What the program did next; None where the record ends."""
        return self._marks[self._next] if self.going else None

    @property
    def foretold(self) -> str:
        """The strategy that it chose next; "" if it did something else."""
        ahead = self.ahead
        return ahead.event.strategy if ahead is not None and ahead.what == "chose" else ""

    @property
    def next_round(self) -> int:
        """The number of the round that is read next; 0 where the record does not say."""
        ahead = self.ahead
        if ahead is not None:
            return ahead.round if ahead.what == "read" else 0
        return self.cut_round

    # -- going on --------------------------------------------------------------------------------

    def passed(self, what: str, round: int | None = None) -> Any:
        """The event of what the program does now, if it is on record; None if it is new.

        A program that does something else than it did is on its own from there.
        """
        ahead = self.ahead
        if ahead is None:
            return None
        if ahead.what != what or (round is not None and ahead.round != round):
            self._next = len(self._marks)
            return None
        self._next += 1
        return ahead.event

    def joined(self, round: int) -> ev.JoinResult | None:
        """The verdict of a join that is on record, whoever was asked for it; None if there is none.

        A reply without its verdict stays there to be read.
        """
        ahead = self._marks[self._next : self._next + 2]
        if ahead and ahead[0].what == "ask":
            ahead = ahead[1:]
        if not ahead or ahead[0].what != "joined" or ahead[0].round != round:
            return None
        self._next = self._marks.index(ahead[0]) + 1
        return ahead[0].event

    def claim(self) -> int:
        """The number of the round that is read now; 0 where it is a new one."""
        number = self.next_round
        if not self.going:
            self.cut_round = 0
        elif not number:
            self._next = len(self._marks)
        return number

    def closed(self, round: int) -> ev.ModelCall | None:
        """The planner's call, where the plan that is read now has ended on record."""
        ahead = self.ahead
        if ahead is None or not ahead.closed or ahead.round != round:
            return None
        self._next += 1
        return ahead.event

    def reply(self, role: str, round: int, prompt_hash: str) -> ev.ModelCall | None:
        """A model call that was paid for already; None if a model must be asked."""
        if role == "repair":
            return self._repairs.pop(prompt_hash, None)
        what = "read" if role == "planner" else "ask"
        ahead = self.ahead
        if ahead is not None:
            return self.passed(what, round)
        return self._kept.pop((role, round), None)


class _Record:
    """The record while it is read, one process after the other.

    Attributes:
        marks: of the processes before.
        life: marks of this one.
        kept: replies that are whole, of plans that were not.
        repairs: such replies, by the hash of their prompt.
    """

    def __init__(self) -> None:
        self.cut_round = 0
        self.marks: list[Mark] = []
        self.life: list[Mark] = []
        self.kept: dict[tuple[str, int], ev.ModelCall] = {}
        self.repairs: dict[str, ev.ModelCall] = {}
        self._prompts: dict[int, str] = {}

    def take(self, place: int, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, ev.ModelStarted):
            self._started(place, event)
        elif isinstance(event, ev.ModelCall):
            self._called(event)
        elif isinstance(event, (ev.PlanProposed, ev.PlanAccepted, ev.PlanRejected)):
            self._planned(place, event)
        elif isinstance(event, ev.LeaseTaken):
            self.cut()
        elif type(event) in _SAID and not self._drafting:
            self.life.append(Mark(place, _SAID[type(event)], event))

    @property
    def _drafting(self) -> bool:
        """Whether a plan is being written; a choice that is made now is about that plan."""
        return bool(self.life) and self.life[-1].open

    def _of(self, what: str, round: int) -> Mark | None:
        found = (mark for mark in reversed(self.life) if mark.what == what)
        return next((mark for mark in found if mark.round == round), None)

    def _started(self, place: int, event: ev.ModelStarted) -> None:
        self._prompts[event.call] = event.prompt_hash
        what = _ASKED.get(event.role)
        if what is not None and self._of(what, event.round) is None:  # no further attempt
            self.life.append(Mark(place, what, event))

    def _called(self, event: ev.ModelCall) -> None:
        if event.role == "repair" and not event.code:
            self.repairs[self._prompts[event.call]] = event
        mark = self._of(_ASKED.get(event.role, ""), event.round)
        if mark is not None:
            mark.event = event

    def _planned(
        self, place: int, event: ev.PlanProposed | ev.PlanAccepted | ev.PlanRejected
    ) -> None:
        mark = self._of("read", event.round)
        if mark is None and ("planner", event.round) in self.kept:  # read without asking anybody
            mark = Mark(place, "read", self.kept.pop(("planner", event.round)))
            self.life.append(mark)
        if mark is not None:  # else it came out as a result
            mark.open = isinstance(event, ev.PlanProposed)
            mark.closed = not mark.open

    def cut(self) -> None:
        """A process has died: what it had begun, and what came after that, is cut off."""
        for n, mark in enumerate(self.life):
            if not mark.whole(last=n == len(self.life) - 1):
                self._cut_off(mark)
                break
            if mark.what == "read":  # else what was cut off before is still to be read
                self.cut_round = 0
            self.marks.append(mark)
        self.life = []

    def _cut_off(self, mark: Mark) -> None:
        call = mark.event
        if mark.what == "read":
            self.cut_round = mark.round
        if isinstance(call, ev.ModelCall) and not call.code:
            self.kept[call.role, call.round] = call
        else:
            self.repairs.clear()  # they are about a reply that will be another


_ASKED = {"planner": "read", "joiner": "ask"}
_SAID: dict[type[Any], str] = {
    ev.StrategyChosen: "chose",
    ev.JoinStarted: "join",
    ev.JoinResult: "joined",
    ev.ReplanRequested: "replan",
}


def replayed(call: ev.ModelCall) -> Iterator[str | ToolCall]:
    """A reply that was paid for, as it came.

    Raises:
        ModelError: it failed then.
    """
    if call.reply["text"]:
        yield call.reply["text"]
    for id, name, arguments in call.reply["calls"]:
        yield ToolCall(id, name, arguments)
    if call.code not in ("", "stopped"):
        raise failed(call)


def failed(call: ev.ModelCall) -> ModelError:
    """The error of a call that failed before the run was resumed."""
    return ModelError(
        "the model failed before the run was resumed",
        code=call.code,
        provider=call.model.partition(":")[0],
    )
