"""The bars that heddle holds itself to, measured in one run: `python -m bench`.

Ratios, not seconds: everything is measured side by side in this process and on this machine. Exit
status 1 when a bar is missed, and the row says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench import (
    client,
    engine,
    imports,
    makespan,
    overhead,
    parsing,
    peers,
    published,
    streaming,
    walls,
)
from bench.formulas import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: what was measured, what it must not exceed, and whether it did."""

    name: str
    value: float
    bar: float
    stretch: float
    unit: str
    detail: Any

    @property
    def met(self) -> bool:
        """Whether the figure is within its bar."""
        return self.value <= self.bar


def engine_rows(quick: bool) -> Iterator[Row]:
    """CPU per step, its growth, and memory."""
    found = engine.ratios(n=1_000 if quick else 10_000, repeats=3 if quick else 7)
    middle = statistics.median(shape["ratio"] for shape in found.values())
    yield Row(
        "CPU per no-op step over the bare loop, median of shapes", middle, 2.0, 1.3, "×", found
    )
    kept = engine.ratios(
        n=1_000 if quick else 10_000, repeats=3 if quick else 7, run=engine.run_kept
    )
    middle = statistics.median(shape["ratio"] for shape in kept.values())
    yield Row("the same with a durable journal", middle, 3.5, 2.5, "×", kept)
    grown = engine.growth(large=5_000 if quick else 100_000, repeats=1 if quick else 3)
    yield Row(
        "CPU per step, 100,000 over 1,000 steps, worst shape",
        max(grown.values()),
        1.2,
        1.0,
        "×",
        grown,
    )
    held = engine.bytes_per_step(1_000 if quick else 10_000)
    yield Row(
        "engine memory per finished step, worst shape", max(held.values()), 1024, 400, "B", held
    )


def makespan_rows(quick: bool) -> Iterator[Row]:
    """Makespan over the lower bound at cap 5."""
    found = makespan.over_bound(seeds=5 if quick else 100)
    middle = max(kind["median"] for kind in found.values())
    tail = max(kind["p95"] for kind in found.values())
    yield Row(
        "makespan over lower bound, cap 5, median, worse kind", middle, 1.03, 1.02, "×", found
    )
    yield Row("makespan over lower bound, cap 5, p95, worse kind", tail, 1.06, 1.04, "×", found)


def streaming_rows(quick: bool) -> Iterator[Row]:
    """Start of a step after it is final."""
    found = streaming.delays_ms(runs=1 if quick else 24)
    yield Row("step started after it is final, p99", found["p99"], 2.0, 1.0, "ms", found)


def client_rows(quick: bool) -> Iterator[Row]:
    """CPU of a streamed reply."""
    found = client.client_ratio(repeats=2) if quick else client.client_ratio()
    yield Row(
        "client CPU per streamed 200-token reply over bare httpx2",
        found["ratio"],
        1.5,
        1.25,
        "×",
        found,
    )


def import_rows(quick: bool) -> Iterator[Row]:
    """Import time."""
    found = imports.ratios(3 if quick else 9)
    yield Row("import heddle over import asyncio", found["heddle"], 2.0, 1.2, "×", found)


def wall_rows(quick: bool) -> Iterator[Row]:
    """Wall time of strategies over its bound, with real sockets."""
    rows = walls.measured(walls.grid(quick=quick))
    every = walls.summary(rows)
    found = {name: every[name] for name in STRATEGIES}
    bar = 1 / walls.BAR
    middle = 1 / min(strategy["median"] for strategy in found.values())
    worst = 1 / min(strategy["worst"] for strategy in found.values())
    yield Row(
        "wall time over its bound, median cell, worst strategy", middle, bar, 1.01, "×", every
    )
    yield Row("wall time over its bound, worst cell, worst strategy", worst, bar, 1.01, "×", found)


def published_rows(quick: bool) -> Iterator[Row]:
    """Planning first against parallel calls."""
    area = published.REGION
    found = published.two_levels(area, first_s=0.6, tokens_per_s=60, tool_s=1.0)
    yield Row(
        "seconds of llmcompiler over parallel, two levels of four calls, the published Movie's "
        "texts, 60 tokens/s, tools of 1 s",
        1 / found["ratio"],
        1 / 1.3,
        1 / 1.5,
        "×",
        None if quick else published.region(area),
    )


def overhead_rows(quick: bool) -> Iterator[Row]:
    """CPU of strategies."""
    found = overhead.overhead_ms(2, 2) if quick else overhead.overhead_ms()
    turns = max(found[strategy]["over_ms"] for strategy in ("react", "parallel"))
    name = "CPU of a turn beyond bare httpx2, its tool calls included, react or parallel"
    yield Row(name, turns, 2.0, 1.0, "ms", found)


def parsing_rows(quick: bool) -> Iterator[Row]:
    """Growth of reading."""
    found = parsing.costs(quick=quick)
    plans = max(row["ratio"] for row in found if row["text"] == "plan")
    hurtful = max(row["ratio"] for row in found if row["text"] != "plan")
    yield Row(
        "CPU to read a KB of a plan, 1 MB over 10 KB, worst dialect", plans, 1.3, 1.1, "×", found
    )
    yield Row("the same, texts made to hurt, worst of all", hurtful, 1.3, 1.1, "×", None)


PARTS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "imports": import_rows,
    "engine": engine_rows,
    "makespan": makespan_rows,
    "streaming": streaming_rows,
    "client": client_rows,
    "parsing": parsing_rows,
    "published": published_rows,
    "overhead": overhead_rows,
    "walls": wall_rows,
}


def main() -> int:
    """Measure, print, and say by the exit status whether every bar was met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: does it run, not how fast"
    )
    parser.add_argument("--only", choices=[*PARTS, "peers"], action="append", help="some parts")
    options = parser.parse_args()
    wanted = options.only or [*PARTS, "peers"]
    rows: list[Row] = []
    for name, part in PARTS.items():
        if name in wanted:
            for row in part(options.quick):
                rows.append(row)
                _say(row)
    others = peers.compared(100 if options.quick else 1_000) if "peers" in wanted else {}
    if options.json:
        found = [{**asdict(row), "met": row.met} for row in rows]
        print(json.dumps({"python": platform.python_version(), "rows": found, "peers": others}))
    else:
        _print(others)
    return 0 if all(row.met for row in rows) else 1


def _say(row: Row) -> None:
    mark = "met   " if row.met else "MISSED"
    print(
        f"{mark} {row.value:9.3f} {row.unit:2}  bar {row.bar:g}, stretch {row.stretch:g}"
        f"  {row.name}",
        file=sys.stderr,
        flush=True,
    )


def _print(others: dict[str, dict[str, float | str]]) -> None:
    for peer, found in others.items():
        figures = ", ".join(
            f"{name} {value if isinstance(value, str) else f'{value:.1f}×'}"
            for name, value in found.items()
        )
        print(f"{peer}: CPU over heddle's, same graph: {figures}")


if __name__ == "__main__":
    sys.exit(main())
