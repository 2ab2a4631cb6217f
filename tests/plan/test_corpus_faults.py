"""Every kind of fault in published plans has a name, and clean plans have no findings."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from corpus_plans import (
    MATHQA_TOOLS,
    gnn4_plan,
    mathqa_plan,
    nestful_plan,
    nestful_tools,
    nestools_plan,
    nestools_tools,
    read_json,
    rows,
    taskbench_tools,
)
from heddle.plan.ir import Plan, Ref
from heddle.plan.verify import check


def codes(findings):
    return {finding.code for finding in findings}


def tally(found):
    return Counter(code for findings in found for code in codes(findings))


def test_all_of_mathqa_converts_and_is_clean():
    found = rows("mathqa", "*.jsonl")
    assert len(found) >= 700
    for row in found:
        plan = mathqa_plan(row)
        assert len(plan) == row["n_steps"]
        assert check(plan, MATHQA_TOOLS) == []


def test_all_of_nestools_converts_and_is_clean():
    found = rows("nestools", "*.jsonl")
    assert len(found) >= 390
    for row in found:
        assert check(nestools_plan(row), nestools_tools(row)) == [], row["test_id"]


def test_the_whole_result_in_the_place_of_a_text_within_it_is_found_in_every_nestools_plan():
    """A result is a typed value: an object is never written into a text."""
    turned = 0
    for row in rows("nestools", "*.jsonl"):
        tools, plan = nestools_tools(row), nestools_plan(row)
        for step in plan.steps:
            wanted = tools[step.tool].parameters["properties"]
            for name, value in step.args.items():
                if isinstance(value, Ref) and wanted[name]["type"] == "string":
                    args = {**step.args, name: Ref(value.step)}
                    steps = [replace(s, args=args) if s is step else s for s in plan.steps]
                    assert codes(check(Plan(steps), tools)) == {"reference-type"}
                    turned += 1
    assert turned >= 300


@pytest.fixture(scope="module")
def nestful():
    """Findings of every row, by file."""
    return {
        name: [
            check(nestful_plan(row), nestful_tools(read_json("nestful", f"{name}_spec.json")))
            for row in rows("nestful", f"{name}.dev.jsonl")
        ]
        for name in ("executable", "glaive", "sgd")
    }


def test_nestful_tools_come_in_three_schema_dialects_and_all_are_read():
    rows("nestful", "glaive.dev.jsonl")  # skips without a corpus
    for name, count in {"executable": 39, "glaive": 64, "sgd": 30}.items():
        tools = nestful_tools(read_json("nestful", f"{name}_spec.json"))
        assert len(tools) == count
        bare = [tool.name for tool in tools.values() if not tool.parameters["properties"]]
        assert len(bare) <= 2, "a tool without arguments is rare"


def test_nestful_gold_is_not_clean_and_each_fault_of_it_has_a_name(nestful):
    """Over all 300 rows: 33 undeclared fields, 51 undeclared arguments, 6 undefined labels, and
    7 names of unknown tools; the half that is here has 144 rows, so about half of each.
    """
    every = [finding for found in nestful.values() for row in found for finding in row]
    count = Counter(finding.code for finding in every)
    assert sum(len(found) for found in nestful.values()) == 144
    assert 10 <= count["unknown-field"] <= 20
    assert 20 <= count["unknown-argument"] <= 35
    assert 3 <= count["unknown-reference"] <= 6
    assert 2 <= count["unknown-tool"] <= 7
    assert count["missing-argument"] >= 10
    assert sum(not row for found in nestful.values() for row in found) >= 60


def test_a_label_given_twice_is_one_fault_and_not_a_circle(nestful):
    twice = [row for found in nestful.values() for row in found if "duplicate-id" in codes(row)]
    assert len(twice) == 3
    assert all("cyclic-reference" not in codes(row) for row in twice)


# -- GNN4TaskPlan: 980 plans as models wrote them -------------------------------------------------


@pytest.fixture(scope="module")
def written():
    """(row, plan, findings) of every plan, checked against the tools of its own domain."""
    every = rows("gnn4taskplan", "llm_plans_*.jsonl")
    tools = {domain: taskbench_tools(domain) for domain in ("huggingface", "multimedia")}
    plans = [(row, gnn4_plan(row)) for row in every]
    return [(row, plan, check(plan, tools[row["file"].split("_")[2]])) for row, plan in plans]


def node_faults(row):
    """By hand, from the row itself: which `<node-k>` cannot be, and why."""
    for place, node in enumerate(row["task_nodes"]):
        for k in map(int, re.findall(r"<node-(\d+)>", str(node.get("arguments", [])))):
            if k >= len(row["task_nodes"]):
                yield "range"
            elif k == place:
                yield "self"
            elif k > place:
                yield "forward"


def test_the_fault_counts_are_those_that_were_counted_by_hand(written):
    count = tally(findings for _, _, findings in written)
    assert len(written) == 980
    assert 320 <= count["unknown-tool"] <= 335
    assert 340 <= count["wrong-type"] <= 386
    assert 14 <= count["ambiguous-link"] <= 20
    assert 1 <= count["bad-arguments"] + count["bad-node"] <= 2


def test_every_impossible_node_reference_is_named(written):
    faulty = 0
    for row, _, findings in written:
        kinds = set(node_faults(row))
        if "bad-arguments" in codes(findings) or not kinds:
            continue
        faulty += 1
        if "range" in kinds:
            assert "unknown-reference" in codes(findings), row["id"]
        if "self" in kinds:
            assert "cyclic-reference" in codes(findings), row["id"]
        if kinds == {"forward"}:  # unless a link puts the steps in the order that it needs
            assert codes(findings) & {"forward-reference", "cyclic-reference"} or _linked(row)
    assert 165 <= faulty <= 180


def _linked(row):
    order = [step.id for step in gnn4_plan(row).steps]
    return order != sorted(order, key=int)


def test_every_dangling_link_is_named(written):
    dangling = 0
    for row, _, findings in written:
        tools = {node["task"] for node in row["task_nodes"]}
        ends = [link[end] for link in row["task_links"] for end in ("source", "target")]
        if any(isinstance(end, str) and end not in tools for end in ends):
            dangling += 1
            assert codes(findings) & {"unknown-reference", "ambiguous-link"}, row["id"]
    assert 40 <= dangling <= 50


def test_every_circle_of_links_is_named_with_its_steps(written):
    circles = [
        finding.message
        for _, _, findings in written
        for finding in findings
        if finding.code == "cyclic-reference" and "circle" in finding.message
    ]
    assert len(circles) >= 8
    assert all(re.search(r"circle: (\d+) → .*→ \1$", message) for message in circles)


def test_a_plan_without_a_fault_of_its_own_is_clean(written):
    clean = sum(not findings for _, _, findings in written)
    assert 250 <= clean <= 350
