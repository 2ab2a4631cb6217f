"""What is written where: results to stdout, all else to stderr, and nothing that could hurt.

Text of tools and models is made harmless before a terminal sees it: escape sequences, control
characters and marks that reverse the reading direction are taken out. A file or a pipe gets
results as they are.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "clean",
    "coloured",
    "give",
    "give_json",
    "is_terminal",
    "one_line",
    "say",
    "say_parts",
    "seconds",
    "table",
]

_HARMFUL = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]?|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)|[ -/]*+[0-~]?)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_ANSI = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}


def clean(text: str) -> str:
    r"""Text without anything that moves a cursor, changes a terminal or hides what it says.

    Line breaks and tabs stay. Cost: linear.

    >>> clean("\x1b[31mred\x1b[0m\u202e")
    'red'
    """
    return _HARMFUL.sub("", text)


def one_line(value: Any, width: int) -> str:
    r"""A value on one line of at most `width` characters.

    >>> one_line({"a": [1, 2]}, 20), one_line("two\nlines", 6)
    ('{"a": [1, 2]}', 'two l…')
    """
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    text = " ".join(clean(value[: 4 * width]).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def seconds(value: float | None) -> str:
    """A time for people.

    >>> seconds(None), seconds(0.0123), seconds(2.5), seconds(75.0)
    ('-', '12 ms', '2.50 s', '75.0 s')
    """
    if value is None:
        return "-"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 60 else f"{value:.1f} s"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at this stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether to write colours: NO_COLOR wins over FORCE_COLOR, which wins over the terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream)


def say(text: str = "", *, label: str = "", fg: str = "", stdout: bool = False) -> None:
    """Write a line for people, made harmless.

    Args:
        text: what follows the label, without colour.
        label: what stands first, in the colour.
        fg: a colour, "dim" or "bold"; "" for none.
        stdout: True for a command whose result is text for people.
    """
    stream = sys.stdout if stdout else sys.stderr
    label = clean(label)
    if label and fg and coloured(stream):
        label = f"\x1b[{_ANSI[fg]}m{label}\x1b[0m"
    _write(stream, label + clean(text) + "\n")


def say_parts(parts: Sequence[tuple[str, str]]) -> None:
    """Write a line of results for people to stdout, made harmless.

    Args:
        parts: (text, colour) of each part; "" for none.
    """
    colours = coloured(sys.stdout)
    shown = "".join(
        f"\x1b[{_ANSI[fg]}m{clean(text)}\x1b[0m" if fg and colours else clean(text)
        for text, fg in parts
    )
    _write(sys.stdout, shown.rstrip(" ") + "\n")


def give(text: str) -> None:
    """Write a result to stdout: harmless on a terminal, as it is anywhere else."""
    text = clean(text) if sys.stdout.isatty() else text
    _write(sys.stdout, text if text.endswith("\n") else text + "\n")


def give_json(value: Any) -> None:
    """Write the one JSON object of a command: a line of ASCII, which every terminal can bear."""
    _write(sys.stdout, json.dumps(value) + "\n")


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows as lines with aligned columns.

    Args:
        rows: as many cells in each, one line each.
        right: columns that are aligned at their end, from 0.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _write(stream: TextIO, text: str) -> None:
    """Write; a reader who has left (`| head`, a closed terminal) changes nothing for the run."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
