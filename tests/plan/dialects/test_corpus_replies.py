"""What models really wrote is read as it was meant, however it arrives."""

import random
import re
from json import dumps

import pytest
from pieces import cut, pieces, steps_of

from corpora import corpus, needs_corpus
from heddle.plan.dialects import parse, recognise

DIALECTS = ("llmcompiler", "json")
DAMAGE = [
    '"',
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\r\n",
    "\\",
    "$",
    "",
    "#",
    "//",
    '"""',
    "”",
]
DAMAGE += ["/*", ">", "join", "\n3. f(", "\x00", ",", ":", "$1", "${1}", "<END_OF_PLAN>"]


def replies(*styles):
    """Recorded replies in the dialects that there are."""
    return [
        row
        for row in corpus("recorded_plans")
        if row["dialect"] in DIALECTS and row["style"] in styles
    ]


def meant(row):
    """The reading that was meant, as `steps_of` has it; a calculation's tool is not named."""
    wanted = []
    for step in row["intended"]:
        refs = step.get("refs", re.findall(r"\$\d+", step.get("expression", "")))
        tool = step.get("tool", "calc")
        if tool != "join":
            wanted.append((step["id"].strip("$"), tool, {ref.strip("$") for ref in refs}))
    return wanted


@pytest.mark.parametrize("style", ["terse", "chatty"])
def test_every_reply_that_is_not_sloppy_is_read_as_meant(style):
    found = replies(style)
    assert found
    for row in found:
        plan = parse(row["text"])
        assert (plan.dialect, steps_of(plan)) == (row["dialect"], meant(row)), row["id"]
        assert not plan.holes


def test_nine_in_ten_sloppy_replies_are_read_as_meant_and_the_others_say_where_not():
    found = replies("sloppy")
    missed = [row for row in found if steps_of(parse(row["text"])) != meant(row)]
    assert len(missed) <= len(found) / 10
    for row in missed:
        assert any(f.severity == "error" and f.line for f in parse(row["text"]).findings), row["id"]


@needs_corpus("recorded_plans")
def test_the_whole_corpus_was_read():
    assert len(replies("terse", "chatty", "sloppy")) == 106


def test_replies_without_irregularities_have_no_findings():
    assert [row["id"] for row in replies("terse") if parse(row["text"]).findings] == []


def test_every_recorded_plan_of_the_tutorials_is_read():
    rows = [row for row in corpus("langgraph_cassettes") if row["shape"] == "llmcompiler_plan"]
    assert len(rows) == 9
    for row in rows:
        plan = parse(row["text"])
        calls = re.findall(r"^\d+\. (?!join)(\w+)\(", row["text"], re.MULTILINE)
        assert plan.dialect == "llmcompiler"
        assert [step.tool for step in plan.steps] == calls
        assert plan.findings == []


def test_recorded_tool_calls_are_steps_and_other_texts_are_none():
    for row in corpus("langgraph_cassettes"):
        plan = parse(row["text"])
        if row["shape"] == "tool_calls":
            assert plan.dialect == "json"
            assert [step.id for step in plan.steps] == ["1"]
            assert plan.findings == []
        elif not row["shape"].endswith("_plan"):
            assert plan.entries == []
            assert {f.code for f in plan.findings} <= {"empty-plan", "unknown-dialect"}
            assert plan.findings


def test_nestful_plans_are_read_as_calls_with_references():
    for row in corpus("nestful"):
        calls = [call for call in row["output"] if call["name"] != "var_result"]
        plan = parse(dumps(row["output"]))
        assert plan.dialect == "json"
        assert [(s.id, s.tool) for s in plan.steps] == [
            (call["label"].strip("$"), call["name"]) for call in calls
        ]
        assert not plan.holes
        marks = set(re.findall(r"\$(var_?\d+)[^$]*\$", dumps([c["arguments"] for c in calls])))
        assert {ref for _, _, refs in steps_of(plan) for ref in refs} == marks
        assert (plan.output is None) == (len(calls) == len(row["output"]))


@needs_corpus("nestools")
def test_nestools_plans_are_read_and_every_response_finds_its_call():
    nested = 0
    for row in corpus("nestools"):
        plan = parse(dumps(row["call"]))
        assert [step.tool for step in plan.steps] == [call["api_name"] for call in row["call"]]
        assert plan.findings == []
        named = [re.findall(r'"API_call_\d+"', dumps(c["parameters"])) for c in row["call"]]
        assert [bool(refs) for _, _, refs in steps_of(plan)] == [bool(names) for names in named]
        nested += sum(map(len, named))
    assert nested > 600


@needs_corpus("recorded_plans")
def test_texts_of_other_dialects_are_not_taken_for_one_of_these():
    others = [row for row in corpus("recorded_plans") if row["dialect"] not in DIALECTS]
    assert {recognise(row["text"]) for row in others}.isdisjoint(DIALECTS)


def every_text():
    rows = [(row["text"], row.get("dialect", "llmcompiler")) for row in corpus("recorded_plans")]
    rows += [(row["text"], "json") for row in corpus("langgraph_cassettes")]
    rows += [(row["text"], "llmcompiler") for row in corpus("langgraph_cassettes")]
    rows += [(dumps(row["output"]), "json") for row in corpus("nestful")]
    return [(text, name if name in DIALECTS else "llmcompiler") for text, name in rows]


def test_the_same_comes_out_however_a_text_is_cut():
    """All texts, cut at random; and damaged, since damage is what readers disagree about."""
    chance = random.Random(20)
    texts = every_text()
    for number in range(max(2_500, 2 * len(texts))):
        text, dialect = texts[number % len(texts)]
        if number >= len(texts):
            place = chance.randrange(len(text) + 1)
            text = (
                text[:place] + chance.choice(DAMAGE) + text[place + chance.choice([0, 0, 1, 3]) :]
            )
        whole = pieces(dialect, [text])
        for seed in range(4):
            assert pieces(dialect, cut(text, number * 4 + seed)) == whole, text
