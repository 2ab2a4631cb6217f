"""Numbered calls: what is read, what is refused, and where it says so."""

import pytest
from pieces import args_of, faults, shape, steps_of

from heddle.plan.dialects import parse
from heddle.plan.dialects.llmcompiler.dialect import likely, reader
from heddle.plan.ir import Hole, Input, Origin, Ref, Step, Template


def by_place(*values):
    return {str(place): value for place, value in enumerate(values)}


# -- a step is final at its closing bracket -------------------------------------------------------


def test_a_step_comes_with_its_closing_bracket_and_not_before():
    read = reader()
    assert read.feed('1. search("a"') == []
    assert [step.id for step in read.feed(")")] == ["1"]


def test_a_call_that_goes_on_after_its_bracket_is_taken_back():
    read = reader()
    assert isinstance(read.feed("1. f(1)")[0], Step)
    [hole] = read.feed(" + 2\n")
    assert (hole.id, hole.findings[0].code) == ("1", "continued-call")


def test_nothing_is_kept_of_what_follows_the_end():
    read = reader()
    read.feed("1. f()\n2. join()\n")
    assert read.feed("3. g()\n" * 100) == []
    assert read.close() == []


def test_a_step_knows_where_it_stands():
    plan = parse('Plan:\n\n  - 1. f("x")  2. g()\n', "llmcompiler")
    assert [step.origin for step in plan.steps] == [Origin(3, 5), Origin(3, 16)]


# -- forms of a line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        '1. search("x")',
        '1.search("x")',
        '1) search("x")',
        '1: search("x")',
        '(1) search("x")',
        '[1] search("x")',
        '1 - search("x")',
        r'1\. search("x")',
        '  1.  search ("x")',
        '- 1. search("x")',
        '* 1. `search("x")`',
        '**1.** search("x")',
        '**1. search("x")**',
        '> 1. search("x")',
        '### 1. search("x")',
        '1. **search**("x")',
        'Step 1: search("x")',
        'Task 1. search("x")',
        'Action: 1. search("x")',
        '$1 = search("x")',
        '#1 = search("x")',
        '1 = search("x")',
        '1. $1 = search("x")',
        '1 search("x")',
        '| 1 | search("x") |',
        '01. search("x")',
        '1.\n   search("x")',
        '1.\n\nsearch("x")',
        '\ufeff1. search("x")',
        'Here is the plan: 1. search("x")',
        '1. search(\n  "x",\n)',
        '1. search("x", # the entity\n)',
        '```\n1. search("x")\n```',
        '1. search("x")\r\n2. join()\r\n',
        '1. search("x");',
        '1. search("x"),',
        '1. search("x").',
        '1. search("x")  # a remark (with brackets)',
        '1. search("x")  // a remark',
        '1. search("x")  <- a remark',
        '1. search("x") -> a remark',
        '1. search("x") - then read it',
        '1. search("x") – then read it',
        '1. search("x") (for the first one)',
        '1. search("x") <END_OF_PLAN>',
        '1. search("x")<|im_end|>',
    ],
)
def test_a_call_may_be_written_in_many_ways(line):
    plan = parse(line, "llmcompiler")
    assert [(s.id, s.tool, s.args) for s in plan.steps] == [("1", "search", {"0": "x"})]
    assert plan.findings == []


def test_names_may_have_dots_dashes_and_escaped_underscores():
    text = r"1. Hotels.Search-one() 2. net\_income() 3. größe()"
    assert [s.tool for s in parse(text, "llmcompiler").steps] == [
        "Hotels.Search-one",
        "net_income",
        "größe",
    ]


def test_several_calls_may_stand_on_one_line():
    assert shape('1. f("a") 2. f("b"); 3. f("c"), and 4. f("d")\n5. g("$1")') == list("12345")


