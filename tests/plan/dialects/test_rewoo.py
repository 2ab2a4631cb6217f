"""The ReWOO dialect: plans and evidences, in all the ways that models write them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import cut, faults, pieces, shape, steps_of

import heddle
from corpora import corpus, needs_corpus
from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.rewoo.dialect import fits, id_for, reader, write
from heddle.plan.ir import Choose, Input, Item, Plan, Ref, Step, Template, When


def evidences(text):
    """Id, tool and arguments of every step of a text without a fault."""
    plan = parse(text)
    assert (plan.dialect, plan.findings) == ("rewoo", [])
    return [(step.id, step.tool, dict(step.args)) for step in plan.steps]


def argument(text):
    """The one argument of an evidence that follows E1 and E2."""
    steps = evidences(f"#E1 = Search[a]\n#E2 = Search[b]\n#E3 = Tool{text}")
    assert list(steps[2][2]) == ["0"]
    return steps[2][2]["0"]


def arguments(text):
    return evidences(f"#E1 = Search[a]\n#E2 = Search[b]\n#E3 = Tool{text}")[2][2]


# -- one plan, written in many ways --------------------------------------------------------------

WANTED = [
    ("E1", "Search", {"0": "New York"}),
    ("E2", "LLM", {"0": Template(("How large? Given ", Ref("E1")))}),
]
WRITTEN = {
    "published": "Plan: one\n#E1 = Search[New York]\nPlan: two\n#E2 = LLM[How large? Given #E1]",
    "LangGraph": "Plan: one #E1 = Search[New York]\nPlan: two #E2 = LLM[How large? Given #E1]",
    "Gentopia": "#Plan1: one\n#E1: Search[New York]\n#Plan2: two\n#E2: LLM[How large? Given #E1]",
    "no plan": "#E1 = Search[New York]\n#E2 = LLM[How large? Given #E1]",
    "plans first": "Plan: one\nPlan: two\n#E1 = Search[New York]\n#E2 = LLM[How large? Given #E1]",
    "more plans than evidences": "Plan: one\n#E1 = Search[New York]\nPlan: two\n"
    "#E2 = LLM[How large? Given #E1]\nPlan: three, so that #E2 is the answer.",
    "one line": "Plan: one #E1 = Search[New York] Plan: two #E2 = LLM[How large? Given #E1]",
    "side by side": "Plan: all\n#E1 = Search[New York]; #E2 = LLM[How large? Given #E1]",
    "commas": "#E1 = Search[New York], #E2 = LLM[How large? Given #E1]",
    "no blanks": "Plan:one\n#E1=Search[New York]\nPlan:two\n#E2=LLM[How large? Given #E1]",
    "quotes": '#E1 = Search["New York"]\n#E2 = LLM["How large? Given #E1"]',
    "single quotes": "#E1 = Search['New York']\n#E2 = LLM['How large? Given #E1']",
    "curly quotes": "#E1 = Search[“New York”]\n#E2 = LLM[“How large? Given #E1”]",
    "round brackets": '#E1 = Search("New York")\n#E2 = LLM(How large? Given #E1)',
    "a blank before the bracket": "#E1 = Search [New York]\n#E2 = LLM [How large? Given #E1]",
    "blanks in the brackets": "#E1 = Search[ New York ]\n#E2 = LLM[ How large? Given #E1 ]",
    "bold": "**Plan:** one\n**#E1** = Search[New York]\n**Plan:** two\n"
    "**#E2** = LLM[How large? Given #E1]",
    "bold heads": "**Plan**: one\n**#E1 = Search[New York]**\n#E2 = LLM[How large? Given #E1]",
    "bullets": "- Plan: one\n  - #E1 = Search[New York]\n- Plan: two\n"
    "  - #E2 = LLM[How large? Given #E1]",
    "numbers": "1. Plan: one\n#E1 = Search[New York]\n2. Plan: two\n"
    "#E2 = LLM[How large? Given #E1]",
    "steps": "Step 1: Plan: one\nStep 1: #E1 = Search[New York]\n"
    "Step 2: #E2 = LLM[How large? Given #E1]",
    "numbered plans": "Plan 1: one\n#E1 = Search[New York]\nPlan 2: two\n"
    "#E2 = LLM[How large? Given #E1]",
    "a fence": "```\nPlan: one\n#E1 = Search[New York]\n#E2 = LLM[How large? Given #E1]\n```",
    "back quotes": "`#E1 = Search[New York]`\n`#E2 = LLM[How large? Given #E1]`",
    "back quotes around the call": "#E1 = `Search[New York]`\n#E2 = `LLM[How large? Given #E1]`",
    "a quotation": "> Plan: one\n> #E1 = Search[New York]\n> #E2 = LLM[How large? Given #E1]",
    "prose around": "Sure! Here is a plan.\n\nPlan: one\n#E1 = Search[New York]\n\nThen we ask.\n\n"
    "Plan: two\n#E2 = LLM[How large? Given #E1]\n\nThe value of #E2 is the answer.",
    "a heading": "**Plan**\n\nPlan: one\n#E1 = Search[New York]\n#E2 = LLM[How large? Given #E1]",
    "lower case": "plan: one\n#e1 = Search[New York]\nplan: two\n#e2 = LLM[How large? Given #e1]",
    "a blank after the mark": "# E1 = Search[New York]\n# E2 = LLM[How large? Given # E1]",
    "a blank before the number": "#E 1 = Search[New York]\n#E 2 = LLM[How large? Given #E 1]",
    "no mark": "Plan: one\nE1 = Search[New York]\nPlan: two\nE2 = LLM[How large? Given E1]",
    "escaped marks": "\\#E1 = Search[New York]\n\\#E2 = LLM[How large? Given \\#E1]",
    "a leading zero": "#E01 = Search[New York]\n#E02 = LLM[How large? Given #E01]",
    "no sign": "#E1 Search[New York]\n#E2 LLM[How large? Given #E1]",
    "the call on the next line": "#E1 =\nSearch[New York]\n#E2 =\n  LLM[How large? Given #E1]",
    "a remark": "#E1 = Search[New York]  (a city)\n#E2 = LLM[How large? Given #E1].  # done",
    "in brackets": "Plan: one (#E1 = Search[New York]).\n"
    "Plan: two (#E2 = LLM[How large? Given #E1])",
    "no mark, a colon": "E1: Search[New York]\nE2: LLM[How large? Given E1]",
    "a label": "Plan: one\nEvidence: #E1 = Search[New York]\n#E2 = LLM[How large? Given #E1]",
    "blank lines": "\n\nPlan: one\n\n#E1 = Search[New York]\n\n\n"
    "#E2 = LLM[How large? Given #E1]\n\n",
    "CRLF": "Plan: one\r\n#E1 = Search[New York]\r\n#E2 = LLM[How large? Given #E1]\r\n",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_way_of_writing_a_plan_is_the_same_plan(name):
    assert evidences(WRITTEN[name]) == WANTED


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_comes_out_however_a_plan_is_cut(name):
    whole = pieces("rewoo", [WRITTEN[name]])
    assert pieces("rewoo", list(WRITTEN[name])) == whole
    for seed in range(5):
        assert pieces("rewoo", cut(WRITTEN[name], seed)) == whole


def test_the_words_of_a_plan_are_the_note_of_the_evidence_after_it():
    text = "Hello.\nPlan: one\n  goes on\n#E1 = f[a]\n#E2 = f[b]\nprose\nPlan: two. #E3 = f[c]"
    assert [step.note for step in parse(text).steps] == ["one\ngoes on", "", "two."]


def test_an_evidence_is_final_at_the_end_of_its_line():
    reading = reader()
    assert reading.feed("Plan: why\n#E1 = Search[a]") == []
    [step] = reading.feed("\n")
    assert (step.id, step.args, step.note) == ("E1", {"0": "a"}, "why")
    assert (step.origin.line, step.origin.column) == (2, 1)


def test_an_evidence_over_several_lines_is_final_when_its_bracket_has_closed():
    reading = reader()
    assert reading.feed("#E1 = LLM[list:\n- a\n- [b]\n") == []
    [step] = reading.feed("]\n")
    assert step.args == {"0": "list:\n- a\n- [b]"}


# -- the text in the brackets --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[#E1]", Ref("E1")),
        ("[ #E1 ]", Ref("E1")),
        ('["#E1"]', Ref("E1")),
        ("[#E1.price]", Ref("E1", ("price",))),
        ("[#E1[0].name]", Ref("E1", (0, "name"))),
        ("[$input.mail]", Input("mail")),
        ("[a #E1 b #E2.]", Template(("a ", Ref("E1"), " b ", Ref("E2"), "."))),
        ("[#E1 and #E1]", Template((Ref("E1"), " and ", Ref("E1")))),
        ("[max(#E1, #E2)]", Template(("max(", Ref("E1"), ", ", Ref("E2"), ")"))),
        ("[[Winner's Name] hometown]", "[Winner's Name] hometown"),
        ('["[Winner\'s Name] hometown"]', "[Winner's Name] hometown"),
        ('["Samson and Delilah" [1949 film]]', '"Samson and Delilah" [1949 film]'),
        ("[Peter O'Meara]", "Peter O'Meara"),
        ("['Peter O'Meara']", "Peter O'Meara"),
        ('["a" or "b"]', '"a" or "b"'),
        ('["say \\"hi\\""]', 'say "hi"'),
        ("[a smile :-( too]", "a smile :-( too"),
        ('[what does "a]b" mean?]', 'what does "a]b" mean?'),
        ("[153,701]", "153,701"),
        ("[42]", "42"),
        ("[x = 3]", "x = 3"),
        ("[A, B, and C]", "A, B, and C"),
        ("[question, Given context: #E1]", Template(("question, Given context: ", Ref("E1")))),
        ("[0.85 * area, #E1]", Template(("0.85 * area, ", Ref("E1")))),
        ("[#E1, who is it?]", Template((Ref("E1"), ", who is it?"))),
        ("[#E1, #E2, and both]", Template((Ref("E1"), ", ", Ref("E2"), ", and both"))),
        ("[#E12 is far away, E1 too]", "#E12 is far away, E1 too"),
    ],
)
def test_one_text_is_one_argument(text, value):
    plan = parse(f"#E1 = Search[a]\n#E2 = Search[b]\n#E3 = Tool{text}")
    assert plan.steps[2].args == {"0": value}
    assert not [finding for finding in plan.findings if finding.severity == "error"]


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ('["a", "b"]', {"0": "a", "1": "b"}),
        ('["a, b", #E1, 3]', {"0": "a, b", "1": Ref("E1"), "2": 3}),
        ("[#E1, #E2]", {"0": Ref("E1"), "1": Ref("E2")}),
        ("[#E1, #E2, which is it, this or that?]",
         {"0": Ref("E1"), "1": Ref("E2"), "2": "which is it, this or that?"}),
        ('[title="a", word="b #E1"]', {"title": "a", "word": Template(("b ", Ref("E1")))}),
        ('("a", k=3)', {"0": "a", "k": 3}),
        ('[{"query": "a", "k": [1, "#E2"]}]', {"query": "a", "k": [1, Ref("E2")]}),
        ("(3, true, None)", {"0": 3, "1": True, "2": None}),
        ("(3)", {"0": 3}),
        ("(x=3)", {"x": 3}),
        ("[]", {}),
        ("()", {}),
    ],
)  # fmt: skip
def test_what_is_clearly_a_list_is_several_arguments(text, args):
    assert arguments(text) == args


# -- what the published code got wrong -----------------------------------------------------------


def test_ten_and_more_evidences_are_told_apart():
    lines = [f"#E{n} = Search[{n}]" for n in range(1, 13)]
    steps = evidences("\n".join([*lines, "#E13 = LLM[#E1 #E10 #E12]"]))
    assert len(steps) == 13
    assert steps[-1][2]["0"] == Template((Ref("E1"), " ", Ref("E10"), " ", Ref("E12")))


def test_a_mark_without_a_number_is_a_finding():
    for line in ("#E", "#E = Search[a]"):
        text = f"#E1 = Search[a]\n{line}\n#E2 = Search[b]"
        assert faults(text, "rewoo") == [("bad-call", 2, "")]
        assert shape(text, "rewoo") == ["E1", "E2"]


def test_a_line_that_is_only_a_mark_is_nothing():
    assert len(evidences("#\n#E1 = Search[a]\n#\n")) == 1


def test_an_input_of_several_lines_is_whole():
    assert argument("[one\ntwo #E1\n]") == Template(("one\ntwo ", Ref("E1")))


def test_no_last_character_is_lost():
    assert evidences("#E1 = Search[a].\n#E2 = Search[b];")[1][2] == {"0": "b"}


def test_a_missing_last_bracket_is_a_warning_and_no_character_is_lost():
    text = "#E1 = Search[New York\nPlan: two\n#E2 = LLM[#E1\n#E3 = LLM[#E2]"
    plan = parse(text)
    assert [dict(step.args) for step in plan.steps] == [
        {"0": "New York"},
        {"0": Ref("E1")},
        {"0": Ref("E2")},
    ]
    assert [(f.code, f.severity, f.line) for f in plan.findings] == [
        ("unclosed-call", "warning", 1),
        ("unclosed-call", "warning", 3),
    ]


def test_a_bracket_that_opens_in_quotes_does_not_swallow_the_next_line():
    plan = parse('#E1 = LLM["list ends with ["]\n#E2 = Search[b]')
    assert [step.args["0"] for step in plan.steps] == ["list ends with [", "b"]


def test_a_text_that_breaks_off_within_its_brackets_is_a_hole():
    text = "#E1 = Search[a]\n#E2 = Delete[customer 12"
    assert shape(text, "rewoo") == ["E1", "[E2]"]
    assert faults(text, "rewoo") == [("unclosed-call", 2, "E2")]


def test_where_several_lines_may_belong_to_an_open_bracket_it_is_a_hole():
    text = "#E1 = LLM[one\ntwo\nPlan: next\n#E2 = Search[b]"
    assert shape(text, "rewoo") == ["[E1]", "E2"]
    assert faults(text, "rewoo") == [("unclosed-call", 1, "E1")]


def test_evidence_without_a_bracket_is_no_evidence():
    text = "Plan: a\n#E1 = Paris\nPlan: b\n#E2 = LLM[#E1]"
    assert shape(text, "rewoo") == ["[E1]", "E2"]
    assert faults(text, "rewoo") == [("bad-call", 2, "E1")]


def test_an_unknown_tool_is_a_finding_at_its_line():
    plan = parse("#E1 = search[a]\n#E2 = Google Maps[b]\n#E3 = search[c]")
    found = heddle.check(plan, tools=[search])
    assert [(f.code, f.line, f.step) for f in found] == [("unknown-tool", 2, "E2")]


def test_more_plans_than_evidences_and_more_evidences_than_plans_are_no_fault():
    text = "Plan: a\n#E1 = f[x]\n#E2 = f[y]\nPlan: b\nPlan: c\n#E3 = f[#E2]\nPlan: d\nPlan: e"
    assert [step[0] for step in evidences(text)] == ["E1", "E2", "E3"]


def test_a_reference_twice_in_one_input_is_no_circle():
    assert steps_of(parse("#E1 = f[x]\n#E2 = f[#E1 and #E1]"))[1] == ("E2", "f", {"E1"})


def test_a_forward_reference_is_a_finding():
    text = "#E1 = f[#E2]\n#E2 = f[x]"
    assert faults(text, "rewoo") == [("forward-reference", 1, "E1")]


def test_a_reference_to_itself_is_a_finding():
    [finding] = parse("#E1 = f[see #E1]").findings
    assert (finding.code, finding.severity, finding.step) == ("cyclic-reference", "error", "E1")


def test_an_unknown_reference_stays_text_with_a_warning():
    plan = parse("#E1 = f[see #E7]")
    assert plan.steps[0].args == {"0": "see #E7"}
    [finding] = plan.findings
    assert (finding.code, finding.severity) == ("unknown-reference", "warning")
    assert "#E7" in finding.message


# -- further faults ------------------------------------------------------------------------------


def test_the_same_evidence_twice_is_one_step_and_a_warning():
    plan = parse("#E1 = f[x]\n#E2 = f[#E1]\n#E1 = f[x]\n#E2 = f[#E1]")
    assert [step.id for step in plan.steps] == ["E1", "E2"]
    assert [(f.code, f.severity, f.line) for f in plan.findings] == [
        ("duplicate-id", "warning", 3),
        ("duplicate-id", "warning", 4),
    ]


def test_two_evidences_of_one_name_are_a_finding():
    found = heddle.check(parse("#E1 = search[x]\n#E1 = search[y]"), tools=[search])
    assert [(f.code, f.line, f.step) for f in found] == [("duplicate-id", 2, "E1")]


def test_a_road_is_no_evidence():
    assert evidences("#E1 = f[x]\nE5: the road [see a map]\n") == [("E1", "f", {"0": "x"})]


def test_a_mention_in_the_words_of_a_plan_is_neither_definition_nor_reference():
    text = "Plan: with #E2 = the larger, #E3: see [1].\n#E1 = f[x]\nPlan: #E1 (done)\n#E2 = g[y]"
    assert steps_of(parse(text)) == [("E1", "f", set()), ("E2", "g", set())]
    assert parse(text).findings == []


@pytest.mark.parametrize(
    "trail", [" + Search[b]", " and Search[b]", ".title", "[0]", " * 2", " / #E1", ", Search[b]"]
)
def test_what_would_change_a_call_makes_it_a_hole(trail):
    text = f"#E1 = Search[a]{trail}"
    assert shape(text, "rewoo") == ["[E1]"]
    assert faults(text, "rewoo") == [("continued-call", 1, "E1")]


def test_other_words_after_a_call_are_a_warning():
    [finding] = parse("#E1 = Search[a] hopefully").findings
    assert (finding.code, finding.severity) == ("trailing-text", "warning")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[{"a": 1, "a": 2}]', "duplicate-key"),
        ('[{"a": ]', "bad-json"),
        ('("a" "b" c)', "bad-arguments"),
        ("(a=1, a=2)", "duplicate-key"),
        ("[\ud800]", "bad-text"),
        (f"({'[' * 200}{']' * 200})", "nesting-too-deep"),
        ('[k={"$ref": "#E1", "x": 1}]', "bad-node"),
    ],
)
def test_arguments_that_cannot_be_read_make_a_hole(text, code):
    text = f"#E1 = f[x]\nPlan: y\n#E2 = Tool{text}"
    assert shape(text, "rewoo") == ["E1", "[E2]"]
    [finding] = parse(text, "rewoo").findings
    assert (finding.code, finding.line, finding.step) == (code, 3, "E2")
    assert finding.hint


def test_a_call_after_a_line_that_was_none_fills_its_place():
    plan = parse("#E1: the area of China\n#E1 = search[China]")
    assert [step.id for step in plan.steps] == ["E1"]
    assert plan.findings == []


# -- rounds --------------------------------------------------------------------------------------


def test_a_later_round_may_use_results_of_earlier_ones():
    found, _ = pieces("rewoo", ["#E3 = f[#E1]\n#E4 = f[#E3]\n"], round=2, earlier={"E1": "E1"})
    assert [(step.id, step.args["0"]) for step in found] == [
        ("2.E3", Ref("E1")),
        ("2.E4", Ref("2.E3")),
    ]


def test_a_name_of_two_rounds_means_the_later_one_and_is_a_warning():
    found, _ = pieces("rewoo", ["#E1 = f[x]\n#E2 = f[#E1]\n"], round=2, earlier={"E1": "E1"})
    assert found[1].args == {"0": Ref("2.E1")}
    assert [(f.code, f.severity) for f in found[2:]] == [("earlier-round", "warning")]


# -- running -------------------------------------------------------------------------------------


@heddle.tool(effect="read")
def search(query: str) -> str:
    """Look something up."""
    if query == "Atlantis":
        raise LookupError("no such place")
    return f"about {query}"


@heddle.tool(effect="pure")
def join_texts(text: str) -> str:
    """Give a text back."""
    return text


def test_a_failing_tool_degrades_the_result_and_does_not_abort_the_plan():
    text = """Plan: look up both
