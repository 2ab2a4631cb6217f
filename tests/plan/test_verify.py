"""What the verifier says about a plan: every rule, where it points, and what it lets pass."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.plan import rules
from heddle.plan.case import NESTING
from heddle.plan.findings import CODES, Finding
from heddle.plan.ir import (
    MISSING,
    Choose,
    Hole,
    Input,
    Item,
    Origin,
    Plan,
    Ref,
    Step,
    Template,
    When,
)
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.plan.verify import Verifier, check
from heddle.tools.builtin.compute import COMPUTE_SPEC
from heddle.tools.builtin.expand import EXPAND_SPEC

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def tool(name, result=None, required=None, **properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return ToolSpec(name, parameters=parameters, result=result, effect="read")


QUOTE = {"type": "object", "properties": {"price": NUMBER, "name": TEXT}}
TOOLS = {
    spec.name: spec
    for spec in (
        tool("price", NUMBER, ticker=TEXT),
        tool("quote", QUOTE, ticker=TEXT),
        tool("double", NUMBER, x=NUMBER),
        tool("add", NUMBER, a=NUMBER, b=NUMBER),
        tool("say", TEXT, required=["text"], text=TEXT, loud=FLAG),
        tool("rich", FLAG, x=NUMBER),
        tool("total", NUMBER, items={"type": "array", "items": NUMBER}),
        tool("order", None, side={"enum": ["buy", "sell"]}),
        tool("anything", None, required=[], x={}),
        ToolSpec("open", parameters={"type": "object"}),
    )
}


def price(id="1", ticker="AAPL", **fields):
    return Step(id, "price", {"ticker": ticker}, **fields)


def found(*steps, **options):
    output = options.pop("output", None)
    return check(Plan(steps, output=output), TOOLS, **options)


def codes(*steps, **options):
    return [finding.code for finding in found(*steps, **options)]


def only(*steps, **options):
    findings = found(*steps, **options)
    assert len(findings) == 1, [finding.message for finding in findings]
    return findings[0]


def test_a_clean_plan_has_no_findings():
    plan = [
        price("1"),
        price("2", "MSFT"),
        Step("3", "add", {"a": Ref("1"), "b": Ref("2")}),
        Step("4", "rich", {"x": Ref("3")}),
        Step("5", "say", {"text": Template(("sum ", Ref("3")))}, when=When(Ref("4"))),
        Step("6", "total", {"items": [Ref("1"), 2.5, Ref("3")]}, after=("5",)),
        Step("7", "say", {"text": Input("mail")}, reads=("inbox",), writes=("log",)),
    ]
    assert found(*plan, output=Template(("it is ", Ref("6")))) == []


# -- the step ------------------------------------------------------------------------------------


def test_an_unknown_tool_names_the_nearest():
    finding = only(Step("1", "prize", {"ticker": "A"}))
    assert finding.code == "unknown-tool"
    assert finding.message == 'step 1: there is no tool "prize"'
    assert finding.hint == 'did you mean "price"?'


def test_an_unknown_tool_that_is_like_no_other_lists_what_there_is():
    assert only(Step("1", "teleport")).hint.startswith("the tools are: price, quote, double")
    assert check(Plan([Step("1", "x")]), {})[0].hint == "the tools are: none"


def test_a_tool_s_name_in_another_case_is_suggested():
    assert only(Step("1", "PRICE", {"ticker": "A"})).hint == 'did you mean "price"?'


def test_an_id_given_twice():
    finding = only(price("1"), price("1", "MSFT"))
    assert (finding.code, finding.step) == ("duplicate-id", "1")


def test_a_second_step_of_an_id_may_name_the_first_without_being_called_a_circle():
    assert codes(price("1"), Step("1", "double", {"x": Ref("1")})) == ["duplicate-id"]


@pytest.mark.parametrize("id", ["", "a" * 65, "a b", "é", "1\n", "$1", "\ud800"])
def test_an_id_that_no_dialect_can_refer_to(id):
    assert codes(price(id)) == ["bad-id"]


@pytest.mark.parametrize("id", ["1", "E1", "2.search-a:b_c", "a" * 64])
def test_an_id_that_can_be_referred_to(id):
    assert codes(price(id)) == []


def test_a_map_can_be_run():
    assert codes(Step("1", "double", {"x": Item()}, over=[1, 2], bound=2)) == []


# -- arguments -----------------------------------------------------------------------------------


def test_a_missing_argument():
    finding = only(Step("3", "price"))
    assert finding.code == "missing-argument"
    assert finding.message == 'step 3: price() needs an argument "ticker"'


def test_an_argument_that_need_not_be_given():
    assert codes(Step("1", "say", {"text": "a"})) == []


def test_an_unknown_argument_names_the_nearest():
    finding = only(Step("3", "say", {"text": "a", "laud": True}))
    assert finding.code == "unknown-argument"
    assert finding.message == 'step 3: say() has no argument "laud"'
    assert finding.hint == 'did you mean "loud"?'


def test_a_tool_that_does_not_list_its_arguments_takes_any():
    assert codes(Step("1", "open", {"x": 1, "y": [2]})) == []


def test_positional_arguments_are_named_in_the_tool_s_order():
    verifier = Verifier(TOOLS)
    assert verifier.named(Step("1", "add", {"0": 1, "1": 2})).args == {"a": 1, "b": 2}
    assert verifier.named(Step("1", "add", {"0": 1, "b": 2})).args == {"a": 1, "b": 2}
    assert codes(Step("1", "add", {"0": 1, "1": "x"})) == ["wrong-type"]


@pytest.mark.parametrize(
    "step",
    [price(), Step("1", "nobody", {"0": 1}), Step("1", "price"), Step("1", "price", {"9": 1})],
)
def test_a_step_with_nothing_to_name_is_given_back_itself(step):
    assert Verifier(TOOLS).named(step) is step


def test_too_many_arguments():
    finding = only(Step("1", "price", {"0": "A", "1": 2, "2": 3}))
    assert finding.code == "too-many-arguments"
    assert finding.message == "step 1: price() takes 1 argument, got 3"


def test_an_argument_by_position_and_by_name():
    finding = only(Step("1", "price", {"0": "A", "ticker": "B"}))
    assert finding.code == "repeated-argument"
    assert 'price() is given "ticker" by position and by name' in finding.message


def test_a_literal_of_the_wrong_type_says_how_to_write_it():
    finding = only(Step("1", "double", {"x": "3"}))
    assert finding.code == "wrong-type"
    assert finding.message == "step 1: double() argument \"x\" must be a number, got text '3'"
    assert finding.hint == "write 3 without quotes"
    assert only(price("1", 5)).hint == 'write "5", in quotes'
    assert only(Step("1", "order", {"side": "Buy"})).hint == 'did you mean "buy"?'


@pytest.mark.parametrize(
    ("args", "said", "hint"),
    [
        ({"0": "a +", "1": {"a": 1}}, "invalid syntax", "write numbers"),
        ({"expression": "a + b", "values": {"a": 1}}, "'b' is not known here (line 1, column 5",
         'give it in "values"'),
        ({"expression": "a.x", "values": {"a": 1}}, "an attribute is not", "take a part"),
        ({"expression": "open('x')"}, "there is no function 'open'", "there are:"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_evaluated_is_found_before_it_runs(args, said, hint):
    (finding,) = check(Plan([Step("1", "compute", args)]), {"compute": COMPUTE_SPEC})
    assert finding.code == "bad-expression"
    assert said in finding.message
    assert finding.hint.startswith(hint)


def test_expressions_that_are_not_known_yet_and_those_of_another_compute_are_let_pass():
    known = [
        {"expression": "a", "values": {"a": Ref("0")}},
        {"expression": "a", "values": Input("x")},
        {"expression": Input("x")},
    ]
    for args in known:
        step = Step("1", "compute", args)
        plan = Plan([Step("0", "compute", {"expression": "1"}), step])
        assert check(plan, {"compute": COMPUTE_SPEC}) == []
    own = {"compute": tool("compute", NUMBER, expression=TEXT)}
    assert check(Plan([Step("1", "compute", {"expression": "2 plus 2"})]), own) == []


def test_a_literal_inside_a_list_is_judged_at_its_place():
    finding = only(price(), Step("2", "total", {"items": [1, Ref("1"), "abc"]}))
    assert (
        finding.message == "step 2: total() argument \"items[2]\" must be a number, got text 'abc'"
    )


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, pytest.param(10**5000, id="long")]
)
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: [{"a": n}]])
def test_a_number_that_json_cannot_hold(number, wrap):
    assert codes(Step("1", "anything", {"x": wrap(number)})) == ["bad-number"]
    assert codes(price("1", default=wrap(number))) == ["bad-number"]


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}, Template(("\ud800",))])
def test_text_that_is_half_a_character(value):
    finding = only(Step("1", "anything", {"x": value}))
    assert finding.code == "bad-text"
    assert finding.message.isprintable()


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", {1: "x"}, [object()]])
def test_a_value_that_is_not_json(value):
    assert codes(Step("1", "anything", {"x": value})) == ["wrong-type"]


# -- references ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"args": {"x": Ref("9")}},
        {"args": {"x": [{"a": Ref("9")}]}},
        {"args": {"x": Template(("a", Ref("9")))}},
        {"args": {"x": Choose((Ref("1"), Ref("9")))}},
        {"after": ("9",)},
        {"sees": ("9",)},
        {"when": When(Ref("9"))},
    ],
)
def test_a_reference_to_no_step_wherever_it_stands(fields):
    finding = only(Step("1", "rich", {"x": 1}), Step("2", "anything", **fields))
    assert finding.code == "unknown-reference"
    assert finding.message == "step 2: there is no step 9 to refer to"
    assert finding.hint == "refer to a step before it; the last one is 1"


def test_a_reference_to_a_later_step():
    finding = only(Step("1", "double", {"x": Ref("2")}), Step("2", "double", {"x": 1}))
    assert (finding.code, finding.step) == ("forward-reference", "1")
    assert finding.message == "step 1: it refers to step 2, which comes later"


def test_a_reference_to_itself():
    assert codes(Step("1", "double", {"x": Ref("1")})) == ["cyclic-reference"]
    assert codes(Step("1", "double", {"x": 1}, after=("1",))) == ["cyclic-reference"]


def test_a_circle_is_named_once_with_its_steps_in_the_order_of_reference():
    finding = only(
        Step("a", "double", {"x": Ref("c")}),
        Step("b", "double", {"x": 1}, after=("a",)),
        Step("c", "double", {"x": Ref("b")}),
    )
    assert finding.code == "cyclic-reference"
    assert finding.message.endswith("in a circle: a → c → b → a")


def test_two_circles_and_a_forward_reference_between_them_are_three_faults():
    circle = [Step(name, "double", {"x": Ref(other)}) for name, other in (("1", "2"), ("2", "1"))]
    other = [Step(name, "double", {"x": Ref(to)}) for name, to in (("4", "5"), ("5", "4"))]
    between = Step("3", "double", {"x": Ref("4")})
    assert codes(*circle, between, *other) == [
        "cyclic-reference",
        "forward-reference",
        "cyclic-reference",
    ]


def test_a_result_s_part_that_is_not_declared():
    finding = only(
        Step("1", "quote", {"ticker": "A"}), Step("2", "double", {"x": Ref("1", ("prc",))})
    )
    assert finding.code == "unknown-field"
    assert 'it has no "prc"; it has "price", "name"' in finding.message


def test_the_parts_of_an_undeclared_result_are_not_judged():
    first = Step("1", "order", {"side": "buy"})
    assert codes(first, Step("2", "double", {"x": Ref("1", ("a", 0))})) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Step("1", "say", {"text": "3"}), {"x": Ref("1")}),
        (Step("1", "quote", {"ticker": "A"}), {"x": Ref("1", ("name",))}),
        (price(), {"x": Template(("", Ref("1")))}),
        (Step("1", "say", {"text": "3"}), {"x": Choose((Ref("1"),))}),
        (Step("1", "say", {"text": "3"}, default=None), {"x": Ref("1")}),
    ],
)
def test_a_result_that_can_never_be_the_number_that_is_wanted(first, second):
    assert codes(first, Step("2", "double", second)) == ["reference-type"]


def test_a_default_widens_what_a_step_may_give():
    first = Step("1", "say", {"text": "3"}, default=0)
    assert codes(first, Step("2", "double", {"x": Ref("1")})) == []


def test_a_map_gives_a_list_of_its_tool_s_results():
    mapped = Step("1", "price", {"ticker": Item()}, over=["A", "B"])
    total = Step("2", "total", {"items": Ref("1")})
    double = Step("3", "double", {"x": Ref("1")})
    one = Step("4", "double", {"x": Ref("1", (0,))})
    assert codes(mapped, total, one, runnable_only=False) == []
    assert codes(mapped, double, runnable_only=False) == ["reference-type"]


def test_the_element_of_a_map_has_a_type():
    texts = tool("names", {"type": "array", "items": TEXT})
    plan = Plan([Step("1", "names"), Step("2", "double", {"x": Item()}, over=Ref("1"))])
    findings = check(plan, {**TOOLS, "names": texts}, runnable_only=False)
    assert [finding.code for finding in findings] == ["reference-type"]


def test_a_guard_must_be_able_to_be_true_or_false():
    finding = only(price(), Step("2", "say", {"text": "a"}, when=When(Ref("1"))))
    assert finding.code == "reference-type"
    assert '"when" cannot take the result of step 1: it is a number' in finding.message


def test_an_input_that_was_not_passed():
    step = Step("1", "say", {"text": Template(("a", Input("mial")))})
    assert codes(step) == [], "inputs are not known, so not checked"
    assert only(step, inputs=["mail"]).hint == 'did you mean "mail"?'
    assert codes(step, inputs=[]) == ["unknown-input"]


def test_an_element_outside_of_a_map():
    assert codes(Step("1", "say", {"text": Item()})) == ["item-outside-map"]


def test_results_of_earlier_rounds_may_be_used_and_are_typed():
    step = Step("2.1", "double", {"x": Ref("1")})
    assert codes(step) == ["unknown-reference"]
    assert codes(step, earlier={"1": None}) == []
    assert codes(step, earlier={"1": NUMBER}) == []
    assert codes(step, earlier={"1": TEXT}) == ["reference-type"]


# -- the plan ------------------------------------------------------------------------------------


def test_a_plan_without_steps():
    assert codes() == ["empty-plan"]


def test_a_plan_whose_text_could_not_be_read_says_only_that():
    plan = Plan()
    plan.findings.append(Finding.at(Origin(1, 1), "bad-json", "no"))
    assert [finding.code for finding in check(plan, TOOLS)] == ["bad-json"]


def test_the_output_is_checked_like_an_argument():
    assert codes(price(), output=Ref("2")) == ["unknown-reference"]
    assert codes(price(), output=Ref("1", ("a",))) == ["unknown-field"]
    assert codes(price(), output=[Item(), math.nan]) == ["bad-number", "item-outside-map"]
    assert codes(price(), output=Input("x"), inputs=[]) == ["unknown-input"]


def test_a_hole_keeps_its_findings_and_its_id_is_known():
    fault = Finding.at(Origin(1, 4), "bad-call", "no")
    plan = Plan()
    plan.add(Hole("1", "???", (fault,), Origin(1, 1)))
    plan.findings.append(fault)
    plan.add(Step("2", "double", {"x": Ref("1")}, origin=Origin(2, 1)))
    assert check(plan, TOOLS) == [fault]


def test_findings_come_in_the_order_of_the_text():
    plan = Plan([price("1", 5, origin=Origin(3, 1)), price("2", 6, origin=Origin(1, 1))])
    plan.findings.append(Finding.at(Origin(2, 1), "trailing-text", "ignored"))
    assert [(item.line, item.column) for item in check(plan, TOOLS)] == [(1, 1), (2, 1), (3, 1)]


def test_a_plan_s_own_findings_are_not_said_twice():
    plan = Plan([price("1", 5)])
    plan.findings += check(plan, TOOLS)
    assert len(check(plan, TOOLS)) == 1


# -- while the plan arrives ----------------------------------------------------------------------


def test_a_step_is_checked_against_those_before_it_only():
    verifier = Verifier(TOOLS)
    early = verifier.step(Step("1", "double", {"x": Ref("2")}))
    assert [finding.code for finding in early] == ["unknown-reference"]
    assert verifier.step(Step("2", "double", {"x": Ref("1")})) == []


def test_a_faulty_step_s_id_is_known_afterwards():
    verifier = Verifier(TOOLS)
    assert verifier.step(Step("1", "nobody"))
    assert verifier.step(Step("2", "double", {"x": Ref("1")})) == []


def test_a_hole_is_filled_by_a_step_that_refers_to_earlier_steps_only():
    verifier = Verifier(TOOLS)
    verifier.step(price("1"))
    verifier.hole(Hole("2", "?", ()))
    verifier.step(Step("3", "double", {"x": Ref("2")}))
    late = verifier.step(Step("2", "double", {"x": Ref("3")}))
    assert [finding.code for finding in late] == ["forward-reference"]
    again = Verifier(TOOLS)
    again.step(price("1"))
    again.hole(Hole("2", "?", ()))
    assert again.step(Step("2", "double", {"x": Ref("1")})) == []


def test_a_step_that_became_a_hole_may_be_given_again():
    verifier = Verifier(TOOLS)
    verifier.step(Step("1", "say", {"text": "a"}))
    verifier.hole(Hole("1", "?", ()))
    assert verifier.step(price("1")) == []
    assert verifier.step(Step("2", "double", {"x": Ref("1")})) == []


# -- bounds --------------------------------------------------------------------------------------


def chain(count):
    return [Step(str(n), "double", {"x": Ref(str(n - 1)) if n else 1}) for n in range(count)]


def test_no_bounds_hold_for_a_program():
    assert codes(*chain(3000)) == []


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("code", "limits", "fits", "exceeds"),
    [
        ("too-many-steps", Limits(max_steps=2), [price("1"), price("2")], [price("3"), price("4")]),
        ("too-deep", Limits(max_depth=2), chain(2), chain(5)[2:]),
        (
            "too-many-references",
            Limits(max_references=2),
            [price(), Step("2", "total", {"items": [Ref("1")] * 2})],
            [Step("3", "total", {"items": [Ref("1")] * 3})],
        ),
        (
            "literal-too-large",
            Limits(max_literal_bytes=12),
            [Step("1", "anything", {"x": "é" * 5})],
            [Step("2", "anything", {"x": "é" * 6})],
        ),
        (
            "nesting-too-deep",
            Limits(max_nesting=3),
            [Step("1", "anything", {"x": nested(3)})],
            [Step("2", "anything", {"x": nested(4)})],
        ),
        (
            "too-wide",
            Limits(max_width=2),
            [Step("1", "double", {"x": Item()}, over=[1, 2], bound=2)],
            [Step("2", "double", {"x": Item()}, over=Ref("1"), bound=3)],
        ),
    ],
)
def test_a_bound_is_kept_to_the_last_and_its_excess_named_once(code, limits, fits, exceeds):
    assert codes(*fits, limits=limits, runnable_only=False) == []
    assert codes(*fits, *exceeds, limits=limits, runnable_only=False) == [code]


def test_a_list_to_map_over_that_is_longer_than_its_own_bound():
    step = Step("1", "double", {"x": Item()}, over=[1, 2, 3], bound=2)
    assert codes(step, runnable_only=False) == ["too-wide"]


def test_what_the_engine_cannot_carry_is_refused_from_everybody():
    assert codes(Step("1", "anything", {"x": nested(NESTING)})) == []
    assert codes(Step("1", "anything", {"x": nested(100_000)})) == ["nesting-too-deep"]


# -- hostile plans -------------------------------------------------------------------------------


def test_messages_are_short_and_safe_to_print():
    name = "\x1b[31m\ud800" + "x" * 100_000
    steps = [
        Step("1", name, {name: Ref(name, (name,))}),
        Step("2", "quote", {"ticker": "A", name: name}),
        Step("3", "double", {"x": Ref("2", (name,))}),
        Step("4", "say", {"text": Input(name)}, after=(name,)),
        Step(name, "double", {"x": name}),
    ]
    findings = found(*steps, inputs=[])
    assert len(findings) >= 8
    for finding in findings:
        assert finding.message.isprintable()
        assert finding.hint.isprintable()
        assert len(finding.message) + len(finding.hint) < 500


class Counting(dict):
    """A tool's schemas that count how often they are read."""

    reads = 0

    def get(self, *args):
        Counting.reads += 1
        return super().get(*args)