def test_a_thought_is_the_note_of_the_next_step():
    text = "Thought: first (of all)\n1. f()\n2. g()\n**Thought:** then\nso be it\n3. h()"
    assert [step.note for step in parse(text, "llmcompiler").steps] == [
        "first (of all)",
        "",
        "then",
    ]


def test_a_numbered_thought_is_no_lost_call():
    assert faults("1. f()\n2. Thought: that is all\n3. join()") == []


@pytest.mark.parametrize(
    "end",
    [
        "join()",
        "join",
        "10. join",
        "10. join()",
        "3. join() - then report",
        "join ()",
        "3. join($1, $2)",
        "- join()",
        "**3. join()**",
        "3. Join()",
        "3. join the two results",
        "<END_OF_PLAN>",
        "That is all. <END_OF_PLAN>",
        "```\n<END_OF_PLAN>",
    ],
)
def test_what_follows_the_end_is_ignored(end):
    assert shape(f"1. f()\n2. g()\n{end}\n4. h()\n5. i(") == ["1", "2"]
    assert faults(f"1. f()\n2. g()\n{end}\n4. h()\n5. i(") == []


def test_the_end_may_be_missing_and_may_follow_on_the_same_line():
    assert shape("1. f()") == shape("1. f() join()") == shape("1. f() 2. join()") == ["1"]


def test_a_tool_whose_name_begins_with_join_is_no_end():
    assert shape('1. join_texts("a")\n2. f()') == ["1", "2"]


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", {}),
        ("  ", {}),
        ("1, -2.5, +3, 1e3, .5, 1_000", by_place(1, -2.5, 3, 1000.0, 0.5, 1000)),
        ("True, false, None, null", by_place(True, False, None, None)),
        ("[1, [2, 3]], (4, 5), (6)", {"0": [1, [2, 3]], "1": [4, 5], "2": 6}),
        ("(7,)", {"0": [7]}),
        ("[]", {"0": []}),
        ("{'a': {'b': [1]}, c: 2}", {"0": {"a": {"b": [1]}, "c": 2}}),
        ('q="x", n = 3,', {"q": "x", "n": 3}),
        ('q: "x", "n": 3', {"q": "x", "n": 3}),
        ('"a", q="x"', {"0": "a", "q": "x"}),
        ('user-id="x"', {"user-id": "x"}),
        ("'it''s'", None),
        ('"a(b) [c] {d}, e: f"', {"0": "a(b) [c] {d}, e: f"}),
        ('"one\ntwo"', {"0": "one\ntwo"}),
        (r'"tab\t, \"quoted\", \\, \u00e9, \ud83d\ude00"', {"0": 'tab\t, "quoted", \\, é, 😀'}),
        (r"'net\_income C:\progra'", {"0": r"net\_income C:\progra"}),
        (r"r'C:\new'", {"0": r"C:\new"}),
        ('"""He said "hi", ok"""', {"0": 'He said "hi", ok'}),
        ('""', {"0": ""}),
        ("\"\", ''", {"0": "", "1": ""}),
        ("“a”, ‘b’, “it’s”", {"0": "a", "1": "b", "2": "it’s"}),
        ('"He said "hi" there"', {"0": 'He said "hi" there'}),
        ("'Peter O'Meara'", {"0": "Peter O'Meara"}),
        ("'the dogs' tails'", {"0": "the dogs' tails"}),
        ("“He said “hi” there”", {"0": "He said “hi” there"}),
        ('"a;b" ', {"0": "a;b"}),
    ],
)
def test_arguments_are_python_or_json(text, args):
    if args is None:
        assert shape(f"1. f({text})") == ["[1]"]
    else:
        assert args_of(f"1. f({text})") == args


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Mount Everest", "Mount Everest"),
        ("Christ the Redeemer (statue)", "Christ the Redeemer (statue)"),
        ("16 - 3", "16 - 3"),
        ("(16 - 3) * 2", "(16 - 3) * 2"),
        ("Peter O'Meara", "Peter O'Meara"),
        ("max(1, 2)", "max(1, 2)"),
        ("C # major", "C # major"),
    ],
)
def test_text_without_quotes_is_text_with_a_warning(text, value):
    plan = parse(f"1. f({text})", "llmcompiler")
    assert plan.steps[0].args == {"0": value}
    assert [(f.code, f.severity, f.column) for f in plan.findings] == [
        ("unquoted-text", "warning", 6)
    ]


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ('"a" "b"', "bad-arguments", 6),
        ('"a" + $1, "b"', "bad-arguments", 6),
        ('"a" % "b"', "bad-arguments", 6),
        ('"a".upper()', "unclosed-call", 1),
        ('"He said "hi", ok"', "bad-arguments", None),
        ('f"{$1} x"', "bad-arguments", 7),
        ('search("a")', "bad-arguments", 6),
        ("1, search(2)", "bad-arguments", 9),
        ("[1, 2) ", "bad-arguments", 6),
        ("1,,2", "bad-arguments", 8),
        (",", "bad-arguments", 6),
        ("{1, 2}", "bad-arguments", 7),
        ("[x for x in (1, 2)]", "bad-arguments", 7),
        ("[1, 2][0]", "bad-arguments", 6),
        ('q="a", q="b"', "duplicate-key", 13),
        ('{"a": 1, "a": 2}', "duplicate-key", 15),
        ("NaN", "bad-number", 6),
        ("[1, -Infinity]", "bad-number", 10),
        ("1e999", "bad-number", 6),
        ("9" * 5000, "bad-number", 6),
        ("1,000", "bad-number", 8),
        ('"\\ud800"', "bad-text", 6),
        ('"\ud800"', "bad-text", 6),
    ],
)
def test_what_cannot_be_read_is_a_hole_and_the_stream_goes_on(text, code, column):
    plan = parse(f'0. g()\n1. f({text})\n2. h("x")', "llmcompiler")
    assert [type(entry) for entry in plan.entries] == [Step, Hole, Step]
    [first, *_] = plan.holes[0].findings
    assert (first.code, first.line, first.step) == (code, 2, "1")
    assert column in (None, first.column)
    assert first.hint
    assert first.snippet.startswith("1. f(")
    assert len(first.snippet) <= 120