#E1 = search[Atlantis]
#E2 = search[Crete]
Plan: use them
#E3 = join_texts[#E1 and #E2]
#E4 = join_texts[only #E2]"""
    result = heddle.execute_sync(parse(text), tools=[search, join_texts])
    assert [(step.id, step.status, step.value) for step in result.steps] == [
        ("E1", "failed", None),
        ("E2", "done", "about Crete"),
        ("E3", "skipped", None),
        ("E4", "done", "only about Crete"),
    ]
    assert result.status == "partial"


# -- writing -------------------------------------------------------------------------------------

TEXTS = st.text("ab \"'\\[](){}#E1$,=.:\n2é\u2028", max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats(allow_nan=False,
    allow_infinity=False)  # fmt: skip
PATHS = st.lists(st.integers(-3, 9) | st.sampled_from(["a", "b c", "é"]), max_size=2).map(tuple)
REFS = st.builds(Ref, st.sampled_from(["E1", "E2"]), PATHS)
NODES = REFS | st.builds(Input, st.sampled_from(["mail", "x1"]), PATHS)
TEMPLATES = st.lists(st.tuples(NODES, TEXTS.filter(bool)), min_size=1, max_size=3).map(
    lambda pairs: Template(tuple(part for pair in pairs for part in pair))
)
VALUES = st.recursive(
    SCALARS | TEXTS | NODES | TEMPLATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ARGS = st.builds(
    lambda listed, named: {**{str(n): value for n, value in enumerate(listed)}, **named},
    st.lists(VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["query", "k", "b-c"]), VALUES, max_size=2),
)


@given(first=ARGS, second=ARGS, note=st.text("ab#E1= [x]():\n", max_size=20))
def test_what_is_written_is_read_back(first, second, note):
    steps = [Step("E1", "f"), Step("E2", "Google Search"), Step("E3", "LLM", first, note=note)]
    plan = Plan([*steps, Step("E10", "a.b", second)])
    again = parse(write(plan), "rewoo")
    assert canonical_text(again) == canonical_text(plan)
    assert [finding for finding in again.findings if finding.severity == "error"] == []


def test_a_plan_is_written_as_people_write_it():
    plan = parse(WRITTEN["published"])
    assert write(plan) == WRITTEN["published"] + "\n"


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (Step("1", "f"), "calls its steps"),
        (Step("2.E1", "f"), "calls its steps"),
        (Step("E1", "f", {"0": Ref("E2")}), "no earlier step"),
        (Step("E1", "f", after=("E0",)), "after"),
        (Step("E1", "f", over=[1]), "over"),
        (Step("E1", "f", when=When(Input("x"))), "when"),
        (Step("E1", "f", default=None), "default"),
        (Step("E1", "f", {"0": Item()}), "Item"),
        (Step("E1", "f", {"0": Choose((Ref("E0"),))}), "Choose"),
        (Step("E1", "f", {"0": "\ud800"}), "surrogate"),
        (Step("E1", "f", {"a b": 1}), "argument"),
        (Step("E1", "f", {"1": 1}), "argument"),
        (Step("E1", "f[", {"0": "x"}), "tool"),
        (Step("E1", "f", {"0": float("inf")}), "JSON number"),
        (Step("E1", "f", {"0": Template(("a", "b"))}), "template"),
    ],
)
def test_what_the_dialect_cannot_say_is_refused(step, part):
    with pytest.raises(ValueError, match=part):
        write(Plan([step]))


