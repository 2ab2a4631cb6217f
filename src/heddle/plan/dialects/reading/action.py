"""One action of a ReAct text, in the forms that models write.

search[text]    search("text", k=3)         a call, perhaps over several lines
search          and then, in its own section, the input: text or a JSON object
{"action": "search", "action_input": …}     JSON, perhaps in a fence
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.dialects.reading.bracketed import TOOL, arguments_in, rendered
from heddle.plan.dialects.reading.bracketing import Inputs, Spoken
from heddle.plan.dialects.reading.calls import call_of
from heddle.plan.dialects.reading.closing import Unclosed
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.objects import value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.plan.ir import Origin, Value

__all__ = ["ACTION_HINT", "ANSWERS", "Action", "trailing"]

ACTION_HINT = "an action reads `Action: tool[text]`, on a line of its own"

ANSWERS = frozenset({"finish", "final answer", "final_answer"})
"""What an action that gives the answer is called, in lower case. Its text is literal."""

_LITERAL, _INPUTS = Spoken("react"), Inputs("react")
_CALL = re.compile(rf"[\s*_`]*+(?P<name>{TOOL})[*_`]*+[ ]?(?P<opening>[\[(])")
_LONE = re.compile(rf"[\s*_`\"']*+(?P<name>{TOOL})[*_`\"'.\s]*+")
_FENCE = re.compile(r"\s*+(?:```|~~~)\w*+\s*+")
_CONTINUED = re.compile(
    r"""[.\[](?=[\w"'\#$]) | \s*+if\s.*\selse\s | \s*+\|\s*+[^\W\d][\w.]*+[\[(]
      | \s*+(?:[+/%^@]\s*+\S | \*\s*+[\w("'\#$]
      | (?:[,;&]|and\b|then\b|or\b|->)?+\s*+(?:and\b|then\b|or\b)?+\s*+
        [^\W\d][\w.]*+[\[(]["'\w\#$])""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_REMARK = re.compile(
    r"[\s;,.*_`~|&)]*+(?:(?:and|then)?+[\s;,]*+$|\#|//|<|\(|->|→|←|[-–—](?:\s|$))", re.IGNORECASE
)


def trailing(text: str) -> str | None:
    """What is wrong with text after a call: a warning's message, or None for a mere remark.

    Raises:
        Fault: it would change what the call means.
    """
    if _CONTINUED.match(text):
        message = "something follows the closed call that would change what it means"
        raise Fault("continued-call", message, "one call a step; nothing is computed around it")
    if _REMARK.match(text):
        return None
    return f"{text.strip()[:40]!r} after a call was ignored"


class Action:
    """An action while its lines arrive.

    Args:
        origin: where it begins.
        snippet: its first line.

    Attributes:
        inputs: the lines of its input section; None where it has none.
        warnings: what was found while it was read: codes and messages.
    """

    def __init__(self, origin: Origin, snippet: str) -> None:
        self.origin = origin
        self.snippet = snippet
        self.inputs: list[str] | None = None
        self.warnings: list[tuple[str, str]] = []
        self._lines: list[str] = []
        self._tool = ""
        self._open: Unclosed | None = None
        self._trail: str | None = None

    @property
    def text(self) -> str:
        """All of it, as written."""
        return "\n".join([*self._lines, *(self.inputs or ())])

    def add(self, text: str) -> bool:
        """Take a line; True if the call closes in it, so that it is complete.

        Cost: linear in the line.
        """
        if not self._lines and (not text.strip() or _FENCE.fullmatch(text)):
            return False
        found = None if self._lines else _CALL.match(text)
        self._lines.append(text)
        if found:
            self._tool = _tool(found)
            self._open = Unclosed(found["opening"])
            text = text[found.end() :]
        if self._open is not None:
            self._trail = self._open.add(text)
        return self._trail is not None

    def call(self, *, cut: bool = False) -> tuple[str, dict[str, Value]]:
        """The tool and its arguments.

        Args:
            cut: its last line may have been cut off.

        Raises:
            Fault: it cannot be read.
        """
        if self._open is not None:
            text, spoken = self._inner(self._open, cut), _spoken(self._tool)
            call = self._open.opening == "("
            return self._tool, arguments_in(text, spoken.render, mention=spoken.mention, call=call)
        text = _unfenced(self._lines)
        if text.startswith("{"):
            return _blob(text)
        found = _LONE.fullmatch(text)
        if found is None or (self.inputs is None and " " in found["name"]):
            raise Fault("bad-call", "the action is no call of a tool", ACTION_HINT)
        tool = _tool(found)
        return tool, _input(_unfenced(self.inputs or ()), _spoken(tool))

    def _inner(self, open: Unclosed, cut: bool) -> str:
        """What stands between the brackets.

        Raises:
            Fault: they do not close, or something follows that would change the call.
        """
        if self._trail is not None:
            if warning := trailing(self._trail):
                self.warnings.append(("trailing-text", warning))
            return open.text
        meant = None if cut else open.meant()
        if meant is None:
            raise Fault("unclosed-call", "the call's closing bracket never came", ACTION_HINT)
        message = "the closing bracket at the line's end is missing"
        self.warnings.append(("unclosed-call", message))
        return meant

    def answer(self, args: dict[str, Value]) -> Value:
        """What an action that finishes says: its one argument, or else its text."""
        if len(args) == 1:
            return next(iter(args.values()))
        return self._open.text.strip() if self._open else ""


def _spoken(tool: str) -> Spoken:
    """What can be said in the text of a tool: an answer is literal."""
    return _LITERAL if tool.lower() in ANSWERS else _INPUTS


def _tool(found: re.Match[str]) -> str:
    return found["name"].replace("\\", "")


def _unfenced(lines: Sequence[str]) -> str:
    """Lines without the fence around them."""
    inner = [line for line in lines if not _FENCE.fullmatch(line)]
    return "\n".join(inner).strip()


def _input(text: str, spoken: Spoken) -> dict[str, Value]:
    """The arguments that an input section gives.

    Raises:
        Fault: it cannot be read.
    """
    if not text.startswith("{"):
        return arguments_in(text, spoken.render, mention=spoken.mention)
    return rendered(value_of(text), spoken.render)


def _blob(text: str) -> tuple[str, dict[str, Value]]:
    """The call that a JSON object is.

    Raises:
        Fault: it cannot be read, or is no call.
    """
    call = call_of(cast("dict[str, Any]", value_of(text)))
    if call is None:
        raise Fault("bad-call", "the action is an object, and no call", ACTION_HINT)
    args: Any = call.args
    if isinstance(args, str) and args.lstrip().startswith("{"):
        args = value_of(args.strip())
    if not isinstance(args, dict):
        listed = cast("list[Any]", args) if isinstance(args, list) else [args]
        args = {str(place): item for place, item in enumerate(listed) if args is not None}
    return call.tool, rendered(args, _spoken(call.tool).render)