def test_a_reference_inside_what_looks_like_a_node_is_refused():
    assert faults('1. f()\n2. g({"$ref": "$1"})') == [("bad-node", 2, "2")]


def test_depth_is_bounded():
    assert args_of("1. f(" + "[" * 64 + "]" * 64 + ")")
    assert faults("1. f(" + "[" * 65 + "]" * 65 + ")") == [("nesting-too-deep", 1, "1")]
    deep = "[" * 100_000
    assert shape(f"1. f({deep}{']' * 100_000})\n2. g()") == ["[1]", "2"]
    assert shape(f"1. f({deep})\n2. g()") == ["[1]", "2"]


# -- calls that were never closed, lines that are no calls ----------------------------------------


@pytest.mark.parametrize(
    "broken", ['1. f("x', '1. f("x"', "1. f([1, 2", "1. f({'a': 'b'", "1. f(“x"]
)
def test_the_next_line_ends_a_call_that_was_never_closed(broken):
    plan = parse(f'{broken}\n2. g("y")\n3. h("$2")', "llmcompiler")
    assert [entry.id for entry in plan.entries] == ["1", "2", "3"]
    assert isinstance(plan["1"], Hole)
    assert plan["1"].text == broken
    assert [(f.code, f.line, f.column, f.snippet) for f in plan.findings] == [
        ("unclosed-call", 1, 1, broken)
    ]


def test_an_end_ends_a_call_that_was_never_closed():
    assert shape('1. f("x\njoin()\n') == ["[1]"]
    assert shape('1. f("x\n2. join()\n') == ["[1]"]


def test_a_text_may_have_lines_that_begin_with_numbers():
    text = '1. llm("Do this:\n2. eat (a lot)\n7. sleep(well)\n1. f(x)", 3)'
    assert args_of(text)["1"] == 3


