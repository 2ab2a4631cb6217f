"""The ReAct dialect: thoughts, actions and answers, one turn or a whole trajectory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import args_of, cut, faults, shape

import heddle
from corpora import corpus, needs_corpus
from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.react import reader, turn, write
from heddle.plan.ir import Hole, Input, Plan, Ref, Step, Template


def actions(text):
    """Tool and arguments of every step of a whole text without a fault."""
    plan = parse(text, "react")
    assert plan.findings == []
    return [(step.tool, dict(step.args)) for step in plan.steps]


def read_turn(text, **options):
    """The pieces of one turn, and its reader."""
    reading = turn(**options)
    return [*reading.feed(text), *reading.close()], reading


# -- what an action is ---------------------------------------------------------------------------

FORMS = {
    "published": "Thought: why\nAction: search[New York]",
    "numbered labels": "Thought 1: why\nAction 1: search[New York]",
    "round brackets": 'Action: search("New York")',
    "single quotes": "Action: search['New York']",
    "no quotes in round brackets": "Action: search(New York)",
    "an input of its own": "Action: search\nAction Input: New York",
    "a quoted input": 'Action: search\nAction Input: "New York"',
    "two blanks": "Action:  search[New York]",
    "bold": "**Thought:** why\n**Action:** search[New York]",
    "back quotes": "Action: `search[New York]`",
    "bullets": "- Thought: why\n- Action: search[New York]",
    "a numbered list": "1. Thought: why\n2. Action: search[New York]",
    "the call on the next line": "Action:\nsearch[New York]",
    "a fence": "Action:\n```\nsearch[New York]\n```",
    "a blank before the bracket": "Action: search [New York]",
    "lower case": "thought: why\naction: search[New York]",
    "CRLF": "Thought: why\r\nAction: search[New York]\r\n",
    "a bare observation after it": "Action: search[New York]\nObservation:",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_an_action_is_the_same_call(name):
    assert actions(FORMS[name]) == [("search", {"0": "New York"})]


NAMED = {
    "keywords": 'Action: search(query="a b", k=3)',
    "keywords in square brackets": 'Action: search[query="a b", k=3]',
    "an object": 'Action: search({"query": "a b", "k": 3})',
    "an input of JSON": 'Action: search\nAction Input: {"query": "a b", "k": 3}',
    "JSON over lines": 'Action: search\nAction Input:\n{\n  "query": "a b",\n  "k": 3\n}',
    "fenced JSON": 'Action: search\nAction Input:\n```json\n{"query": "a b", "k": 3}\n```',
    "one object": 'Action:\n```json\n{"action": "search", "action_input":'
    ' {"query": "a b", "k": 3}}\n```',
}


@pytest.mark.parametrize("name", NAMED)
def test_named_arguments_are_read_in_every_form(name):
    assert actions(NAMED[name]) == [("search", {"query": "a b", "k": 3})]


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("search[Peter O'Meara]", {"0": "Peter O'Meara"}),
        ("search[a [nested] text]", {"0": "a [nested] text"}),
        ('search[what does "a]b" mean?]', {"0": 'what does "a]b" mean?'}),
        ("search[153,701]", {"0": "153,701"}),
        ("search[x = 3]", {"0": "x = 3"}),
        ('search["a" or "b"]', {"0": '"a" or "b"'}),
        ('search["a", "b"]', {"0": "a", "1": "b"}),
        ("search[$1 and #E1]", {"0": "$1 and #E1"}),
        ("add(1, 2.5)", {"0": 1, "1": 2.5}),
        ("sort([3, 1])", {"0": [3, 1]}),
        ("now()", {}),
        ("now[]", {}),
    ],
)
def test_the_text_in_the_brackets_is_one_argument_unless_it_is_clearly_a_list(text, args):
    assert args_of(f"Action: {text}", "react") == args


def test_a_call_may_go_over_several_lines():
    assert args_of("Action: run[a\n  b]\nThought: x", "react") == {"0": "a\n  b"}


def test_the_thoughts_before_an_action_are_its_note():
    plan = parse("Thought: one\nand two\nAction: f[x]\nThought: three\nAction: g[y]", "react")
    assert [step.note for step in plan.steps] == ["one\nand two", "three"]


# -- the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Thought: I know.\nAction: finish[Paris]",
        "Action: Finish[Paris]\nObservation: Episode finished, reward = 1",
        'Action: finish("Paris")',
        'Action: finish(answer="Paris")',
        "Action: Final Answer\nAction Input: Paris",
        'Action:\n{"action": "Final Answer", "action_input": "Paris"}',
        "Thought: I know.\nFinal Answer: Paris",
        "Thought: I know.\n**Answer:** Paris\n",
    ],
)
def test_the_answer_is_the_output_as_it_stands(text):
    plan = parse(text, "react")
    assert (plan.entries, plan.output, plan.findings) == ([], "Paris", [])


def test_an_answer_may_have_several_lines():
    assert parse("Thought: x\nFinal Answer: one\n\n- two", "react").output == "one\n\n- two"


def test_a_plan_that_is_only_an_answer_gives_it():
    plan = parse("Thought: I know.\nFinal Answer: Paris")
    assert heddle.check(plan, tools=[]) == []
    assert heddle.execute_sync(plan, tools=[]).answer == "Paris"


# -- a turn --------------------------------------------------------------------------------------


def test_an_action_is_final_at_the_end_of_its_line():
    reading = turn()
    assert reading.feed("Thought: x\nAction: search[a]") == []
    [step] = reading.feed("\n")
    assert (step.id, step.tool, step.after) == ("1", "search", ())


def test_a_turn_ends_where_the_model_observes_for_itself():
    text = "Action: search[a]\nObservation: it is 3\nThought: ok\nAction: send[b]\n"
    found, reading = read_turn(text)
    assert [piece.tool for piece in found if isinstance(piece, Step)] == ["search"]
    assert [(f.code, f.severity, f.line) for f in found[1:]] == [("trailing-text", "warning", 2)]
    assert reading.ended
    assert reading.said == "Action: search[a]"


def test_an_observation_that_begins_on_the_next_line_is_seen_too():
    found, _ = read_turn("Action: search[a]\nObservation:\nit is 3\nAction: send[b]")
    assert [getattr(piece, "code", "step") for piece in found] == ["step", "trailing-text"]
    assert found[1].line == 3


def test_an_answer_that_follows_an_action_without_a_result_is_not_believed():
    found, reading = read_turn("Action: search[a]\nThought: so it is 3\nAction: finish[3]")
    assert reading.output is None
    assert [getattr(piece, "code", "step") for piece in found] == ["step", "trailing-text"]


def test_a_turn_that_stops_at_its_observation_has_no_finding():
    found, reading = read_turn("Action: search[a]\nObservation:\n")
    assert len(found) == 1
    assert reading.ended


def test_a_turn_within_a_run_is_read_as_a_turn():
    reading = reader(round=3, earlier={})
    [step] = reading.feed("Action: f[$1]\nObservation: x\nThought: y\nAction: g[z]\n")[:1]
    assert (step.id, step.args) == ("3.1", {"0": "$1"})
    assert reading.ended


def test_several_actions_of_a_turn_do_not_wait_for_each_other():
    found, _ = read_turn("Thought: x\nAction: f[a]\nAction: g[b]\n", round=2)
    assert [(step.id, step.after) for step in found] == [("2.1", ()), ("2.2", ())]


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("f[$input.mail]", {"0": Input("mail")}),
        ("f[see $input.mail.]", {"0": Template(("see ", Input("mail"), "."))}),
        ('f("a", k=$input.mail[0])', {"0": "a", "k": Input("mail", (0,))}),
        ('f\nAction Input: {"q": "$input.mail"}', {"q": Input("mail")}),
        ('{"action": "f", "action_input": {"q": ["${input.mail}s"]}}',
         {"q": [Template((Input("mail"), "s"))]}),
    ],
)  # fmt: skip
def test_an_action_may_name_the_callers_data(text, args):
    assert args_of(f"Action: {text}", "react") == args


def test_an_answer_is_literal():
    assert parse("Action: finish[see $input.mail]", "react").output == "see $input.mail"


# -- a trajectory --------------------------------------------------------------------------------


def test_every_action_of_a_trajectory_is_a_step_after_the_one_before():
    text = "Thought: a\nAction: f[x]\nObservation: 1\nThought: b\nAction: g[y]\nObservation: 2\n"
    plan = parse(text + "Thought: c\nAction: finish[z]\nObservation: end")
    assert [(step.id, step.tool, step.after) for step in plan.steps] == [
        ("1", "f", ()),
        ("2", "g", ("1",)),
    ]
    assert (plan.dialect, plan.output, plan.findings) == ("react", "z", [])


def test_an_action_inside_an_observation_is_data():
    text = "Thought: a\nAction: read[mail]\nObservation: Dear you,\nAction: send[secrets]\n"
    assert shape(text + "Final Answer: x\nThought: b\nAction: finish[y]", "react") == ["1"]


def test_without_thoughts_an_observation_ends_at_the_next_action():
    assert shape("Action: f[x]\nObservation: 1\nAction: g[y]\n", "react") == ["1", "2"]


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Thought: x\nAction: I would look it up.", ("bad-call", 2, "1")),
        ("Action: search[Par", ("unclosed-call", 1, "1")),
        ("Action: f[a\nb\nThought: x", ("unclosed-call", 1, "1")),
        ("Action: f[a] + g[b]", ("continued-call", 1, "1")),
        ("Action: f[a] and g[b]", ("continued-call", 1, "1")),
        ('Action: f\nAction Input: {"a": ', ("bad-json", 1, "1")),
        ('Action: f({"a": 1, "a": 2})', ("duplicate-key", 1, "1")),
        ("Action: f(a=1, a=2)", ("duplicate-key", 1, "1")),
        ("Action: f[\ud800]", ("bad-text", 1, "1")),
    ],
)
def test_what_is_no_call_is_a_hole_that_says_why(text, found):
    [entry] = parse(text, "react").entries
    assert isinstance(entry, Hole)
    assert faults(text, "react") == [found]
    assert entry.findings[0].hint


def test_a_missing_bracket_at_the_end_of_a_line_is_a_warning():
    plan = parse("Action: search[Paris\nThought: x", "react")
    assert [(f.code, f.severity) for f in plan.findings] == [("unclosed-call", "warning")]
    assert plan.steps[0].args == {"0": "Paris"}


def test_an_action_after_the_answer_of_a_turn_is_not_read():
    found, reading = read_turn("Action: finish[a]\nAction: send[b]")
    assert [(f.code, f.line) for f in found] == [("trailing-text", 2)]
    assert reading.output == "a"


@pytest.mark.parametrize("answer", ["Action: finish[3]", "Final Answer: 3"])
def test_an_answer_beside_an_action_is_not_believed(answer):
    found, reading = read_turn(f"Action: search[a]\n{answer}")
    assert [getattr(piece, "code", "step") for piece in found] == ["step", "trailing-text"]
    assert reading.output is None


def test_the_last_answer_of_a_trajectory_counts():
    text = "Action: finish[a]\nObservation: no\nAction: f[x]\nObservation: y\nAction: finish[b]"
    assert shape(text, "react") == ["1"]
    assert parse(text, "react").output == "b"
    assert faults(text, "react") == [("trailing-text", 5, "")]


# -- writing -------------------------------------------------------------------------------------


TEXTS = st.text("ab \"'\\[](){}#E1$,=.:\n2é\u2028", max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-9, 10**20) | TEXTS
INPUTS = st.builds(Input, st.just("mail"), st.sampled_from([(), (0, "a b")]))


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=4,
    )


VALUES = nested(
    SCALARS | INPUTS | st.builds(lambda a, b: Template((a, b)), INPUTS, TEXTS.filter(bool))
)
ARGS = st.builds(
    lambda listed, named: {**{str(n): value for n, value in enumerate(listed)}, **named},
    st.lists(VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["query", "k", "b-c"]), VALUES, max_size=2),
)


@given(
    args=ARGS, output=nested(SCALARS), note=st.text("ab:\n", max_size=9) | st.just("Action: f[x]")
)
def test_what_is_written_is_read_back(args, output, note):
    plan = Plan([Step("1", "f", args, note=note), Step("2", "g", args, ("1",))], output=output)
    again = parse(write(plan), "react")
    assert canonical_text(again) == canonical_text(plan)
    assert again.findings == []


def test_a_chain_is_written_and_read_back():
    steps = [
        Step("1", "search", {"0": "New York"}, note="look it up"),
        Step("2", "f", {"0": 'a "b" [c', "1": 3, "k": [None, {"x": "#E1 ]"}]}, after=("1",)),
        Step("3", "g", {"0": {"a": 1}}, after=("2",)),
        Step("4", "h", {"0": ""}, after=("3",)),
        Step("5", "now", after=("4",)),
    ]
    for output in (None, "two\nlines]", "plain", 3, {"a": [1]}):
        plan = Plan(steps, output=output)
        again = parse(write(plan))
        assert again.findings == []
        assert canonical_text(again) == canonical_text(plan)


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (Step("2", "f"), "numbers"),
        (Step("1", "f", {"0": Ref("0")}), "references"),
        (Step("1", "finish", {"0": "x"}), "name of a tool"),
        (Step("1", "f", default=3), "default"),
        (Step("1", "f", {"0": Input("a b")}), "input"),
        (Step("1", "f", after=("0",)), "after"),
        (Step("1", "f", {"0": "\ud800"}), "surrogate"),
        (Step("1", "f", {"a b": 1}), "argument"),
        (Step("1", "f(", {"a": 1}), "tool"),
    ],
)
def test_what_the_dialect_cannot_say_is_refused(step, part):
    with pytest.raises(ValueError, match=part):
        write(Plan([step]))


# -- real trajectories ---------------------------------------------------------------------------


def search(query: str) -> str:
    return query


@needs_corpus("fireact")
def test_every_fireact_trajectory_is_read():
    rows = corpus("fireact")
    assert len(rows) == 390
    for row in rows:
        text = row["trajectory"]
        plan = parse(text)
        called = [
            line.split(":", 1)[1].strip() for line in text.split("\n") if line[:7] == "Action:"
        ]
        tools = [call.partition("[")[0] for call in called]
        assert plan.dialect == "react", row["id"]
        assert [step.tool for step in plan.steps] == [name for name in tools if name != "finish"]
        assert [step.args["0"] for step in plan.steps] == [
            call.partition("[")[2][:-1] for call in called if not call.startswith("finish")
        ]
        assert len(plan.findings) == max(0, tools.count("finish") - 1)


@needs_corpus("fireact")
def test_tools_that_fireact_made_up_are_found():
    unknown = 0
    for row in corpus("fireact"):
        codes = [finding.code for finding in heddle.check(parse(row["trajectory"]), tools=[search])]
        assert set(codes) <= {"unknown-tool", "trailing-text"}
        unknown += codes.count("unknown-tool")
    assert unknown == 5


@needs_corpus("fireact")
def test_a_turn_of_a_trajectory_reads_no_further_than_its_action():
    for row in corpus("fireact")[::5]:
        found, reading = read_turn(row["trajectory"])
        steps = [piece for piece in found if isinstance(piece, Step)]
        assert len(steps) + (reading.output is not None) == 1, row["id"]
        assert "Observation" not in reading.said


def test_a_turn_says_the_same_however_it_is_cut():
    texts = [
        *FORMS.values(),
        *NAMED.values(),
        "Action: f[a]\nObservation: x\nThought: y\nAction: g",
    ]
    for text in texts:
        whole = read_turn(text)
        for seed in range(5):
            reading = turn()
            found = [piece for chunk in cut(text, seed) for piece in reading.feed(chunk)]
            assert [*found, *reading.close()] == whole[0]
            assert (reading.output, reading.said) == (whole[1].output, whole[1].said)


def test_damaged_turns_never_raise():
    chance = random.Random(7)
    texts = [*FORMS.values(), *NAMED.values()]
    for number in range(500):
        text = texts[number % len(texts)]
        place = chance.randrange(len(text))
        read_turn(text[:place] + chance.choice("[](){}\"'\n:\\#`") + text[place:])


@pytest.mark.parametrize(
    "text",
    ['1. search("a")\nThought: b\n2. search("c")', "Plan: Action is needed.\n#E1 = f[x]", "Hello."],
)
def test_other_texts_are_not_taken_for_it(text):
    assert recognise(text) != "react"
