"""A comparison on stdout: a line for each strategy, then differences, then how to read them."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

from heddle.cli.screen import one_line, say_parts
from heddle.comparison.columns import COLUMNS, best, change, notes, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.comparison.figures import Difference
    from heddle.comparison.outcome import Outcome

__all__ = ["give_table"]

MARK = "*"


def give_table(outcome: Outcome) -> None:
    """Write it. The best figure of a column has a star, and stands out where there are colours.

    On a terminal that is too narrow, strategies are columns and figures are rows.
    """
    figures = outcome.figures
    rows = [[_Cell("strategy"), _Cell("runs"), *(_Cell(column.head) for column in COLUMNS)]]
    marks = [best(figures, column) for column in COLUMNS]
    for own in figures.strategies:
        cells = [_Cell(column.text(own), own.strategy in mark)
                 for column, mark in zip(COLUMNS, marks, strict=True)]  # fmt: skip
        rows.append([_Cell(own.strategy), _Cell(f"{own.runs:,}"), *cells])
    _give_rows(rows)
    if figures.differences:
        say_parts([])
    for one in figures.differences:
        say_parts([(_difference(one), "")])
    say_parts([])
    for note in (*notes(figures, outcome.tolerance), *_best_note(any(marks))):
        say_parts([(note, "dim")])


class _Cell(NamedTuple):
    text: str
    best: bool = False

    @property
    def shown(self) -> str:
        return one_line(self.text, 200) + (MARK if self.best else "")


def _give_rows(rows: Sequence[Sequence[_Cell]]) -> None:
    widths = _widths(rows)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if room is not None and sum(widths) + 2 * len(widths) > room:
        rows = list(zip(*rows, strict=True))
        widths = _widths(rows)
    for at, row in enumerate(rows):
        parts: list[tuple[str, str]] = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            padded = cell.shown.ljust(width) if place == 0 else cell.shown.rjust(width)
            parts += [(padded, "bold" if cell.best or not at else ""), ("  ", "")]
        say_parts(parts)


def _widths(rows: Sequence[Sequence[_Cell]]) -> list[int]:
    return [max(len(cell.shown) for cell in column) for column in zip(*rows, strict=True)]


def _difference(one: Difference) -> str:
    accuracy = change(one.accuracy, lambda value: f"{100 * value:.0f}", "")
    latency = change(one.latency_s, seconds, "too few questions to say")
    return (
        f"{one.strategy} against {one.against}, {one.questions:,} questions of both: "
        f"accuracy {accuracy}; latency {latency}"
    )


def _best_note(marked: bool) -> list[str]:
    return [f"{MARK}: the best of its column as measured, not proof of a difference"] * marked