def test_a_triple_quoted_text_may_have_calls_in_it():
    assert args_of('1. run("""\n2. f()\n""")') == {"0": "\n2. f()\n"}


def test_a_text_that_ends_inside_a_call_leaves_a_hole():
    assert faults('1. f()\n2. g("x') == [("unclosed-call", 2, "2")]


def test_a_numbered_line_that_is_no_call_is_a_hole_if_its_call_never_comes():
    text = '1. search("x")\n2. search Vietnam\n3. math("a * 2", ["$2"])'
    assert shape(text) == ["1", "[2]", "3"]
    assert steps_of(parse(text, "llmcompiler"))[-1] == ("3", "math", {"2"})
    assert faults(text) == [("bad-call", 2, "2")]
    assert shape("1. search Vietnam\n2. search Laos") == ["[1]", "[2]"]


def test_a_numbered_line_is_prose_if_its_call_comes_later():
    text = '1. First I look it up.\n2. Then I compare.\n\n1. search("x")\n2. compare("$1")'
    assert shape(text) == ["1", "2"]
    assert faults(text) == [("prose-line", 1, "1"), ("prose-line", 2, "2")]


def test_a_measure_or_a_year_is_no_lost_call():
    assert faults("The heights:\n8848.86 m and\n2024: the year\n1. f()") == []


def test_a_number_alone_is_no_plan():
    plan = parse("1.", "llmcompiler")
    assert (plan.entries, [f.code for f in plan.findings]) == ([], ["empty-plan"])


@pytest.mark.parametrize("label", ["", "- ", "a. ", "1.1. ", "E2 = ", "x = ", "b) "])
def test_a_call_without_a_number_is_named(label):
    assert faults(f'1. f()\n{label}search("x")\n') == [("bad-call", 2, "")]


def test_prose_with_brackets_is_prose():
    text = "The plan (in 3 parts) uses search(query) and math(problem).\n- search(query)\n1. f(2)"
    assert (shape(text), faults(text)) == (["1"], [])
    assert faults("1. Everest (29,032 ft)\n1. f(2)") == [("prose-line", 1, "1")]


@pytest.mark.parametrize(
    "rest",
    [
        *(" + 2", "[0]", ".x", " * 3", " / 2", "**2", " - 1", " - g(1)", " == 2", " | g(1)"),
        *(", g(2)", " and g(2)", " or $1", " if 1 else 2", " for x in [1]", " % 2", "(2)"),
    ],
)
def test_what_goes_on_after_a_call_changes_its_meaning(rest):
    text = f"1. f(1){rest}\n2. h()"
    assert shape(text) == ["[1]", "2"]
    [finding] = parse(text, "llmcompiler").findings
    assert (finding.code, finding.line, finding.column) == ("continued-call", 1, 8)


def test_other_text_after_a_call_is_a_warning():
    assert faults("1. f(1) and so on\n2. g()") == [("trailing-text", 1, "1")]


# -- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"$1"', Ref("1")),
        ('"${1}"', Ref("1")),
        ("$1", Ref("1")),
        ("${1}", Ref("1")),
        ("[$1]", [Ref("1")]),
        ('"$1.price"', Ref("1", ("price",))),
        ('$1.a[0]["k l"].b', Ref("1", ("a", 0, "k l", "b"))),
        ("\"$1['k']\"", Ref("1", ("k",))),
        ('"${1.a}"', Ref("1", ("a",))),
        ('"${1}.a"', Ref("1", ("a",))),
        ('{"k": ["$1"]}', {"k": [Ref("1")]}),
        ('"of $1"', Template(("of ", Ref("1")))),
        ('" $1"', Template((" ", Ref("1")))),
        ('"$1, $10."', Template((Ref("1"), ", ", Ref("10"), "."))),
        ('"$1$10"', Template((Ref("1"), Ref("10")))),
        ('"${1}0"', Template((Ref("1"), "0"))),
        ('"see $1. Then"', Template(("see ", Ref("1"), ". Then"))),
        ('"$1[note]"', Template((Ref("1"), "[note]"))),
        ('"$1,000"', "$1,000"),
        ('"$1.50"', "$1.50"),
        ('"$100"', "$100"),
        ('"$12"', "$12"),
        ('"\\u00241"', "$1"),
        ('"{0.__class__} %s"', "{0.__class__} %s"),
        ('"$x $ ${y}"', "$x $ ${y}"),
        ("$7", Ref("7")),
        ("${7}.a", Ref("7", ("a",))),
    ],
)
def test_a_reference_is_a_node_and_money_is_text(text, value):
    assert args_of(f"1. f()\n10. g()\n11. h({text})") == {"0": value}