def test_a_tool_is_compiled_once_however_many_steps_call_it():
    spec = ToolSpec("f", parameters=Counting(properties={"x": NUMBER}))
    check(Plan([Step("1", "f", {"x": 1})]), {"f": spec})
    once, Counting.reads = Counting.reads, 0
    check(Plan([Step(str(n), "f", {"x": 1}) for n in range(500)]), {"f": spec})
    assert Counting.reads == once > 0


ids = st.sampled_from(["1", "2", "3", "4", "a b", ""])
refs = st.builds(Ref, ids, st.lists(st.sampled_from(["price", 0, "z"]), max_size=2).map(tuple))
leaves = (
    refs
    | st.just(Item())
    | st.builds(Input, st.text(max_size=2))
    | st.builds(Template, st.lists(st.text(max_size=2) | refs, max_size=2).map(tuple))
    | st.builds(Choose, st.lists(refs, min_size=1, max_size=2).map(tuple))
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3)
)
arguments = st.dictionaries(
    st.sampled_from(["x", "ticker", "text", "items", "0", "1", "00", "²"]), values, max_size=3
)
steps = st.builds(
    Step,
    ids,
    st.sampled_from([*TOOLS, "nobody"]),
    arguments,
    after=st.lists(ids, max_size=2).map(tuple),
    over=st.just(MISSING) | values,
    when=st.none() | st.builds(When, refs),
    default=st.just(MISSING) | st.none() | st.integers(),
)


