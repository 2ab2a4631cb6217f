"""What readers give back, in a form that tests can compare, and texts in pieces."""

import random

from heddle.plan.dialects import dialect_named, parse
from heddle.plan.ir import Hole, Step, references


def pieces(dialect, chunks, **options):
    """Everything a reader gives back for a text that comes in chunks, and its output."""
    reader = dialect_named(dialect).reader(**options)
    found = [piece for chunk in chunks for piece in reader.feed(chunk)]
    return [*found, *reader.close()], reader.output


def cut(text, seed):
    """A text cut at random: a few large chunks, or many small ones."""
    chance = random.Random(seed)
    size = chance.choice([1, 2, 3, 7, 40, 200])
    chunks = []
    while text:
        step = chance.randint(1, size)
        chunks.append(text[:step])
        text = text[step:]
    return chunks


def steps_of(plan):
    """Ids, tools and the ids referred to."""
    return [(step.id, step.tool, {ref.step for ref in references(step)}) for step in plan.steps]


def args_of(text, dialect="llmcompiler"):
    """The arguments of the last step of a text that has no fault."""
    plan = parse(text, dialect)
    assert not [finding for finding in plan.findings if finding.severity == "error"], plan.findings
    return dict(plan.steps[-1].args)


def faults(text, dialect="llmcompiler"):
    """(code, line, step) of every finding of a text."""
    return [(f.code, f.line, f.step) for f in parse(text, dialect).findings]


def shape(text, dialect="llmcompiler"):
    """Steps as their ids, holes as their ids in brackets."""
    return [
        entry.id if isinstance(entry, Step) else f"[{entry.id}]"
        for entry in parse(text, dialect).entries
        if isinstance(entry, (Step, Hole))
    ]
