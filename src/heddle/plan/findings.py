"""What is wrong with a plan, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CODES", "Finding", "Origin", "Severity"]

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a planner's text; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a plan.

    Attributes:
        code: stable kebab-case name, a key of `CODES`.
        severity: an error keeps the plan from running; a warning does not.
        message: what is wrong, in one sentence.
        hint: what to do.
        line: line in the plan's text, from 1; 0 where there is no text.
        column: column in that line, from 1; 0 where there is no text.
        snippet: the line, or the part of it that matters.
        step: id of the step that it is about; "" for the plan as a whole.
    """

    code: str
    severity: Severity
    message: str
    hint: str = ""
    line: int = 0
    column: int = 0
    snippet: str = ""
    step: str = ""

    @classmethod
    def at(
        cls,
        origin: Origin | None,
        code: str,
        message: str,
        *,
        hint: str = "",
        snippet: str = "",
        step: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding at a place, with the severity that `CODES` gives its code by default."""
        return cls(
            code=code,
            severity=severity or CODES[code][0],
            message=message,
            hint=hint,
            line=origin.line if origin else 0,
            column=origin.column if origin else 0,
            snippet=snippet,
            step=step,
        )


CODES: dict[str, tuple[Severity, str]] = {
    # reading the text
    "empty-plan": ("error", "the text holds no step"),
    "bad-call": ("error", "a line that should be a call cannot be read as one"),
    "bad-arguments": ("error", "the argument list of a call cannot be read"),
    "unclosed-call": ("error", "a call's closing bracket or quote never came"),
    "bad-json": ("error", "the JSON of a step cannot be read"),
    "bad-number": ("error", "a number that JSON cannot hold: NaN, infinity, or too many digits"),
    "split-number": ("error", "a number with commas in it that would be read as several numbers"),
    "bad-text": ("error", "text that is not valid Unicode"),
    "duplicate-key": ("error", "an object names one key twice"),
    "bad-node": ("error", "a `$ref`, `$template` or other node is malformed"),
    "bad-field": ("error", "a step has a field that the format does not know or cannot hold"),
    "bad-version": ("error", "the plan says it has a format that this version does not know"),
    "unquoted-text": ("warning", "an argument without quotes was read as text"),
    "trailing-text": ("warning", "text after a call was ignored"),
    "prose-line": ("warning", "a numbered line that is no call was taken for prose"),
    "bad-python": ("error", "a line of Python that cannot be read"),
    "refused-python": ("error", "Python that is not in the restricted language of plans"),
    "needless-python": ("warning", "a line of Python that a plan does not need was left out"),
    "continued-call": ("error", "something after a closed call would change what it means"),
    "text-too-large": ("error", "the planner's text is larger than its bound"),
    "nesting-too-deep": ("error", "lists and objects nest deeper than the bound"),
    "plan-cut": ("error", "the planner's reply broke off, so the plan may lack steps"),
    "unknown-dialect": ("error", "no dialect recognises the text"),
    # steps
    "duplicate-id": ("error", "two steps have one id"),
    "bad-id": ("error", "an id is empty, too long, or has characters that no dialect can refer to"),
    "unknown-tool": ("error", "no tool of that name was passed"),
    "missing-argument": ("error", "a required argument is not given"),
    "unknown-argument": ("error", "the tool has no argument of that name"),
    "too-many-arguments": ("error", "more positional arguments than the tool takes"),
    "repeated-argument": ("error", "an argument is given by position and by name"),
    "wrong-type": ("error", "a literal does not match the argument's schema"),
    "bad-expression": ("error", "`compute` cannot evaluate the expression, whatever the values"),
    # references
    "unknown-reference": ("error", "a reference names no step"),
    "forward-reference": ("error", "a reference names a step that comes later"),
    "cyclic-reference": ("error", "steps refer to each other in a circle"),
    "unknown-field": ("error", "a reference path names no part of the declared result"),
    "reference-type": ("error", "a result's declared type does not fit the argument it feeds"),
    "earlier-round": ("warning", "an id exists in this round and in an earlier one"),
    "dangling-link": ("error", "a link names no step"),
    "cyclic-link": ("error", "links lead in a circle"),
    "bad-link": ("error", "an end of a link is no name"),
    "ambiguous-numbering": ("error", "whether `<node-k>` counts from 0 or from 1 cannot be told"),
    "counted-from-one": ("warning", "`<node-k>` was read as counting from 1"),
    "object-argument": ("error", "an argument is an object where the dialect has texts"),
    "ambiguous-link": ("error", "a link names a tool that more than one step calls"),
    "unknown-input": ("error", "an input of that name was not passed"),
    "item-outside-map": ("error", "`$item` is used in a step that has no `over`"),
    # the plan as a whole
    "too-many-steps": ("error", "the plan has more steps than its bound"),
    "too-deep": ("error", "the longest path of the plan is longer than its bound"),
    "too-wide": ("error", "a map, or the plan, is wider than its bound"),
    "too-dear": ("error", "the plan's calls may cost more than its bound"),
    "too-many-calls": ("error", "the plan's maps may ask for more calls than its bound"),
    "too-many-references": ("error", "one step refers to more results than its bound"),
    "literal-too-large": ("error", "a literal argument is larger than its bound"),
    "too-many-holes": ("error", "more bad lines than a plan may have"),
    "not-runnable": ("error", "the plan uses a part of the format that this version cannot run"),
    "ceiling": ("error", "a nested plan would change the world by a tool of its own choice"),
    "no-model": ("error", "a step asks a model and none was given"),
}
"""Every code with its default severity and its meaning; the docs list is made from it."""
