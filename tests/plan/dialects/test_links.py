"""The links dialect: nodes and the links between them."""

import json
import random

import pytest
from pieces import cut, faults, pieces, shape, steps_of

from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.links.dialect import reader, write
from heddle.plan.dialects.links.graph import circle_of, first_node, nearest, order_of
from heddle.plan.ir import Input, Plan, Ref, Step, Template


def text_of(nodes, links=(), **fields):
    """Nodes as (tool, arguments) and links as pairs, one a line, as TaskBench writes them."""
    named = [json.dumps({"task": tool, "arguments": list(args)}) for tool, *args in nodes]
    joined = [json.dumps({"source": source, "target": target}) for source, target in links]
    rest = "".join(f'"{name}": {json.dumps(value)},\n' for name, value in fields.items())
    lines = ",\n".join(named), ",\n".join(joined)
    return f'{{{rest}"task_nodes": [\n{lines[0]}],\n"task_links": [\n{lines[1]}]}}'


def read(nodes, links=(), **fields):
    return parse(text_of(nodes, links, **fields), "links")


def found(nodes, links=(), **fields):
    """(code, line, step) of every finding; the first node is in line 2."""
    return faults(text_of(nodes, links, **fields), "links")


CHAIN = [("A", "x.txt"), ("B", "<node-0>"), ("C", "<node-0>", "of <node-1>!")]
LINKS = [("A", "B"), ("A", "C"), ("B", "C")]


def test_nodes_are_steps_and_what_they_name_are_references():
    plan = read(CHAIN, LINKS)
    assert plan.findings == []
    assert [(step.id, step.tool, dict(step.args), step.after) for step in plan.steps] == [
        ("1", "A", {"0": "x.txt"}, ()),
        ("2", "B", {"0": Ref("1")}, ()),
        ("3", "C", {"0": Ref("1"), "1": Template(("of ", Ref("2"), "!"))}, ()),
    ]
    assert (plan.steps[1].origin.line, plan.steps[1].origin.column) == (3, 1)


def test_a_link_without_a_reference_orders_two_steps():
    plan = read([("A",), ("B",)], [("A", "B")])
    assert plan.steps[1].after == ("1",)


@pytest.mark.parametrize(
    "text",
    [
        '{"nodes": [{"task": "A"}, {"task": "B"}], "links": [{"source": "A", "target": "B"}]}',
        '{"nodes": [{"tool": "A"}, {"tool": "B"}], "edges": [{"source": "A", "target": "B"}]}',
        '{"sampled_nodes": [{"id": "A", "input-type": ["text"]}, {"id": "B"}],'
        ' "sampled_links": [{"source": "A", "target": "B"}], "type": "chain"}',
        '{"tool_nodes": "[{\\"task\\": \\"A\\"}, {\\"task\\": \\"B\\"}]",'
        ' "tool_links": "[{\\"source\\": \\"A\\", \\"target\\": \\"B\\"}]"}',
        '{"nodes": [{"id": "p", "task": "A"}, {"id": "q", "task": "B"}],'
        ' "links": [{"source": "p", "target": "q"}]}',
        'The plan:\n```json\n{"task_links": [{"source": "A", "target": "B"}],\n'
        ' "task_nodes": [{"task": "A"}, {"task": "B"}]}\n```\nDone.',
    ],
)
def test_nodes_and_links_have_many_names(text):
    plan = parse(text)
    assert (plan.dialect, plan.findings) == ("links", [])
    first, second = plan.steps
    assert (first.tool, second.tool, second.after) == ("A", "B", (first.id,))


def test_nodes_may_carry_ids_and_links_then_name_those():
    text = """{"nodes": [{"id": "p", "task": "A"}, {"id": 7, "task": "A"}],
               "links": [{"source": "p", "target": 7}]}"""
    plan = parse(text, "links")
    assert [(step.id, step.after) for step in plan.steps] == [("p", ()), ("7", ("p",))]
    assert plan.findings == []


def test_steps_come_out_in_the_order_of_the_links():
    plan = read([("A", "<node-1>"), ("B",), ("C",)], [("B", "A"), ("C", "B")])
    assert steps_of(plan) == [("3", "C", set()), ("2", "B", set()), ("1", "A", {"2"})]
    assert plan.findings == []


def test_nothing_comes_out_before_the_text_has_ended():
    reading = reader(round=2)
    assert reading.feed(text_of(CHAIN, LINKS)) == []
    assert [step.id for step in reading.close()] == ["2.1", "2.2", "2.3"]


def test_arguments_may_be_named():
    plan = parse('{"nodes": [{"task": "A", "arguments": {"q": "x", "r": ["y"]}}], "links": []}')
    assert dict(plan.steps[0].args) == {"q": "x", "r": ["y"]}


