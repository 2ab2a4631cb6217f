"""Published plans from every dialect into every other: what is expressed, what is refused, and why.

Each clean plan of each corpus is written in every dialect; each text is read, and written again in
every dialect. Nothing may have changed but the ids. `python -m bench.roundtrips` prints the tables.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from corpora import corpus, whole
from corpus_plans import bfcl_python, gnn4_plan, mathqa_plan, nestful_plan, nestools_plan, rows
from heddle.cli.check import known_to
from heddle.plan.canonical import canonical_text
from heddle.plan.chains import ChainError, chain_of
from heddle.plan.convert import convert, renamed
from heddle.plan.dialects import DIALECTS, parse, recognise
from heddle.plan.verify import check


def _texts(name):
    return [parse(row["text"]) for row in corpus(name)]


def _chains():
    for row in rows("gsm8k", "gsm8k.dev.jsonl"):
        try:
            yield parse(chain_of(row["answer"]).text, "abstraction")
        except ChainError:
            continue


SOURCES = {
    "recorded_plans": lambda: _texts("recorded_plans"),
    "langgraph_cassettes": lambda: _texts("langgraph_cassettes"),
    "mathqa": lambda: map(mathqa_plan, rows("mathqa", "*.jsonl")),
    "nestful": lambda: map(nestful_plan, corpus("nestful")),
    "nestools": lambda: map(nestools_plan, rows("nestools", "*.jsonl")),
    "bfcl": lambda: (parse(bfcl_python(row), "native") for row in rows("bfcl", "*.jsonl")),
    "gnn4taskplan": lambda: map(gnn4_plan, rows("gnn4taskplan", "llm_plans_*.jsonl")),
    "gsm8k": _chains,
}
"""The plans of each corpus, the faulty ones among them."""


def plans_of(name, every=1):
    """Each n-th clean plan of a corpus; none where the corpus is missing."""
    if whole(name) is None:
        return []
    clean = [plan for plan in SOURCES[name]() if _clean(plan)]
    return clean[::every]


def _clean(plan):
    found = check(plan, known_to(plan, None))
    return not any(finding.severity == "error" for finding in found)


def plain(plan):
    """The canonical text of a plan whose steps are called 1, 2, …."""
    ids = {step.id: str(n) for n, step in enumerate(plan.steps, 1)}
    return canonical_text(renamed(plan, ids))


@dataclass
class Matrix:
    """What came of the conversions.

    Attributes:
        expressed: how many plans each dialect could say.
        refused: by dialect and reason, how many it could not.
        pairs: how many texts of the first dialect were written in the second.
        misread: texts that are taken for those of another dialect and mean something else there,
            by (dialect, the other one).
        changed: (dialect, dialect, plan) where something was lost; there must be none.
    """

    plans: int = 0
    expressed: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    pairs: Counter = field(default_factory=Counter)
    misread: dict = field(default_factory=dict)
    changed: list = field(default_factory=list)

    def take(self, plan, *, second=True):
        """Write a plan in every dialect, and each of the texts in every dialect."""
        self.plans += 1
        wanted = plain(plan)
        texts = {name: text for name in DIALECTS if (text := self._first(plan, name, wanted))}
        for source in texts if second else ():
            for target in DIALECTS:
                self._second(parse(texts[source], source), source, target, target in texts, wanted)

    def _first(self, plan, target, wanted):
        try:
            text = convert(plan, target).text
        except ValueError as error:
            self.refused[target, reason_of(str(error))] += 1
            return None
        self.expressed[target] += 1
        if plain(parse(text, target)) != wanted:
            self.changed.append((plan.dialect, target, wanted))
        taken = recognise(text)
        if taken != target and (taken is None or plain(parse(text, taken)) != wanted):
            self.misread.setdefault((target, taken), []).append(text)
        return text

    def _second(self, plan, source, target, possible, wanted):
        try:
            converted = convert(plan, target)
        except ValueError:
            if possible:  # what could be said of the plan must be said of its text too
                self.changed.append((source, target, wanted))
            return
        self.pairs[source, target] += 1
        if plain(parse(converted.text, target)) != wanted or not possible:
            self.changed.append((source, target, wanted))


_NAMED = re.compile(r"(?:step|steps) \S+ \(the plan's [^)]*\)|\bstep \S+|'[^']*'|\"[^\"]*\"")


def reason_of(message):
    """A refusal without the names in it."""
    return " ".join(_NAMED.sub("…", message).replace("…:", "").split()).strip()


def matrix(every=1, *, second=True, names=tuple(SOURCES)):
    """The conversions of all corpora that are here: the matrix of each."""
    found = {}
    for name in names:
        found[name] = Matrix()
        for plan in plans_of(name, every):
            found[name].take(plan, second=second)
    return found


def merged(matrices):
    """Several matrices as one."""
    whole_one = Matrix()
    for each in matrices:
        whole_one.plans += each.plans
        whole_one.expressed += each.expressed
        whole_one.refused += each.refused
        whole_one.pairs += each.pairs
        whole_one.changed += each.changed
        for key, texts in each.misread.items():
            whole_one.misread.setdefault(key, []).extend(texts)
    return whole_one