def test_an_output_cannot_be_said():
    with pytest.raises(ValueError, match="output"):
        write(Plan([Step("E1", "f")], output=Ref("E1")))


@pytest.mark.parametrize("name", ["E1", "E0", "E12", "1", "e1", "E01", "E", "2.E1", "E1234567890"])
def test_ids_that_fit_are_those_that_can_be_written(name):
    plan = Plan([Step(name, "f", {"0": "x"})])
    if fits(name):
        assert [step.id for step in parse(write(plan)).steps] == [name]
    else:
        with pytest.raises(ValueError, match="calls its steps"):
            write(plan)
    assert id_for(1) == "E1"


# -- real replies --------------------------------------------------------------------------------


def recorded():
    return [row for row in corpus("recorded_plans") if row["dialect"] == "rewoo"]


def meant(row):
    return [
        (step["id"].strip("#"), step["tool"], {ref.strip("#") for ref in step["refs"]})
        for step in row["intended"]
    ]


@needs_corpus("recorded_plans")
def test_every_recorded_reply_is_read_as_meant_without_a_finding():
    assert len(recorded()) == 66
    for row in recorded():
        plan = parse(row["text"])
        assert (plan.dialect, steps_of(plan)) == ("rewoo", meant(row)), row["id"]
        assert plan.findings == []


