"""What is written as numbered calls is read back as the same plan, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import parse
from heddle.plan.dialects.llmcompiler.dialect import write
from heddle.plan.ir import Choose, Hole, Input, Item, Plan, Ref, Step, Template, When

TRAPS = ["$1", "$2 and $1", "${1}", "$", '"', "'", "\\", "\n2. f(", ") + 1", "<END_OF_PLAN>", "“x”"]
TRAPS += [", ", "]", "$1.a", ".a", "[0]", "1", ",5", "\r\n", "\u2028", "{0.x}", "#", "// x", "`"]
names = st.text("abxyz_é", min_size=1, max_size=4).filter(lambda name: name != "join")
texts = st.lists(
    st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    max_size=4,
).map("".join)
scalars = st.none() | st.booleans() | st.integers() | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
keys = names | st.sampled_from(["a b", "x-y", "é é", "$1", "0"])


@st.composite
def plans(draw):
    """Plans whose steps have numbers and refer to earlier ones."""
    known = []
    steps = []
    for number in draw(st.lists(st.integers(0, 10**6), unique=True, max_size=4)):
        steps.append(Step(str(number), draw(names), draw(arguments(known)), note=draw(texts)))
        known.append(str(number))
    return Plan(steps)


def arguments(known):
    values = scalars
    if known:
        refs = st.builds(
            Ref,
            st.sampled_from(known),
            st.lists(keys | st.integers(-9, 99), max_size=2).map(tuple),
        )
        values = scalars | refs | st.lists(refs | texts, max_size=4).map(template)
    values = st.recursive(
        values,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    )
    return st.builds(
        lambda listed, named: {**{str(i): v for i, v in enumerate(listed)}, **named},
        st.lists(values, max_size=3),
        st.dictionaries(names, values, max_size=3),
    )


def template(parts):
    """A template as a reader makes it: filled texts and references in turn, or a plain value."""
    merged = []
    for part in filter(None, parts):
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    if len(merged) < 2:
        return merged[0] if merged else ""
    return Template(tuple(merged))


@given(plans())
def test_reading_what_was_written_gives_the_same_plan(plan):
    again = parse(write(plan), "llmcompiler")
    assert canonical_text(again) == canonical_text(plan)
    assert again.findings == [] or not plan.steps


def test_what_is_written_is_what_a_planner_would_write():
    plan = Plan(
        [
            Step("1", "search", {"0": "Mount Everest"}, note="look it up"),
            Step(
                "2",
                "math",
                {"0": Template(("half of ", Ref("1"))), "context": [Ref("1", ("height", 0))]},
            ),
        ]
    )
    assert write(plan) == (
        'Thought: look it up\n1. search("Mount Everest")\n'
        '2. math("half of $1", context=[$1.height[0]])\n3. join()\n'
    )


@pytest.mark.parametrize(
    "step",
    [
        Step("a", "f"),
        Step("2.1", "f"),
        Step("01", "f"),
        Step("1", "join"),
        Step("1", "two words"),
        Step("1", "f", {"a b": 1}),
        Step("1", "f", {"1": 1}),
        Step("1", "f", {"x": float("nan")}),
        Step("1", "f", {"x": 10**400}),
        Step("1", "f", {"x": "\ud800"}),
        Step("1", "f", {"x": Item()}),
        Step("1", "f", {"x": Input("a b")}),
        Step("1", "f", {"x": Choose((Ref("0"),))}),
        Step("1", "f", {"x": Ref("a")}),
        Step("1", "f", {"x": Ref("0", ('a"b',))}),
        Step("1", "f", {"x": Ref("0", ("",))}),
        Step("1", "f", {"x": Template(("to ", Ref("7")))}),
        Step("1", "f", {"x": Template((Ref("0"),))}),
        Step("1", "f", {"x": Template(("a", "b", Ref("0")))}),
        Step("1", "f", {"x": Template(("a ", Item()))}),
        Step("1", "f", {"x": {"$ref": Ref("0")}}),
        Step("1", "f", over=[1]),
        Step("1", "f", when=When(Ref("0"))),
        Step("1", "f", default=None),
        Step("1", "f", after=("0",)),
        Step("1", "f", sees=()),
        Step("1", "f", retry=0),
        Step("1", "f", writes=("x",)),
    ],
)
def test_what_cannot_be_said_is_refused_and_named(step):
    with pytest.raises(ValueError, match=f"step '?{step.id}"):
        write(Plan([Step("0", "g"), step]))


@pytest.mark.parametrize(
    "output", [{"a": Ref("1")}, Ref("7"), "text", Input("x"), Choose((Ref("1"),))]
)
def test_an_output_that_is_no_text_with_references_cannot_be_said(output):
    with pytest.raises(ValueError, match="output"):
        write(Plan([Step("1", "f")], output=output))


@pytest.mark.parametrize(
    "output",
    [
        Ref("1"),
        Ref("1", ("a b", 0)),
        Template(("it is ", Ref("1"), ".")),
        Template((Ref("1"), "0 and ", Input("mail", ("subject",)))),
    ],
)
def test_an_output_is_said_in_the_join_and_read_back(output):
    plan = parse(write(Plan([Step("1", "f")], output=output)), "llmcompiler")
    assert (plan.output, plan.findings) == (output, [])


@pytest.mark.parametrize(
    "value",
    [
        Input("mail"),
        Input("mail", ("subject", 0)),
        [Input("a"), {"k": Input("b")}],
        Template(("re: ", Input("mail", ("subject",)), "!")),
        "$input.mail is text",
    ],
)
def test_inputs_are_said_by_name_and_read_back(value):
    plan = parse(write(Plan([Step("1", "f", {"x": value})])), "llmcompiler")
    assert (plan.steps[0].args, plan.findings) == ({"x": value}, [])


def test_holes_cannot_be_said():
    holed = Plan()
    holed.add(Hole("1", "", ()))
    with pytest.raises(ValueError, match="hole"):
        write(holed)


def test_a_value_that_nests_too_deep_is_refused():
    value = 1
    for _ in range(65):
        value = [value]
    with pytest.raises(ValueError, match="deeper"):
        write(Plan([Step("1", "f", {"x": value})]))
