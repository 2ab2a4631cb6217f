"""Whether chunk boundaries ever matter: `python -m bench.chunks`.

A pair is a text and a set of cuts, drawn at random; one pair of each text is cut after every
character. A reader must give the same pieces and the same output for the pieces of a text as for
the whole. Texts are those of `HEDDLE_CORPORA`, or the sample that the tests bring along: replies
of models as they are, and published calls as JSON. Each is read in the dialect that it looks
like, or in every dialect if it looks like none. Damaged copies, with one character lost, doubled
or put in its place, show what readers disagree about most: where a bad line ends.

Of N pairs without a difference, at most 3/N of all such pairs differ, at 95 % confidence. Exit
status 1 on a difference, which is printed.

Source: the rule of three (Hanley and Lippman-Hand, JAMA 249, 1983).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heddle.plan.dialects import DIALECTS, dialect_named, recognise

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPORA = {
    "recorded_plans": ("*.jsonl", "text"),
    "langgraph_cassettes": ("*.jsonl", "text"),
    "fireact": ("*.jsonl", "trajectory"),
    "gsm8k": ("gsm8k.*.jsonl", "answer"),
    "mathqa": ("*.jsonl", "linear_formula"),
    "nestful": ("*.dev.jsonl", "output"),
    "nestools": ("*.jsonl", "call"),
    "toolbench": ("*.jsonl", "calls"),
    "bfcl": ("*.jsonl", "ground_truth"),
    "gnn4taskplan": ("llm_plans_*.jsonl", None),
}
"""By folder: its files, and the field that is read; None for the whole row."""

_SAMPLE = Path(__file__).parent.parent / "tests" / "corpus"
_MARKS = "()[]{}\"'\\,:.$ \n"
_SHOWN = 5  # differences that are printed


@dataclass(frozen=True, slots=True)
class Text:
    """One text, and a dialect to read it in."""

    corpus: str
    place: str
    text: str
    dialect: str

    def pieces(self, cuts: list[int]) -> str:
        """All that a reader gives back, spelled out, so that 1 is not 1.0."""
        reader = dialect_named(self.dialect).reader()
        found: list[Any] = []
        for start, end in zip([0, *cuts], [*cuts, len(self.text)], strict=True):
            found.extend(reader.feed(self.text[start:end]))
        found.extend(reader.close())
        return repr((found, reader.output))

    def damaged(self, chance: random.Random) -> Text:
        """The text with one character lost, doubled, or another in its place."""
        place = chance.randrange(len(self.text))
        char = self.text[place]
        instead = chance.choice(["", char * 2, chance.choice(_MARKS)])
        text = self.text[:place] + instead + self.text[place + 1 :]
        return replace(self, place=f"{self.place}, {instead!r} at {place}", text=text)


def texts(only: str | None = None) -> Iterator[Text]:
    """The texts of every corpus that is there, by folder, file and line."""
    root = Path(os.environ.get("HEDDLE_CORPORA") or _SAMPLE)
    for corpus in [only] if only else CORPORA:
        pattern, field = CORPORA[corpus]
        for path in sorted((root / corpus).glob(pattern)):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                row = json.loads(line)
                found = row if field is None else row.get(field)
                if not found:
                    continue
                text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
                guess = recognise(text)
                for dialect in [guess] if guess else DIALECTS:
                    yield Text(corpus, f"{path.name}:{number}", text, dialect)


def cut_sets(length: int, pairs: int, chance: random.Random) -> Iterator[list[int]]:
    """Sets of cuts: every place first, then random ones, from one cut to all of them.

    The number of cuts is drawn on a logarithmic scale, so that few large chunks are as likely as
    many small ones.
    """
    places = range(1, length)
    if pairs:
        yield list(places)
    for _ in range(pairs - 1):
        count = min(int(length ** chance.random()), len(places))
        yield sorted(chance.sample(places, count))


def differences(text: Text, pairs: int, seed: int) -> Iterator[list[int]]:
    """The sets of cuts of a text that give something else than the whole."""
    chance = random.Random(f"{seed} {text.place} {text.dialect}")
    whole = text.pieces([])
    return (cuts for cuts in cut_sets(len(text.text), pairs, chance) if text.pieces(cuts) != whole)


def campaign(found: list[Text], pairs: int, seed: int) -> int:
    """Read all texts in pieces; say how far it is, and what differs; give the differences."""
    total = 0
    done: Counter[str] = Counter()
    wanted = Counter(text.corpus for text in found)
    started = time.perf_counter()
    for text in found:
        for cuts in differences(text, pairs, seed):
            total += 1
            if total <= _SHOWN:
                print(
                    f"DIFFERS {text.corpus}/{text.place} in {text.dialect}, cut at {cuts}",
                    flush=True,
                )
        done[text.corpus] += 1
        if done[text.corpus] == wanted[text.corpus]:
            count = f"{wanted[text.corpus]} texts, {pairs} pairs each"
            passed = time.perf_counter() - started
            print(
                f"{passed:8.0f} s  {text.corpus}: {count}, {total} differences so far",
                file=sys.stderr,
            )
    return total


def main() -> int:
    """Run the campaign; the exit status says whether nothing differed."""
    parser = argparse.ArgumentParser(prog="python -m bench.chunks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="of each text")
    parser.add_argument("--texts", type=int, help="at most so many of each corpus, at random")
    parser.add_argument("--damaged", type=int, default=0, help="copies of each text to read too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=CORPORA, help="one corpus")
    options = parser.parse_args()
    found = sample(list(texts(options.only)), options.texts, options.seed)
    found = with_copies(found, options.damaged, random.Random(options.seed))
    if not found or options.pairs < 1:
        print("no text to read: set HEDDLE_CORPORA, and --pairs to 1 or more", file=sys.stderr)
        return 2
    differing = campaign(found, options.pairs, options.seed)
    total = len(found) * options.pairs
    bound = f"at most {3 / total:.2g} of all pairs differ (95 %)" if not differing else "FAILED"
    print(f"{len(found)} texts, {total} pairs, {differing} differences: {bound}")
    return 1 if differing else 0


def sample(found: list[Text], count: int | None, seed: int) -> list[Text]:
    """At most so many texts of each corpus, in their order."""
    if count is None:
        return found
    by_corpus: dict[str, list[int]] = {}
    for place, text in enumerate(found):
        by_corpus.setdefault(text.corpus, []).append(place)
    chance = random.Random(seed)
    kept = [chance.sample(places, min(count, len(places))) for places in by_corpus.values()]
    return [found[place] for place in sorted(place for places in kept for place in places)]


def with_copies(found: list[Text], copies: int, chance: random.Random) -> list[Text]:
    """The texts, each followed by so many damaged copies of it."""
    return [
        text for whole in found for text in (whole, *(whole.damaged(chance) for _ in range(copies)))
    ]


if __name__ == "__main__":
    sys.exit(main())
