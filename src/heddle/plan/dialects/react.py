r"""The ReAct dialect: `Thought: …`, `Action: tool[text]`, and `Action: finish[answer]` at the end.

    text    := { thought | action | observation } answer?
    thought := "Thought" INT? ":" text
    action  := "Action" INT? ":" NAME ("[" text "]" | "(" arguments ")")
             | "Action:" NAME NL "Action Input:" (text | JSON)
             | "Action:" JSON                                     {"action", "action_input"}
    answer  := "Action:" "finish[" text "]" | ("Final Answer" | "Answer") ":" text

An observation is data, whoever wrote it. A *turn* is what a model wrote: it ends where the model
begins to observe for itself, or goes on thinking after an action whose result it cannot know;
nothing after that is read. A *trajectory* is a whole text that a person hands over, with the
observations in it: every action is a step, each after the one before. Where the text has thoughts,
an observation ends only at the next thought, so that an action inside of it stays data.

The action's text is one argument unless it is clearly a list (`bracketed`). It can name nothing but
the caller's data (`$input.mail`); an answer is literal. A step is final at its newline. Several
actions in one turn, with nothing thought between them, do not wait for each other.

Source: ReAct (arXiv 2210.03629); the `Action Input` form is LangChain's.

>>> reader = turn()
>>> [step.tool for step in reader.feed("Thought: look it up\nAction: search[heddle]\n")]
['search']
>>> reader = turn()
>>> reader.feed("Action: finish[42]\n"), reader.output, reader.ended
([], '42', True)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.action import ACTION_HINT, ANSWERS, Action
from heddle.plan.dialects.reading.bracketed import TOOL
from heddle.plan.dialects.reading.bracketing import Inputs, Spoken, call_written
from heddle.plan.dialects.reading.lines import Line, LineReading
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import Place
from heddle.plan.dialects.reading.unsaid import refuse_unsaid
from heddle.plan.ir import Hole, Origin, Step, qualified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.ir import Plan

__all__ = ["ReactReader", "fits", "id_for", "likely", "reader", "trajectory", "turn", "write"]

_START = r"[ \t>*_\#+•`-]*+(?:[0-9]{1,3}[.)][ \t]*+[*_]*+)?+"
_LABEL = re.compile(
    rf"""{_START}(?P<label>thought|action[ _]input|action|observation|final[ ]answer|answer)
    [ ]?[0-9]{{0,3}}+[*_ ]*+:[*_]*+[ \t]*+""",
    re.IGNORECASE | re.VERBOSE,
)
_ACTION_LIKELY = re.compile(
    rf"""^{_START}action[ ]?[0-9]{{0,3}}+[*_ ]*+:[*_]*+
    (?: [ \t]*+[*_`]*+{TOOL}[*_`]*+[ ]?[\[(]  |  [^\n]*+\n\s*+[*_`]*+action[ _]input
      | \s*+(?:```\w*+\s*+)?+\{{\s*+["']action )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_THOUGHT_LIKELY = re.compile(rf"^{_START}thought[ ]?[0-9]{{0,3}}+[*_ ]*+:", re.I | re.M)
_ANSWER_LIKELY = re.compile(rf"^{_START}(?:final[ ])?answer[*_ ]*+:", re.I | re.M)
_ID = re.compile(r"[1-9][0-9]{0,8}")
_REACT, _LITERAL = Inputs("react"), Spoken("react")


class ReactReader(LineReading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        whole: the text is a whole trajectory; else it is one turn of a model.

    Attributes:
        ended: the turn is over, by its answer or otherwise: no step will come any more.
    """

    def __init__(self, *, round: int = 1, whole: bool = False) -> None:
        super().__init__()
        self.ended = False
        self._round = round
        self._whole = whole
        self._section = ""
        self._thinks = False  # a thought has come, so observations end at the next one
        self._thoughts: list[str] = []
        self._action: Action | None = None
        self._answer: list[str] | None = None
        self._answered = Place("", "", Origin(1, 1), "")
        self._count = 0
        self._said: list[str] = []

    @property
    def said(self) -> str:
        """What was read, without what a model observed for itself."""
        return "\n".join(self._said)

    # -- lines

    def _take(self, line: Line) -> bool:
        found = _LABEL.match(line.text)
        label = found["label"].lower().replace("_", " ") if found else ""
        if found and self._begins(label):
            self._end_section(label)
            if not self._is_over(label):
                self._begin(label, line, found.end())
                return False
            if label != "observation":
                self._cut_at(_place(line))
                return True
            rest = line.text[found.end() :]
        else:
            rest = line.text
        if not self.ended:
            self._go_on(line)
        elif rest.strip():
            self._cut_at(_place(line))
            return True
        return False

    def _begins(self, label: str) -> bool:
        """Whether a label begins a section here; inside of an observation few do."""
        return self._section != "observation" or label == "thought" or not self._thinks

    def _is_over(self, label: str) -> bool:
        """Whether nothing from this label on is read."""
        if self._whole:
            return False
        acted = self._count > 0
        self.ended |= label == "observation" or (acted and not label.startswith("action"))
        return self.ended

    def _begin(self, label: str, line: Line, offset: int) -> None:
        rest = line.text[offset:]
        self._section = label
        self._said.append(line.text)
        if label == "thought":
            self._thinks = True
            self._thoughts += [rest.strip()] if rest.strip() else []
        elif label == "action":
            self._action = Action(line.origin(offset), line.snippet)
            self._act(rest)
        elif label == "action input" and self._action is not None:
            self._action.inputs = [rest]
        elif label.endswith("answer"):
            self._answer = [rest]
            self._answered = _place(line)

    def _go_on(self, line: Line) -> None:
        """A line without a label belongs to the section that it stands in."""
        self._said.append(line.text)
        if self._section == "thought" and line.text.strip():
            self._thoughts.append(line.text.strip())
        elif self._section == "action":
            self._act(line.text)
        elif self._action is not None and self._action.inputs is not None:
            self._action.inputs.append(line.text)
        elif self._answer is not None:
            self._answer.append(line.text)

    def _cut_at(self, place: Place) -> None:
        """Say that the turn is over, and that its model went on all the same."""
        self.ended = True
        last = "its answer" if self.output is not None else "its action, before a result"
        message = f"what the model wrote after {last} was not read"
        hint = "a turn ends with its action, or with its answer"
        self._emit(place.finding("trailing-text", message, hint, warning=True))

    # -- sections

    def _act(self, text: str) -> None:
        if self._action is not None and self._action.add(text):
            self._end_action(self._action)

    def _end_section(self, label: str, *, cut: bool = False) -> None:
        """Another section begins: give what is now complete."""
        if self._action is not None and label != "action input":
            self._end_action(self._action, cut=cut)
        if self._answer is not None:
            self._answer_with("\n".join(self._answer).strip(), self._answered)

    def _end_action(self, action: Action, *, cut: bool = False) -> None:
        self._action = None
        name = str(self._count + 1)
        id = qualified(self._round, name)
        place = Place(name, id, action.origin, action.snippet)
        try:
            tool, args = action.call(cut=cut)
        except Fault as fault:
            finding = place.finding(fault.code, fault.message, fault.hint or ACTION_HINT)
            self._accept(Hole(id, action.text, (finding,), action.origin))
            return
        if tool.lower() in ANSWERS:
            self._answer_with(action.answer(args), Place("", "", place.origin, place.snippet))
        else:
            note = "\n".join(self._thoughts)
            self._accept(Step(id, tool, args, self._after(), note=note, origin=action.origin))
        for code, message in action.warnings:
            self._emit(place.finding(code, message, ACTION_HINT, warning=True))

    def _after(self) -> tuple[str, ...]:
        """In a trajectory each step is after the one before; the actions of a turn are not."""
        chained = self._whole and self._count
        return (qualified(self._round, str(self._count)),) if chained else ()

    def _accept(self, entry: Step | Hole) -> None:
        self._count += 1
        self._thoughts = []
        self._emit(entry)

    def _answer_with(self, answer: object, place: Place) -> None:
        self._answer = None
        if not self._whole and self._count:
            self._cut_at(place)
            return
        if self.output is not None:
            message = "the answer that was given before this one is ignored"
            self._emit(place.finding("trailing-text", message, "give one answer", warning=True))
        self.output = answer
        self.ended = not self._whole

    def _finish(self) -> None:
        self._end_section("", cut=self._cut)


def _place(line: Line) -> Place:
    return Place("", "", line.origin(), line.snippet)


def turn(*, round: int = 1) -> ReactReader:
    """Start to read one turn of a model: up to its action, its answer or its own observation."""
    return ReactReader(round=round)


def trajectory(*, round: int = 1) -> ReactReader:
    """Start to read a whole text, with the observations in it."""
    return ReactReader(round=round, whole=True)


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> ReactReader:
    """Start a reading: of a turn within a run, which has earlier results, or of a whole text.

    Args:
        round: the round of the plan.
        earlier: given, even if empty, by a run that goes on; None for a text that stands alone.
    """
    return trajectory(round=round) if earlier is None else turn(round=round)


def likely(text: str) -> float:
    """How much a text looks like this dialect: whether a line begins with an action."""
    if _ACTION_LIKELY.search(text):
        return 0.92
    return 0.5 if _THOUGHT_LIKELY.search(text) and _ANSWER_LIKELY.search(text) else 0.0


def write(plan: Plan) -> str:
    """A plan as thoughts and actions, one after the other, and its answer.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    lines: list[str] = []
    before: tuple[str, ...] = ()
    for number, step in enumerate(plan.steps, 1):
        if step.id != str(number):
            raise ValueError(f"step {step.id!r}: the react dialect numbers its steps from 1")
        if step.after != before:
            raise ValueError(
                f"step {step.id}: in the react dialect each step is after the one before"
            )
        lines += _written(step)
        before = (step.id,)
    if plan.output is not None:
        lines.append(f"Action: {call_written('finish', {'0': plan.output}, _LITERAL)}")
    return "\n".join([*lines, ""])


def _written(step: Step) -> list[str]:
    if step.tool.lower() in ANSWERS:
        raise ValueError(f"step {step.id}: {step.tool!r} cannot be the name of a tool")
    refuse_unsaid(step, "react", "after")
    try:
        action = f"Action: {call_written(step.tool, step.args, _REACT)}"
    except ValueError as error:
        raise ValueError(f"step {step.id}: {error}") from None
    note = " ".join(step.note.split())
    return [f"Thought: {note}", action] if note else [action]


def fits(id: str) -> bool:
    """Whether a step can have that id: a number without leading zeros, of at most nine digits."""
    return _ID.fullmatch(id) is not None


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)