@needs_corpus("recorded_plans", "langgraph_cassettes")
def test_no_other_text_is_taken_for_it():
    rows = [(row["text"], row["dialect"]) for row in corpus("recorded_plans")]
    rows += [(row["text"], row["shape"]) for row in corpus("langgraph_cassettes")]
    for text, kind in rows:
        assert (recognise(text) == "rewoo") == kind.startswith("rewoo")
        assert recognise(text) != "react"


@needs_corpus("langgraph_cassettes")
def test_the_recorded_tutorial_plan_is_read():
    [row] = [row for row in corpus("langgraph_cassettes") if row["shape"] == "rewoo_plan"]
    assert steps_of(parse(row["text"])) == [
        ("E1", "Google", set()),
        ("E2", "Google", set()),
        ("E3", "LLM", {"E2"}),
        ("E4", "LLM", {"E1", "E2", "E3"}),
    ]


DAMAGE = ["[", "]", "(", ")", '"', "'", "#", "#E", "#E1 = f[", "\n", "Plan: ", "\\", "`", "{", ","]


def test_damaged_replies_are_read_the_same_however_they_are_cut():
    chance = random.Random(11)
    texts = [*WRITTEN.values(), *(row["text"] for row in recorded())]
    for number in range(600):
        text = texts[number % len(texts)]
        place = chance.randrange(len(text))
        text = text[:place] + chance.choice(DAMAGE) + text[place + chance.choice([0, 1, 3]) :]
        whole = pieces("rewoo", [text])
        assert pieces("rewoo", cut(text, number)) == whole


