"""`heddle export plans`: runs and recorded plans as rows to train planners and solvers on."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.reading import writable
from heddle.cli.screen import give_json, say, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heddle.comparison.training import Kind, Source

__all__ = ["plans"]

_KINDS = ("plan", "decomposer", "solver")


class _Kinds(click.ParamType[tuple[str, ...]]):
    """Kinds of rows, with commas between."""

    name = "KINDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]  # the default
        names = tuple(filter(None, (name.strip() for name in str(value).split(","))))
        odd = [name for name in names if name not in _KINDS]
        if odd or not names:
            self.fail(f"{', '.join(odd) or 'nothing'} is none of {', '.join(_KINDS)}", param, ctx)
        return names


@click.command(
    epilog="""\b
Examples:
  heddle export plans hotpotqa.results.jsonl --only correct > rows.jsonl
  heddle export plans r.results.jsonl --only correct --kinds plan --format chat --output t.jsonl
  heddle export plans recorded.jsonl --questions questions.jsonl --tools tools.py

\b
FILE is a results file of heddle compare, or has lines
{"question": "…", "text": "the plan", "dialect": "…", "correct": true}.
docs/cli.md says what is in a row."""
)
@click.argument("plans_file", metavar="FILE")
@click.option(
    "--only",
    type=click.Choice(["correct", "clean"]),
    default=None,
    help="correct: only where the answer is right, and the plan was clean and enough; clean: "
    "only plans without an error finding.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["rows", "chat"]),
    default="rows",
    show_default=True,
    help="rows: all that is known; chat: messages as providers take them for fine-tuning.",
)
@click.option(
    "--kinds",
    type=_Kinds(),
    default=",".join(_KINDS),
    show_default=True,
    help="Which rows.",
)
@click.option("--questions", metavar="FILE", help="Texts of the questions, by id (JSONL).")
@options.tools
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="How far a number may be off, as a share of the gold one; 0 for years.",
)
@click.option("--output", metavar="FILE", help="Write the rows there and not on stdout.")
@options.quiet
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summary as one JSON object; rows go only to --output.",
)
def plans(
    plans_file: str,
    only: str | None,
    form: str,
    kinds: tuple[Kind, ...],
    questions: str | None,
    tool_specs: tuple[str, ...],
    tolerance: float,
    output: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Make rows to train on of the plans in FILE (JSON lines, - for stdin).

    `plan` rows: question and tools, the plan, the verdict on it. `decomposer` rows: question and
    tools, the plan's sub-questions. `solver` rows: question and evidence, the answer; and the
    instruction and context of each step that asked a model, its result. No result of a tool is in
    the first two. What gave no row is counted by reason. Exit status 1 if there is no row.
    """
    from heddle.cli.plan_sources import read_sources

    writable(output)
    tools = options.toolset(tool_specs) if tool_specs else None
    sources = read_sources(plans_file, _questions(questions), tools, tolerance)
    tally = _Tally(len(sources))
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(output, "w", encoding="utf-8")) if output else sys.stdout
        for row in tally.kept_of(sources, kinds, only or "", form):
            if output or not as_json:
                stream.write(json.dumps(row, ensure_ascii=not output) + "\n")
    if as_json:
        give_json(tally.to_json())
    elif not quiet:
        tally.say()
    return 0 if tally.kept else 1


def _questions(path: str | None) -> dict[str, str]:
    """The texts of the questions of a file, by id.

    Raises:
        ConfigError: it cannot be read, or a line is no question.
    """
    from heddle.cli.comparison_setup import questions_of

    found = questions_of(path).questions if path else ()
    return {question.id: question.text for question in found}


@dataclass(slots=True)
class _Tally:
    """What came of the sources.

    Attributes:
        kept: rows by kind.
        left_out: what gave none, by kind and reason.
    """

    sources: int
    kept: Counter[str] = field(default_factory=Counter[str])
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter["tuple[str, str]"])

    def kept_of(
        self, sources: Sequence[Source], kinds: Sequence[Kind], only: str, form: str
    ) -> Iterator[dict[str, Any]]:
        """The rows as they are written; everything is counted."""
        from heddle.comparison.chat import as_chat
        from heddle.comparison.training import LeftOut, training_rows

        for found in training_rows(sources, kinds, only):
            if isinstance(found, LeftOut):
                self.left_out[found] += 1
                continue
            row = as_chat(found) if form == "chat" else found
            if row is None:
                self.left_out[found["kind"], "no-prompt"] += 1
                continue
            self.kept[found["kind"]] += 1
            yield row

    def to_json(self) -> dict[str, Any]:
        """The summary for programs."""
        return {
            "sources": self.sources,
            "rows": {kind: self.kept[kind] for kind in _KINDS},
            "left_out": [
                {"kind": kind, "reason": reason, "count": count}
                for (kind, reason), count in sorted(self.left_out.items())
            ],
        }

    def say(self) -> None:
        """The summary for people, on stderr."""
        from heddle.comparison.training import REASONS

        rows = ", ".join(f"{self.kept[kind]:,} {kind}" for kind in _KINDS)
        say(f"{rows} rows of {self.sources:,} runs or recorded plans")
        left = [
            (kind, f"{count:,}", reason, REASONS[reason])
            for (kind, reason), count in sorted(self.left_out.items())
        ]
        if left:
            for line in table([("no row", "count", "because", ""), *left], right=[1]):
                say(line)