@given(st.lists(steps, max_size=6), values)
def test_any_plan_is_judged_without_an_exception_and_in_known_codes(plan, output):
    findings = found(*plan, output=output, limits=Limits(max_steps=4), inputs=["a"])
    assert {finding.code for finding in findings} <= CODES.keys()
    assert len(set(findings)) == len(findings)
    assert all(finding.message for finding in findings)


@given(st.lists(steps, min_size=1, max_size=6))
def test_a_plan_is_clean_as_a_whole_exactly_when_each_step_was_when_it_came(plan):
    verifier = Verifier(TOOLS)
    early = [finding for step in plan for finding in verifier.step(step)]
    assert bool(early) is bool(found(*plan))


def leads_back(plan):
    return all(set(step.after) <= {other.id for other in plan[:n]} for n, step in enumerate(plan))


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6))
def test_exactly_the_plans_whose_edges_all_lead_back_are_clean(edges):
    plan = [
        Step(str(n), "double", {"x": 1}, after=tuple(map(str, after)))
        for n, after in enumerate(edges)
    ]
    assert (codes(*plan) == []) is leads_back(plan)


# -- the table -----------------------------------------------------------------------------------


def test_every_rule_has_a_known_code_of_its_own():
    judged = [code for code, _ in rules.STEP_RULES]
    assert len(set(judged)) == len(judged)
    assert set(judged) <= CODES.keys()


def test_a_step_may_be_tried_again_unless_it_expands_a_plan():
    assert check(Plan([Step("1", "price", {"ticker": "A"}, retry=2)]), TOOLS) == []
    found = check(Plan([Step("1", "expand", {"plan": "x"}, retry=2)]), {"expand": EXPAND_SPEC})
    assert [item.code for item in found if item.severity == "error"] == ["not-runnable"]
