"""Do the tests bite? Small faults in scheduler, journal and limits: `python -m bench.mutation`.

A mutant is one module with one small change. It is killed if a test fails with it, or runs out of
time; the tests that run its line are asked, and the first failure ends the search. The score is the
share of killed mutants in a seeded sample; each survivor is printed with its change, to be
explained or to become a test.

    python -m bench.mutation --mutants 300 --seed 1 --workers 2 --keep mutants

`--keep` is a folder that remembers every verdict, and which test runs which line, so that a
campaign which was stopped goes on where it was. Empty it when the sources have changed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

from bench.mutation.choosing import ROOT, touched
from bench.mutation.judging import Tree, Verdict
from bench.mutation.mutants import Mutant, places

ENGINE = "src/heddle/engine"
TARGETS = (
    "scheduler", "attempts", "queue", "maps", "map_run", "waiters", "deadlines", "sharing", "gate",
    "past", "resuming", "journal/*", "slots", "acquiring", "allowances/*", "retrying",
    "retry_budget", "breaker", "hedging", "budget", "purse", "alarm", "doubts",
)  # fmt: skip


def sample(count: int, seed: int, only: tuple[str, ...] = ()) -> list[Mutant]:
    """A seeded sample over all target modules, each place of the code as likely as any other."""
    random_ = random.Random(seed)
    wanted = only or TARGETS
    paths = sorted({path for name in wanted for path in (ROOT / ENGINE).glob(f"{name}.py")})
    everything = [place for path in paths for place in places(path, random_)]
    print(f"{len(everything)} places of {len(paths)} modules", file=sys.stderr)
    random_.shuffle(everything)
    found: dict[str, Mutant] = {}
    for place in everything:
        if len(found) == count:
            break
        if mutant := place.mutant():
            found.setdefault(mutant.key, mutant)
    return list(found.values())


def campaign(chosen: list[Mutant], workers: int, keep: Path) -> list[Verdict]:
    """Judge every mutant that has no verdict yet."""
    verdicts = keep / "verdicts.jsonl"
    known = _kept(verdicts)
    seen = touched(workers, keep / "touched")
    trees: SimpleQueue[Tree] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(workers):
            trees.put(Tree(Path(folder) / str(number), seen))

        def judge(mutant: Mutant) -> Verdict:
            if mutant.key in known:
                return known[mutant.key]
            tree = trees.get()
            try:
                verdict = tree.judge(mutant)
            finally:
                trees.put(tree)
            with verdicts.open("a") as file:
                file.write(json.dumps(asdict(verdict)) + "\n")
            word = "killed" if verdict.killed else "SURVIVED"
            print(
                f"{word:8} {verdict.module}:{verdict.line} {verdict.seconds} s, "
                f"{verdict.tests} tests {verdict.by}", file=sys.stderr,
            )  # fmt: skip
            return verdict

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(judge, chosen))


def _kept(verdicts: Path) -> dict[str, Verdict]:
    if not verdicts.exists():
        return {}
    rows = [Verdict(**json.loads(line)) for line in verdicts.read_text().splitlines()]
    return {row.key: row for row in rows}


def report(verdicts: list[Verdict]) -> float:
    """Print the survivors and the score of each module; give the score of all."""
    for verdict in verdicts:
        if not verdict.killed:
            print(f"\n{verdict.module}:{verdict.line} ({verdict.operator})\n{verdict.change}")
    print()
    for module in sorted({verdict.module for verdict in verdicts}):
        rows = [verdict for verdict in verdicts if verdict.module == module]
        killed = sum(row.killed for row in rows)
        print(f"{killed:4} of {len(rows):4} killed  {module}")
    killed = sum(verdict.killed for verdict in verdicts)
    score = killed / max(1, len(verdicts))
    print(f"{killed:4} of {len(verdicts):4} killed, score {score:.1%} (bar 85 %)")
    return score


def main() -> int:
    """The campaign from the command line; exit status 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=(), help="modules of engine/, such as maps")
    parser.add_argument("--keep", type=Path, help="folder of verdicts, read and added to")
    options = parser.parse_args()
    chosen = sample(options.mutants, options.seed, tuple(options.only))
    with tempfile.TemporaryDirectory() as temporary:
        keep = options.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        return 0 if report(campaign(chosen, options.workers, keep)) >= 0.85 else 1


if __name__ == "__main__":
    sys.exit(main())