def test_a_number_behind_a_backslash_is_text_with_a_warning():
    assert args_of('1. f()\n2. g("\\$1 and \\$5")') == {"0": "$1 and $5"}
    assert faults('1. f()\n2. g("\\$1 and \\$5")') == [("unknown-reference", 2, "2")]


def test_keys_are_never_references():
    assert args_of('1. f()\n2. g({"$1": "$1"})') == {"0": {"$1": Ref("1")}}


def test_references_in_text_without_quotes_make_a_template():
    plan = parse("1. f()\n2. calc($1 * 2)", "llmcompiler")
    assert plan.steps[1].args == {"0": Template((Ref("1"), " * 2"))}
    assert [f.code for f in plan.findings] == ["unquoted-text"]


def test_a_hole_is_a_step_that_can_be_referred_to():
    assert steps_of(parse('1. f(NaN)\n2. g("$1")', "llmcompiler")) == [("2", "g", {"1"})]


def test_a_reference_to_a_later_step_is_found_when_the_text_has_ended():
    assert faults('1. f("$3 and $4")\n2. g("$3")\n3. h()') == [
        ("forward-reference", 1, "1"),
        ("forward-reference", 2, "2"),
    ]


def test_a_reference_to_the_step_itself_is_a_circle():
    assert faults('1. f()\n2. g("x $2")') == [("cyclic-reference", 2, "2")]


def test_a_reference_to_nothing_is_a_warning_where_nothing_else_can_be_meant():
    assert faults('1. f("$7")\n2. g("costs $7")\n3. h("a ${8} b")') == [
        ("unknown-reference", 1, "1"),
        ("unknown-reference", 3, "3"),
    ]


def test_ids_may_have_gaps_and_begin_anywhere():
    assert shape('7. f()\n9. g("$7")\n30. h("$9")\n31. join()') == ["7", "9", "30"]


def test_a_second_step_of_an_id_is_given_back_too():
    assert [entry.id for entry in parse("1. f()\n1. g()", "llmcompiler").entries] == ["1", "1"]


def test_a_later_round_may_refer_to_earlier_ones():
    read = reader(round=2, earlier={"1": "1", "2": "2"})
    given = read.feed('1. f("$2")\n3. g("$1 and $2")\n2. h()\n') + read.close()
    steps = [piece for piece in given if isinstance(piece, Step)]
    assert [step.id for step in steps] == ["2.1", "2.3", "2.2"]
    assert steps[0].args == {"0": Ref("2")}
    assert steps[1].args == {"0": Template((Ref("2.1"), " and ", Ref("2")))}
    assert {f.code for f in given if not isinstance(f, Step)} == {"earlier-round"}


