"""What reading a plan costs for each kilobyte of its text, and whether that grows with the text.

Each dialect reads plans of its own, and texts made to hurt: brackets that never close, quotes that
never end, one line without an end, marks without anything behind them. Each is fed whole and one
character at a time. The figure is CPU for a kilobyte of the long text over that of a short one: 1
where reading is linear.

    python -m bench.parsing [--quick] [--json]
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from heddle.plan.dialects import DIALECTS, dialect_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT, LONG = 10_000, 1_000_000
HURTFUL = 250_000  # of texts made to hurt; a quarter of it where they come in characters
_WORDS = "the mass of the planet that was asked for"


def _links(size: int) -> str:
    """A chain of nodes, then the links between them."""
    count = max(2, size // 150)
    nodes = [{"task": "look", "id": f"n{n}", "arguments": [f"{_WORDS} {n}"]} for n in range(count)]
    links = [{"source": f"n{n}", "target": f"n{n + 1}"} for n in range(count - 1)]
    return json.dumps({"task_nodes": nodes, "task_links": links})


def _lines(line: Callable[[int], str], start: str = "", end: str = "") -> Callable[[int], str]:
    """So many lines, numbered from 1, as make a text of about a size."""

    def text(size: int) -> str:
        found, length = [start], len(start)
        for number in itertools.count(1):
            if length >= size:
                break
            found.append(line(number))
            length += len(found[-1])
        return "".join(found) + end

    return text


def _json_line(n: int) -> str:
    needs = [{"$ref": str(n - 1)}] if n > 1 else []
    args = {"what": f"{_WORDS} {n}", "given": needs}
    return ("" if n == 1 else ",\n") + json.dumps({"id": str(n), "tool": "look", "args": args})


VALID: dict[str, Callable[[int], str]] = {
    "llmcompiler": _lines(
        lambda n: f'{n}. look("{_WORDS} {n}"{f", ${n - 1}" if n > 1 else ""})\n', end="join()\n"
    ),
    "json": _lines(_json_line, '{"heddle": 1, "steps": [', "]}"),
    "react": _lines(
        lambda n: f"Thought {n}: {_WORDS}\nAction {n}: look[{n}]\nObservation {n}: {_WORDS}\n"
    ),
    "rewoo": _lines(
        lambda n: f"Plan: {_WORDS}\n#E{n} = look[{n}{f', #E{n - 1}' if n > 1 else ''}]\n"
    ),
    "native": _lines(
        lambda n: json.dumps({"id": f"c{n}", "name": "look", "arguments": {"what": _WORDS, "n": n}})
        + "\n"
    ),
    "links": _links,
    "abstraction": _lines(
        lambda n: f'{_WORDS} is [FUNC look("{n}"{f", y{n - 1}" if n > 1 else ""}) = y{n}], so\n'
    ),
    "python": _lines(
        lambda n: f'x{n} = look("{_WORDS} {n}"{f", x{n - 1}" if n > 1 else ""})\n'
    ),
}  # fmt: skip
"""A plan of about a size, by dialect; a step needs the one before where the dialect can say it."""

_START = {
    "llmcompiler": "1. look(", "json": '{"heddle": 1, "steps": [{"id": "1", "args": ',
    "react": "Action: look[", "rewoo": "#E1 = look[", "native": "[look(a=",
    "links": '{"task_nodes": [{"task": ', "abstraction": "[FUNC look(", "python": "x = look(",
}  # fmt: skip
"""How a step begins that something hurtful follows."""

HOSTILE: dict[str, str] = {
    "open brackets": "([{", "closed brackets": ")]}", "quotes": "\"'", "escapes": '"\\',
    "marks": "$1 #E1 y1 ", "starts": "", "spaces": " ", "line ends": "\n",
    "commas": "1,", "one word": "a",
}  # fmt: skip
"""What is repeated after a beginning; "" for the beginning itself, a line each."""


def texts(dialect: str, size: int) -> Iterator[tuple[str, str]]:
    """The texts of a size that a dialect reads, each with a name."""
    yield "plan", VALID[dialect](size)
    start = _START[dialect]
    for name, unit in HOSTILE.items():
        repeated = unit or f"{start}\n"
        yield name, (start if unit else "") + repeated * (size // len(repeated))


def cpu_s(dialect: str, text: str, step: int) -> float:
    """CPU of reading a text in pieces of so many characters."""
    gc.collect()
    began = time.process_time()
    reader = dialect_named(dialect).reader()
    for start in range(0, len(text), step):
        reader.feed(text[start : start + step])
    reader.close()
    return time.process_time() - began


def _per_kb(dialect: str, text: str, step: int, least_s: float = 0.0) -> float:
    """Milliseconds for a kilobyte: the best of as many readings as take so many seconds."""
    best, spent = float("inf"), 0.0
    while spent < least_s or best == float("inf"):
        took = cpu_s(dialect, text, step)
        best, spent = min(best, took), spent + max(took, 1e-6)
    return best * 1e6 / len(text)


def growth(dialect: str, small: str, large: str, *, whole: bool) -> tuple[float, float]:
    """Milliseconds for a kilobyte of a short and of a long text, in one piece or in characters.

    The machine's moods only ever add: where the long one looks dearer, both are read again, and the
    least of each counts.
    """
    steps = (len(small), len(large)) if whole else (1, 1)
    few = many = float("inf")
    for _ in range(5):
        few = min(few, _per_kb(dialect, small, steps[0], 0.05))
        many = min(many, _per_kb(dialect, large, steps[1]))
        if many <= 1.15 * few:
            break
    return few, many


def costs(dialects: list[str] | None = None, *, quick: bool = False) -> list[dict[str, Any]]:
    """For each dialect, text and way of cutting: cost per kilobyte, short and long, and the ratio.

    Args:
        dialects: whose texts are read; all by default.
        quick: long texts of a tenth.
    """
    found: list[dict[str, Any]] = []
    for dialect in dialects or list(DIALECTS):
        for (name, small), whole in itertools.product(texts(dialect, SHORT), (True, False)):
            size = LONG if name == "plan" else HURTFUL if whole else HURTFUL // 4
            large = dict(texts(dialect, max(2 * SHORT, size // 10) if quick else size))[name]
            few, many = growth(dialect, small, large, whole=whole)
            found.append(
                {"dialect": dialect, "text": name, "pieces": "whole" if whole else "characters",
                 "characters": len(large), "short_ms_per_kb": few, "long_ms_per_kb": many,
                 "ratio": many / few}
            )  # fmt: skip
    return found


def main() -> None:
    """Print a line for each dialect and the worst texts of all."""
    parser = argparse.ArgumentParser(prog="python -m bench.parsing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="long texts of a tenth")
    parser.add_argument("--dialect", choices=list(DIALECTS), action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = costs(options.dialect, quick=options.quick)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("dialect       pieces      ms per KB of a plan   long over short   worst of all texts")
    for (dialect, pieces), group in itertools.groupby(
        sorted(rows, key=lambda row: (row["dialect"], row["pieces"])),
        key=lambda row: (row["dialect"], row["pieces"]),
    ):
        of = list(group)
        plan = next(row for row in of if row["text"] == "plan")
        worst = max(of, key=lambda row: row["ratio"])
        print(
            f"{dialect:12}  {pieces:10}  {plan['long_ms_per_kb']:19.2f}  {plan['ratio']:15.2f}x"
            f"  {worst['ratio']:6.2f}x ({worst['text']}, {worst['long_ms_per_kb']:.2f} ms per KB)"
        )


if __name__ == "__main__":
    main()