# -- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "links", "findings"),
    [
        ([("A", "<node-0>")], [], [("cyclic-reference", 2, "1")]),
        ([("A", "<node-1>"), ("B", "<node-0>")], [], [("forward-reference", 2, "1")]),
        ([("A",), ("B", "<node-0> <node-2>")], [], [("unknown-reference", 3, "2")]),
        ([("A",)], [("A", "Z")], [("dangling-link", 4, "")]),
        ([("A",), ("A",), ("B",)], [("A", "B")], [("ambiguous-link", 6, "")]),
        (
            [("A b",), ("A b",)],
            [("A_b", "A b-2")],
            [("dangling-link", 5, ""), ("ambiguous-link", 5, "")] * 2,
        ),
        ([("A",), ("B",)], [("A", "B"), ("B", "A")], [("cyclic-link", 6, "")]),
        ([("A",)], [("A", "A")], [("cyclic-link", 4, "")]),
        ([("A",), ("B",)], [("A", ["B"])], [("bad-link", 5, "")]),
        ([("A", {"name": "q", "value": "x"})], [], [("object-argument", 2, "1")]),
        ([("A",), ("B", "<node_0>")], [], [("unknown-reference", 3, "2")]),
    ],
)
def test_each_fault_has_its_own_name_and_place(nodes, links, findings):
    assert found(nodes, links) == sorted(findings, key=lambda item: item[1])
    assert all(f.hint and f.snippet for f in read(nodes, links).findings)


def test_an_impossible_reference_is_left_as_text_and_is_an_error():
    plan = read([("A", "x"), ("B", "<node-5>", "<node-0>")])
    assert dict(plan.steps[1].args) == {"0": "<node-5>", "1": Ref("1")}
    assert [f.severity for f in plan.findings] == ["error"]


def test_a_circle_is_named_with_its_steps():
    [finding] = read([("A",), ("B",), ("C",)], [("A", "B"), ("B", "C"), ("C", "B")]).findings
    assert "B → C → B" in finding.message


@pytest.mark.parametrize(
    ("text", "entries", "findings"),
    [
        ('{"nodes": [{"task": "A", "arguments": "x"}], "links": []}', ["[1]"], ["bad-arguments"]),
        ('{"nodes": [{"arguments": []}, {"task": "B"}], "links": []}', ["[1]", "2"], ["bad-call"]),
        ('{"nodes": [{"task": "A" "x"}, {"task": "B"}], "links": []}', ["[1]", "2"], ["bad-json"]),
        ('{"nodes": ["A"], "links": []}', [], ["bad-call"]),
        ('{"nodes": [{"task": "A"}], "links": [{"source": "A"', ["1"], ["unclosed-call"] * 3),
        ('{"nodes": [{"task": "A"}], "links": [}', ["1"], ["bad-json"]),
        ('{"nodes": [{"task": "A"}]}\n{"nodes": [{"task": "B"}]}', ["1", "2"], ["bad-json"]),
        ('{"tool_nodes": "[{oops", "tool_links": "[]"}', [], ["bad-json"]),
    ],
)
def test_malformed_json_is_found_at_its_place(text, entries, findings):
    assert shape(text, "links") == entries
    assert [code for code, _, _ in faults(text, "links")] == findings


# -- counted from 0 or from 1 --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uses", "links", "first"),
    [
        ([], [], 0),
        ([(1, 0)], [], 0),
        ([(2, 0), (1, 1)], [], 0),
        ([(1, 1)], [], 1),
        ([(1, 1), (2, 2)], [(0, 1), (1, 2)], 1),
        ([(2, 1)], [(1, 2)], 0),
        ([(2, 1)], [(0, 2)], 1),
        ([(2, 1)], [], None),
        ([(2, 1)], [(0, 2), (1, 2)], None),
        ([(1, 1)], [(1, 1)], None),
        ([(1, 2), (2, 1)], [], None),
    ],
)
def test_the_first_number_is_told_by_a_zero_or_by_links_and_order_together(uses, links, first):
    assert first_node(uses, links) == first


def test_nodes_counted_from_one_are_read_so_with_a_warning():
    plan = read([("A", "x"), ("B", "<node-1>")], [("A", "B")])
    assert steps_of(plan) == [("1", "A", set()), ("2", "B", {"1"})]
    assert [(f.code, f.severity, f.line) for f in plan.findings] == [
        ("counted-from-one", "warning", 3)
    ]


def test_where_the_first_number_cannot_be_told_the_plan_is_refused():
    nodes = [("A", "x"), ("B", "y"), ("C", "<node-1>")]
    assert found(nodes) == [("ambiguous-numbering", 4, "3")]
    assert found(nodes, first_node=0) == found(nodes, [("B", "C")]) == []
    assert found(nodes, [("A", "C")]) == [("counted-from-one", 4, "3")]