# -- the published implementation's defects -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("f([1, 2])", {"0": [1, 2]}),  # 14: one list is one argument
        ('f("price $10 now", $1)', {"0": "price $10 now", "1": Ref("1")}),  # 9, 10, 13
        ('f({"a": "$1"})', {"0": {"a": Ref("1")}}),  # 12: placeholders in objects
        ('f($1, "x")', {"0": Ref("1"), "1": "x"}),  # 13: a bare reference among arguments
        ('f(q="x", n=3)', {"q": "x", "n": 3}),  # 14: keywords
        ('f("a\nb")', {"0": "a\nb"}),  # 15: a newline in an argument
        ('f("Paris (France")  # it (is)', {"0": "Paris (France"}),  # 16, 23: brackets
    ],
)
def test_defects_of_arguments(text, args):
    assert args_of(f"1. g()\n2. {text}") == args


def test_defect_17_chunks_with_several_lines_lose_nothing():
    read = reader()
    given = read.feed('1. f("hello ') + read.feed('world")\n2. g()\n3. h()\n4. i($3)\n')
    assert [step.id for step in given] == ["1", "2", "3", "4"]
    assert given[0].args == {"0": "hello world"}


def test_defect_20_an_empty_plan_is_found():
    assert [f.code for f in parse("1. join()", "llmcompiler").findings] == ["empty-plan"]


# -- recognising ----------------------------------------------------------------------------------


def test_a_numbered_call_is_what_the_dialect_looks_like():
    assert likely('text\n\n1. f("x")') > likely('[{"name": "f"}]') == 0
    assert likely("1. Research it (well)\n2. Write it down") == 0
    assert likely("#E1 = search[x]") == likely('x = search("a")') == likely("") == 0


# -- what the join says ---------------------------------------------------------------------------


def test_a_join_with_a_text_that_holds_a_reference_says_the_answer():
    plan = parse('1. f()\n2. join("It is $1.")', "llmcompiler")
    assert plan.output == Template(("It is ", Ref("1"), "."))


def test_a_join_with_a_quoted_reference_alone_says_the_value():
    assert parse('1. f()\n2. join("$1.price")', "llmcompiler").output == Ref("1", ("price",))


@pytest.mark.parametrize(
    "join", ["join()", "join($1)", "join($1, $2)", 'join("done")', 'join("a", "$1")', 'join("$9")']
)
def test_every_other_join_leaves_the_answer_to_the_joiner(join):
    plan = parse(f"1. f()\n2. g()\n3. {join}", "llmcompiler")
    assert (plan.output, len(plan.steps), plan.holes) == (None, 2, [])


def test_a_join_that_was_never_closed_ends_the_plan_all_the_same():
    plan = parse('1. f()\n2. join("It is $1', "llmcompiler")
    assert (plan.output, steps_of(plan)) == (None, steps_of(parse("1. f()", "llmcompiler")))


def test_an_input_is_a_node_bare_and_inside_a_text():
    plan = parse('1. f($input.mail, "re: ${input.mail.subject}")', "llmcompiler")
    assert plan.steps[0].args == by_place(
        Input("mail"), Template(("re: ", Input("mail", ("subject",))))
    )


def test_an_amount_without_quotes_is_no_reference_and_no_two_numbers_in_silence():
    (finding,) = parse('1. search("a")\n2. calc($1,200)', "llmcompiler").findings
    assert (finding.code, finding.severity, finding.line, finding.column) == (
        *("split-number", "error"),
        *(2, 9),
    )
    plan = parse("1. calc(1,200)\n2. calc([1,500, 2,300.50])", "llmcompiler")
    assert [step.args for step in plan.steps] == [{"0": 1, "1": 200}, {"0": [1, 500, 2, 300.5]}]
    assert [(f.code, f.severity, f.line) for f in plan.findings] == [
        ("split-number", "warning", 1),
        *[("split-number", "warning", 2)] * 2,
    ]
    assert parse("1. f(1, 200)\n2. f([100,200,300])\n3. f($1, 200)", "llmcompiler").findings == []


def test_a_call_after_a_line_break_tag_is_not_lost():
    plan = parse('1. search("a")<br>2. calc("$1")', "llmcompiler")
    assert [step.id for step in plan.steps] == ["1", "2"]
    assert plan.steps[1].args == {"0": Ref("1")}
