"""Published plans from every dialect into every other: how many pass, and why others are refused.

Reads the corpora under HEDDLE_CORPORA. Exit status 1 where a plan came out changed, or is taken for
another by whoever recognises its dialect. `python -m bench.roundtrips --help`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the corpora are read there

from heddle.plan.dialects import DIALECTS
from round_trips import SOURCES, Matrix, matrix, merged  # found on the path above

_CELL = 12


def main() -> int:
    """Convert, print, and say by the exit status whether nothing was changed."""
    parser = argparse.ArgumentParser(prog="python -m bench.roundtrips", description=__doc__)
    parser.add_argument("--every", type=int, default=25, metavar="N", help="each n-th plan (25)")
    parser.add_argument("--first", action="store_true", help="into each dialect, no further")
    parser.add_argument("--only", choices=[*SOURCES], action="append", help="some corpora")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    names = tuple(options.only or SOURCES)
    found = matrix(options.every, second=not options.first, names=names)
    whole = merged(found.values())
    if not whole.plans:
        print("no corpus: set HEDDLE_CORPORA to the folder of the corpora", file=sys.stderr)
    if options.json:
        print(json.dumps(to_json(found, whole)))
    else:
        _print(found, whole, pairs=not options.first)
    return 1 if whole.changed or whole.misread or not whole.plans else 0


def to_json(found: dict[str, Matrix], whole: Matrix) -> dict[str, Any]:
    """The tables for programs."""
    return {
        "corpora": {
            name: {"plans": each.plans, "expressed": each.expressed} for name, each in found.items()
        },
        "refused": [
            {"dialect": dialect, "reason": reason, "plans": count}
            for (dialect, reason), count in sorted(whole.refused.items())
        ],
        "pairs": [
            {"from": one, "to": two, "texts": count} for (one, two), count in whole.pairs.items()
        ],
        "misread": [
            {"dialect": one, "taken_for": two, "texts": len(texts)}
            for (one, two), texts in whole.misread.items()
        ],
        "changed": len(whole.changed),
    }


def _print(found: dict[str, Matrix], whole: Matrix, *, pairs: bool) -> None:
    _row("expressed in", ["plans", *DIALECTS])
    for name, each in {**found, "all": whole}.items():
        _row(name, [each.plans, *(each.expressed[dialect] for dialect in DIALECTS)])
    if pairs:
        print()
        _row("from \\ to", ["", *DIALECTS])
        for one in DIALECTS:
            _row(one, ["", *(whole.pairs[one, two] for two in DIALECTS)])
    print("\nrefused, by dialect and reason")
    for (dialect, reason), count in sorted(whole.refused.items(), key=lambda x: (x[0][0], -x[1])):
        print(f"{count:6}  {dialect:12} {reason}")
    for (one, two), texts in whole.misread.items():
        print(f"{len(texts)} texts of {one} are taken for {two}, which reads them otherwise")
    print(f"\n{sum(whole.pairs.values())} texts converted, {len(whole.changed)} plans changed")


def _row(name: str, cells: list[Any]) -> None:
    print(f"{name:20}" + "".join(f"{cell:>{_CELL}}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
