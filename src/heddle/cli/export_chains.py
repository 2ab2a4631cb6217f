"""`heddle export chains`: annotated answers as abstract chains whose answer comes out."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.answers import Answer, read_answers
from heddle.cli.reading import writable
from heddle.cli.screen import give_json, is_terminal, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heddle.plan.chains import Chain, ChainError

__all__ = ["chains"]

_SHOWN = 5  # lines named for each reason


@click.command(
    epilog="""\b
Examples:
  heddle export chains gsm8k.jsonl > chains.jsonl
  heddle export chains gsm8k.jsonl --output chains.jsonl --json

\b
A line of FILE is {"question": "…", "answer": "48/2 = <<48/2=24>>24 clips\\n#### 24"}.
A line of the result has id, question, chain, steps, values, gold and answer."""
)
@click.argument("answers_file", metavar="FILE")
@click.option("--output", metavar="FILE", help="Write the chains there and not on stdout.")
@options.quiet
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summary as one JSON object; chains go only to --output.",
)
def chains(answers_file: str, output: str | None, quiet: bool, as_json: bool) -> int:
    """Make abstract chains of the annotated answers in FILE (JSON lines, - for stdin).

    Each `<<48/2=24>>` becomes the bracket [48 / 2 = y1], and an operand that equals an earlier
    result becomes its symbol. The tools compute each chain; it is kept if the final answer comes
    out, and else counted by reason. Exit status 1 if none is kept.
    """
    from heddle.cli.loop import run_loop

    writable(output)
    answers = read_answers(answers_file)
    tally = _Tally()
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(output, "w", encoding="utf-8")) if output else sys.stdout

        def keep(row: dict[str, Any]) -> None:
            if output or not as_json:
                stream.write(json.dumps(row, ensure_ascii=not output) + "\n")

        run_loop(_all(answers, tally, keep, hidden=quiet or as_json))
    if as_json:
        give_json(tally.to_json())
    elif not quiet:
        tally.say()
    return 0 if tally.kept else 1


@dataclass(slots=True)
class _Tally:
    """What came of the answers.

    Attributes:
        refused: for each reason, the answers that gave no chain and what was wrong with each.
        annotations: of the answers that could be converted.
        reproduced: annotations whose value the tools computed too.
    """

    answers: int = 0
    kept: int = 0
    converted: int = 0
    annotations: int = 0
    reproduced: int = 0
    refused: dict[str, list[tuple[Answer, str]]] = field(
        default_factory=dict[str, "list[tuple[Answer, str]]"]
    )

    def count(self, chain: Chain, values: dict[str, Any]) -> None:
        """Count a converted answer and what the tools computed of it."""
        self.converted += 1
        self.annotations += len(chain.annotations)
        self.reproduced += sum(
            annotation.symbol in values and annotation.gives(values[annotation.symbol])
            for annotation in chain.annotations
        )

    def refuse(self, answer: Answer, error: ChainError) -> None:
        """Count an answer that gave no chain."""
        self.refused.setdefault(error.reason, []).append((answer, error.message))

    def to_json(self) -> dict[str, Any]:
        """The summary for programs."""
        return {
            "answers": self.answers,
            "converted": self.converted,
            "kept": self.kept,
            "annotations": self.annotations,
            "reproduced": self.reproduced,
            "refused": {reason: len(rows) for reason, rows in self.refused.items()},
            "lines": [
                {"line": answer.line, "id": answer.id, "reason": reason, "message": message}
                for reason, rows in self.refused.items()
                for answer, message in rows
            ],
        }

    def say(self) -> None:
        """The summary for people, on stderr."""
        say(f"{self.kept} of {self.answers} answers gave a chain whose answer comes out")
        say(f"{self.reproduced} of {self.annotations} annotations reproduced by the tools")
        rows = [
            (reason, str(len(found)), _lines([answer.line for answer, _ in found]))
            for reason, found in sorted(self.refused.items(), key=lambda item: -len(item[1]))
        ]
        if rows:
            for line in table([("no chain because", "answers", "lines"), *rows], right=[1]):
                say(line)


def _lines(numbers: Sequence[int]) -> str:
    distinct = list(dict.fromkeys(numbers))
    shown = ", ".join(map(str, distinct[:_SHOWN]))
    return f"{shown}, …" if len(distinct) > _SHOWN else shown


async def _all(
    answers: Sequence[Answer],
    tally: _Tally,
    keep: Callable[[dict[str, Any]], None],
    *,
    hidden: bool,
) -> None:
    from heddle.plan.chains import ChainError

    hidden = hidden or not is_terminal(sys.stderr)
    with click.progressbar(answers, label="chains", file=sys.stderr, hidden=hidden) as bar:
        for answer in bar:
            tally.answers += 1
            try:
                row = await _row(answer, tally)
            except ChainError as error:
                tally.refuse(answer, error)
                continue
            tally.kept += 1
            keep(row)


async def _row(answer: Answer, tally: _Tally) -> dict[str, Any]:
    """The chain of an answer, run.

    Raises:
        ChainError: it gives none, or its answer does not come out.
    """
    from heddle.plan.canonical import plan_to_json
    from heddle.plan.chains import chain_of, judged
    from heddle.plan.dialects import parse

    chain = chain_of(answer.text)
    values = await _values(chain)
    tally.count(chain, values)
    gold = answer.gold or chain.gold
    text, symbol = judged(chain, values, gold)
    return {
        "id": answer.id,
        "question": answer.question,
        "chain": text,
        "steps": plan_to_json(parse(text, "abstraction"))["steps"],
        "values": values,
        "gold": gold,
        "answer": values[symbol],
    }


async def _values(chain: Chain) -> dict[str, Any]:
    """What the tools compute, by symbol; a step that failed is missing.

    Raises:
        ChainError: the chain reads back as something else.
    """
    from heddle.engine.execution import execute
    from heddle.plan.chains import ChainError
    from heddle.plan.dialects import parse

    plan = parse(chain.text, "abstraction")
    wanted = [annotation.symbol for annotation in chain.annotations]
    errors = [item.message for item in plan.findings if item.severity == "error"]
    if errors or [step.id for step in plan.steps] != wanted:
        raise ChainError("unreadable-chain", *errors[:1])
    result = await execute(plan)
    return {step.id: step.value for step in result.steps if step.status == "done"}
