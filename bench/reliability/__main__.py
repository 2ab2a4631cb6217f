"""What heddle survives, measured: `python -m bench.reliability`.

    python -m bench.reliability                    every campaign, in full: hours
    python -m bench.reliability --short            small, with fixed seeds: at most three minutes
    python -m bench.reliability --only kills       one of them

Exit status 1 when a bar is missed, and the line says which.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure, line

if TYPE_CHECKING:
    from collections.abc import Iterable

CAMPAIGNS: dict[str, str] = {
    "kills": "kill -9 of the real program, at random and between effect and record",
    "peers": "the same kills for DBOS and LangGraph, where they are installed",
    "folding": "how fast a journal is written and read",
    "corruption": "journals that were changed behind heddle's back",
    "hedging": "the slowest of a hundred calls, with second copies and without",
    "seeds": "random plans, faults and deaths in virtual time; every promise is checked",
    "crashes": "the program dies at every point of a run, and again at every point after that",
    "references": "random plans end as the sequential reference interpreter says",
    "planted": "bugs planted one at a time, and the seed in which each is found",
    "soak": "24 virtual hours under ten kinds of load, and what is left of them",
    "databases": "what durability costs, on SQLite and on PostgreSQL",
    "storm": "a provider that refuses and halves its allowance, in virtual time",
    "sharing": "processes that share one allowance, against a real server that counts",
    "budgets": "random plans under random budgets: nothing goes above them",
    "cancels": "runs that are cancelled at random moments: nothing is left running",
}
"""Every campaign: the name of its module in this package, and what it does in a line."""


def main(args: list[str] | None = None) -> int:
    """Run campaigns, print their figures, and say by the exit status whether all bars were met."""
    options = _options(args)
    found: dict[str, list[Figure]] = {}
    for name in options.only or CAMPAIGNS:
        print(f"{name}: {CAMPAIGNS[name]}", file=sys.stderr, flush=True)
        began = time.monotonic()
        found[name] = _run(name, short=options.short, seed=options.seed)
        took = f"{name}: {time.monotonic() - began:.1f} s, seed {options.seed}"
        print(f"{took}\n", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({name: [_as_json(each) for each in found[name]] for name in found}))
    return 0 if all(each.met for figures in found.values() for each in figures) else 1


def _options(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--short", action="store_true", help="small, with fixed seeds")
    parser.add_argument(
        "--only", nargs="+", action="extend", choices=[*CAMPAIGNS], metavar="NAME",
        help=f"some of {', '.join(CAMPAIGNS)}",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="where chance begins")
    return parser.parse_args(args)


def _run(name: str, *, short: bool, seed: int) -> list[Figure]:
    campaign = import_module(f"bench.reliability.{name}")
    figures: Iterable[Figure] = campaign.figures(short=short, seed=seed)
    kept: list[Figure] = []
    for figure in figures:
        kept.append(figure)
        print(line(figure), file=sys.stderr, flush=True)
    return kept


def _as_json(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "met": figure.met, "bound": figure.bound}


if __name__ == "__main__":
    sys.exit(main())