# -- the graph -----------------------------------------------------------------------------------


def test_an_order_follows_the_links_and_else_the_text():
    assert order_of(4, []) == [0, 1, 2, 3]
    assert order_of(4, [(3, 0), (2, 1)]) == [2, 1, 3, 0]
    assert order_of(2, [(0, 1), (1, 0)]) is None


def test_a_circle_is_found_wherever_it_is_and_only_if_there_is_one():
    assert circle_of({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []
    assert circle_of({"a": ["b"], "b": ["c", "d"], "d": ["b"]}) == ["b", "d", "b"]
    long = {str(n): [str(n + 1)] for n in range(20_000)}
    assert circle_of(long) == []
    assert len(circle_of({**long, "20000": ["0"]})) == 20_002


def test_a_name_is_meant_but_for_its_ending_and_spelling():
    tools = ["Text Summarizer", "Text-to-Text"]
    assert nearest("Text_Summarizer", tools) == nearest("text summarizer-2", tools) == tools[0]
    assert nearest("Text-to-Text (French)", tools) == tools[1]
    assert nearest("Text", tools) is None


# -- writing -------------------------------------------------------------------------------------


def random_plan(seed):
    """A plan of texts, references and orders, such as nodes and links can say."""
    chance = random.Random(seed)
    steps = []
    for number in range(1, chance.randint(2, 8)):
        known = [step.id for step in steps]
        args = {}
        for place in range(chance.randint(0, 3)):
            ref = Ref(chance.choice(known), chance.choice([(), ("a", 0)])) if known else "text"
            whole = Ref(ref.step) if known else "text"
            mixed = Template(("of ", whole, ".")) if known else "of <node-x>"
            args[str(place)] = chance.choice([ref, mixed, "text", 3, [ref, "y"]])
        [(_, _, used)] = steps_of(Plan([Step("0", "t", args)]))
        others = [name for name in known if name not in used]
        after = tuple(sorted(chance.sample(others, min(len(others), chance.randint(0, 1)))))
        tool = f"Tool {number if seed % 2 else chance.randint(1, 4)}"
        steps.append(Step(str(number) if seed % 3 else f"s{number}", tool, args, after=after))
    return Plan(steps)


@pytest.mark.parametrize("seed", range(60))
def test_a_written_plan_is_read_as_the_same(seed):
    plan = random_plan(seed)
    read = parse(write(plan))
    assert (read.dialect if len(plan) else "links") == "links"
    assert canonical_text(read) == canonical_text(plan)


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (Step("1", "f", {"a": {"b": 1}}), "object"),
        (Step("1", "f", {"a": Input("x")}), "Input"),
        (Step("1", "f", default=None), "default"),
        (Step("1", "f", {"a": Ref("9")}), "not in the plan"),
        (Step("1", "f", {"0": "see <node-0>"}), "step 1"),
        (Step("1", "f", {"0": "\ud800"}), "surrogate"),
    ],
)
def test_what_nodes_and_links_cannot_say_is_refused(step, part):
    with pytest.raises(ValueError, match=part):
        write(Plan([step]))


def test_an_order_that_a_reference_says_already_cannot_be_said_twice():
    with pytest.raises(ValueError, match="step 2"):
        write(Plan([Step("1", "f"), Step("2", "g", {"0": Ref("1")}, after=("1",))]))


# -- what it looks like --------------------------------------------------------------------------


def test_texts_of_this_dialect_are_recognised_and_those_of_others_are_not():
    assert recognise(text_of(CHAIN, LINKS)) == "links"
    assert recognise('[{"name": "f", "arguments": {"nodes": [1]}}]') == "json"
    assert recognise('{"heddle": 1, "steps": [{"id": "1", "tool": "f"}]}') == "json"
    graph = '{"nodes": [{"id": "a"}], "links": []}'
    assert recognise(f'[{{"name": "draw", "arguments": {graph}}}]') == "json"
    assert recognise(f"The graph: {graph}") == "links"


@pytest.mark.parametrize("seed", range(40))
def test_a_text_that_is_cut_or_damaged_gives_the_same_however_it_arrives(seed):
    chance = random.Random(seed)
    text = text_of(CHAIN, LINKS)
    for mark in chance.choices(["", '"', "}", "]", "{", ",", '"id": 3,', "<node-7>", "\n"], k=3):
        place = chance.randrange(len(text))
        text = text[:place] + mark + text[place + chance.choice([0, 1, 5]) :]
    whole = pieces("links", [text])
    assert pieces("links", cut(text, seed)) == pieces("links", list(text)) == whole