HOSTILE = {
    "calls that never close": "#E1 = f[",
    "calls on one line": "#E1 = f[x] ",
    "marks": "#E1 ",
    "closing brackets": "#E1 = f[x]] a",
    "blanks": "#E1    = ",
    "open brackets": "[",
    "quotes": '"a" , ',
    "lines": "#E1 = f[a\nb\n",
    "plans": "Plan: a ",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_work_grows_with_a_line_and_no_faster(kind):
    """A line is looked at as a whole: its parts must not each look at all of it."""
    from test_streaming import operations

    bit = HOSTILE[kind]
    texts = ["#E1 = f[" + bit * size for size in (200, 800)]
    before, after = (operations(lambda text=text: pieces("rewoo", [text])) for text in texts)
    assert after <= 5 * before + 2000


@pytest.mark.parametrize(
    "line",
    [
        "#E2 - LLM[mass of #E1]", "#E2 <- LLM[mass of #E1]", "#E2 == LLM[mass]", "＃E2 = LLM[mass]",
        "#E_2 = LLM[mass]", "[#E2] = LLM[mass]", "(#E2) = LLM[mass]",
    ],
)  # fmt: skip
def test_what_is_nearly_an_evidence_is_a_hole(line):
    plan = parse(f"Plan: look.\n#E1 = Search[Mars]\n{line}\n#E3 = LLM[#E2]", "rewoo")
    assert [entry.id for entry in plan.entries] == ["E1", "E2", "E3"]
    assert [hole.id for hole in plan.holes] == ["E2"]
    assert {(each.code, each.line) for each in plan.findings} == {("bad-call", 3)}


@pytest.mark.parametrize("line", ["LLM[mass of #E1]", "= LLM[mass]", "#Evidence2 = LLM[mass]"])
def test_a_call_that_no_evidence_names_is_an_error(line):
    (finding,) = parse(f"Plan: look.\n#E1 = Search[Mars]\n{line}", "rewoo").findings
    assert (finding.code, finding.severity, finding.line) == ("bad-call", "error", 3)


def test_prose_between_evidences_is_no_call():
    prose = ["See [the link] and note[a].", "Note[1]", "#E1 is used (see above).", "a[b](c)"]
    for line in prose:
        assert parse(f"#E1 = Search[Mars]\n{line}", "rewoo").findings == []


def test_a_name_without_its_hash_is_text_and_said_so():
    plan = parse("#E1 = Search[Mars]\n#E2 = LLM[mass, given E1 and E7]", "rewoo")
    assert plan.steps[1].args == {"0": "mass, given E1 and E7"}
    assert [(f.code, f.severity, f.line) for f in plan.findings] == [
        ("unknown-reference", "warning", 2)
    ]


@pytest.mark.parametrize("trail", [" if #E1 else Search[x]", " | LLM[more]"])
def test_a_condition_or_a_pipe_after_an_evidence_is_no_remark(trail):
    (finding,) = parse(f"#E1 = Search[Mars]\n#E2 = LLM[mass of #E1]{trail}", "rewoo").findings
    assert (finding.code, finding.severity, finding.line) == ("continued-call", "error", 2)
