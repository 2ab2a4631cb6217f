"""Recorded Python replies: read as they were meant, and computed to the same value."""

import ast
import asyncio
from fractions import Fraction
from typing import Any

import pytest

from corpora import corpus
from heddle.engine.execution import execute
from heddle.plan.canonical import plan_to_json
from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.python.dialect import write
from heddle.plan.ir import MISSING, Item, Ref, nodes_of, references

REPLIES = [row for row in corpus("recorded_plans") if row["dialect"] == "python"]
RECKONED = [row for row in REPLIES if row["file"] == "gsm8k"]
CALLING = [row for row in REPLIES if row["file"] == "parallelqa"]


def exact(expression: str, known: dict[str, Fraction]) -> Fraction:
    """A plain arithmetic expression, in fractions."""

    def value(node: Any) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        if isinstance(node, ast.Name):
            return known[node.id]
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        left, right = value(node.left), value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        return left * right if isinstance(node.op, ast.Mult) else left / right

    return value(ast.parse(expression, mode="eval").body)


def tool_calls(plan) -> list[tuple[str, str, frozenset[str]]]:
    """Every call of a tool, and the calls that its arguments come from, however computed.

    An element of a map over a list that is written out is `id[0]`, `id[1]`, …
    """
    reached: dict[str, frozenset[str]] = {}
    widths: dict[str, int] = {}
    found = []
    for step in plan.steps:
        width = width_of(step, widths)
        if width:
            widths[step.id] = width
        sources = frozenset().union(*(sources_of(ref, reached, widths) for ref in references(step)))
        if step.tool == "compute":
            reached[step.id] = sources
        elif step.over is not MISSING:
            for place in range(width or 0):
                own = frozenset(
                    f"{each[:-3]}[{place}]" if each.endswith("[*]") else each for each in sources
                )
                found.append((f"{step.id}[{place}]", step.tool, own))
            reached[step.id] = frozenset({f"{step.id}[*]"})
        else:
            found.append((step.id, step.tool, expanded(sources, widths)))
            reached[step.id] = frozenset({step.id})
    return found


def width_of(step, widths) -> int | None:
    """How many elements a list has, as far as the plan says."""
    if isinstance(step.over, list):
        return len(step.over)
    if isinstance(step.over, Ref):
        return widths.get(step.over.step)
    if step.tool != "compute":
        return None
    tree = ast.parse(step.args["expression"], mode="eval").body
    if isinstance(tree, ast.List):
        return len(tree.elts)
    lists = [ref.step for ref in references(step) if not ref.path]
    pairs = isinstance(tree, ast.ListComp) or (
        isinstance(tree, ast.Call) and getattr(tree.func, "id", "") == "zip"
    )
    return widths.get(lists[0]) if pairs and lists else None


def sources_of(ref, reached, widths) -> frozenset[str]:
    """The calls behind a reference: with an index, that element of a map only."""
    found = reached[ref.step]
    if ref.path and isinstance(ref.path[0], int):
        return frozenset(
            f"{each[:-3]}[{ref.path[0]}]" if each.endswith("[*]") else each for each in found
        )
    return found


def expanded(sources, widths) -> frozenset[str]:
    found = set()
    for each in sources:
        if each.endswith("[*]"):
            found.update(f"{each[:-3]}[{place}]" for place in range(widths[each[:-3]]))
        else:
            found.add(each)
    return frozenset(found)


def intended_calls(row) -> list[tuple[str, str, frozenset[str]]]:
    """The same, of the reading that was meant: `expr` is no tool."""
    reached: dict[str, frozenset[str]] = {}
    found = []
    for each in row["intended"]:
        sources = frozenset().union(*(reached[ref] for ref in each["refs"]))
        if each["tool"] == "expr":
            reached[each["id"]] = sources
        else:
            found.append((each["id"], each["tool"], sources))
            reached[each["id"]] = frozenset({each["id"]})
    return found


def unnumbered(calls) -> list[Any]:
    """The calls as a tree without names: each by its tool and what it is made from."""
    known: dict[str, Any] = {}
    for id, tool, sources in calls:
        known[id] = (tool, tuple(sorted(map(repr, (known[each] for each in sources)))))
    return sorted(map(repr, known.values()))


def test_the_corpus_is_there():
    assert RECKONED
    assert CALLING


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: f"{row['file']}-{row['id']}")
def test_every_reply_is_recognised_and_read_without_a_fault(row):
    assert recognise(row["text"]) == "python"
    assert parse(row["text"]).findings == []


@pytest.mark.parametrize("row", CALLING, ids=lambda row: row["id"])
def test_the_calls_are_those_that_were_meant(row):
    calls = tool_calls(parse(row["text"], "python"))
    meant = intended_calls(row)
    assert unnumbered(calls) == unnumbered(meant)
    own = {id: tool for id, tool, _ in calls}
    for id, tool, _ in meant:
        if not id.startswith("_") and "[" not in id and own.get(id + "[0]") is None:
            assert own.get(id, tool) == tool


@pytest.mark.parametrize("row", CALLING, ids=lambda row: row["id"])
def test_every_variable_that_was_meant_is_a_step(row):
    plan = parse(row["text"], "python")
    ids = {step.id for step in plan.steps}
    aliases = {"sahara", "arabian", "kalahari"} if row["id"] == "44" else set()
    wanted = {each["id"].partition("[")[0] for each in row["intended"]}
    assert {id for id in wanted if not id.startswith("_")} - aliases <= ids


@pytest.mark.parametrize("row", RECKONED, ids=lambda row: row["id"])
def test_every_value_is_that_of_exact_arithmetic(row):
    plan = parse(row["text"], "python")
    result = asyncio.run(execute(plan))
    assert result.status == "succeeded"
    values = {step.id: step.value for step in result.steps}
    known: dict[str, Fraction] = {}
    for each in row["intended"]:
        known[each["id"]] = exact(each["expression"], known)
        if each["id"] in values:
            assert values[each["id"]] == pytest.approx(float(known[each["id"]]), rel=1e-9)
        else:
            assert each["id"] == "_result"
    assert shown(result.answer) == pytest.approx(float(known[row["final"]]), rel=1e-9, abs=0.005)


def shown(answer) -> float:
    """The number that an answer gives, or that its sentence holds."""
    if not isinstance(answer, str):
        return float(answer)
    words = [word.strip("$.,%") for word in answer.replace(",", "").split()]
    numbers = [word for word in words if word.replace(".", "", 1).removeprefix("-").isdigit()]
    assert len(numbers) == 1, answer
    return float(numbers[0])


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: f"{row['file']}-{row['id']}")
def test_every_plan_that_was_read_can_be_written(row):
    plan = parse(row["text"], "python")
    again = parse(write(plan), "python")
    assert plan_to_json(again) == plan_to_json(plan)
    assert again.findings == []


def test_a_map_uses_its_element_only_where_it_has_one():
    uses = 0
    for row in REPLIES:
        for step in parse(row["text"], "python").steps:
            items = [node for node in nodes_of(dict(step.args)) if isinstance(node, Item)]
            assert not items or step.over is not MISSING
            uses += len(items)
    assert uses
