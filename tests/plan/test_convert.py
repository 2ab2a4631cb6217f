"""A plan in another dialect is the same plan: renamed where it must be, refused where it cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heddle
from corpora import needs_corpus
from heddle.errors import ConfigError
from heddle.plan.canonical import canonical_text
from heddle.plan.convert import able, convert, renamed
from heddle.plan.dialects import DIALECTS, dialect_named, parse, recognise
from heddle.plan.ir import Choose, Input, Item, Plan, Ref, Step, Template, When
from heddle.plan.spec import ToolSpec
from round_trips import SOURCES, matrix, plain

REWOO = 'Plan: look it up\n#E1 = search["a"]\n#E2 = read[#E1, "on #E1"]\n'
QUOTE = ToolSpec("quote", parameters={"properties": {"ticker": {}, "day": {}}})


# -- ids -----------------------------------------------------------------------------------------


def test_ids_stay_where_the_dialect_can_carry_all_of_them():
    converted = convert(parse(REWOO), "python")
    assert (converted.text, converted.renamed) == (
        "# look it up\nE1 = search('a')\nE2 = read(E1, f'on {E1}')\n",
        {},
    )


def test_else_all_are_renamed_and_it_is_said_how():
    converted = convert(parse(REWOO), "llmcompiler")
    assert converted.renamed == {"E1": "1", "E2": "2"}
    assert converted.text == (
        'Thought: look it up\n1. search("a")\n2. read($1, "on $1")\n3. join()\n'
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_id_of_every_dialect_for_the_nth_step_fits_it(dialect):
    module = dialect_named(dialect)
    ids = [module.id_for(n) for n in range(1, 300)]
    assert len(set(ids)) == len(ids)
    assert all(map(module.fits, ids))


def test_one_id_that_does_not_fit_renames_all():
    plan = Plan([Step("7", "f"), Step("x", "g", {"0": Ref("7")})])
    assert convert(plan, "llmcompiler").renamed == {"7": "1", "x": "2"}


def test_numbers_with_gaps_stay_where_gaps_may_be_and_go_where_not():
    plan = parse("2. f(1)\n7. g(2)", "llmcompiler")
    assert convert(plan, "llmcompiler").renamed == {}
    assert convert(plan, "native").renamed == {"2": "1", "7": "2"}


def test_ids_of_a_later_round_become_those_of_a_first_one():
    plan = Plan([Step("2.1", "f"), Step("2.2", "g", {"0": Ref("2.1")})], round=2)
    assert convert(plan, "llmcompiler").text == "1. f()\n2. g($1)\n3. join()\n"


def test_the_second_value_of_a_variable_stays_a_variable_of_its_own():
    plan = parse("x = f(1)\nx = g(x)\n", "python")
    assert [step.id for step in plan.steps] == ["x", "x:2"]
    assert convert(plan, "python").text == "s1 = f(1)\ns2 = g(s1)\n"
    assert convert(plan, "json").renamed == {}


def test_renaming_reaches_every_place_of_an_id():
    step = Step(
        "c",
        "f",
        {"x": [Ref("a", ("k", 0)), {"y": Template(("on ", Ref("b")))}], "z": Choose((Ref("a"),))},
        after=("a",),
        over=Ref("b"),
        bound=3,
        when=When(Ref("a"), negated=True),
        default={"$ref": "a"},
        sees=("b",),
        reads=("a",),
    )
    plan = Plan([Step("a", "f"), Step("b", "f"), step], output=Template((Ref("c"), "!")))
    assert renamed(plan, {"a": "1", "b": "2", "c": "3"}).steps[2] == Step(
        "3",
        "f",
        {"x": [Ref("1", ("k", 0)), {"y": Template(("on ", Ref("2")))}], "z": Choose((Ref("1"),))},
        after=("1",),
        over=Ref("2"),
        bound=3,
        when=When(Ref("1"), negated=True),
        default={"$ref": "a"},  # data, which nobody reads as a reference
        sees=("2",),
        reads=("a",),  # a resource, not a step
    )
    assert renamed(plan, {"a": "1", "b": "2", "c": "3"}).output == Template((Ref("3"), "!"))


def test_names_may_be_exchanged():
    plan = Plan([Step("2", "f"), Step("1", "g", {"0": Ref("2")})])
    changed = renamed(plan, {"2": "1", "1": "2"})
    assert [(s.id, s.args) for s in changed.steps] == [("1", {}), ("2", {"0": Ref("1")})]


def test_the_names_within_an_expression_are_no_ids():
    plan = parse("a = f(1)\nb = f(2)\nc = b - a * 2\nc\n", "python")
    assert plan.steps[2].args == {
        "expression": "a - b * 2",
        "values": {"a": Ref("b"), "b": Ref("a")},
    }
    converted = convert(plan, "abstraction")
    assert converted.text.endswith("[y2 - y1 * 2 = y3]\ny3\n")
    assert plain(converted.plan) == plain(plan)


# -- positions and names -------------------------------------------------------------------------


def test_positions_stay_where_the_dialect_can_express_them():
    plan = parse('1. quote("A", day=3)')
    assert convert(plan, "python", {"quote": QUOTE}).text == "s1 = quote('A', day=3)\n"


def test_positions_that_the_dialect_cannot_express_are_named_by_the_tools():
    plan = Plan([Step("1", "quote", {"day": 3, "1": "A"})])
    tool = ToolSpec("quote", parameters={"properties": {"day": {}, "ticker": {}}})
    with pytest.raises(ValueError, match="argument"):
        convert(plan, "python")
    converted = convert(plan, "python", {"quote": tool})
    assert converted.text == "s1 = quote(day=3, ticker='A')\n"
    assert converted.named == ("1",)


# -- what cannot be said -------------------------------------------------------------------------

UNSAID = {
    "rewoo": (Plan([Step("1", "f")], output=Ref("1")), "the rewoo dialect cannot say .* output"),
    "native": (Plan([Step("a", "f"), Step("b", "g", {"0": Ref("a")})]), r"step 2 \(the plan's b\)"),
    "llmcompiler": (Plan([Step("1", "f", {"0": Choose((Ref("1"),))})]), "Choose"),
    "abstraction": (Plan([Step("y1", "f", when=When(Input("x")))]), "when"),
    "links": (Plan([Step("1", "f", {"0": {"a": 1}})]), "an object"),
    "python": (Plan([Step("1", "f", {"0": 1, "from": 2})]), "'from' is no name in Python"),
    "react": (Plan([Step("1", "f"), Step("2", "f")]), "each step is after the one before"),
    "json": (Plan([Step("1", "f", {"0": float("nan")})]), "NaN|nan|finite"),
}


def test_a_tool_named_like_a_function_of_python_cannot_be_called_there():
    with pytest.raises(ValueError, match="'sqrt' is a function of Python's own"):
        convert(Plan([Step("1", "sqrt", {"0": 4})]), "python")


def test_another_name_for_a_result_is_a_step_of_its_own_in_python_too():
    step = Step("y", "compute", {"expression": "a", "values": {"a": Ref("x")}})
    text = convert(Plan([Step("x", "f"), step]), "python").text
    assert text == "x = f()\ny = compute(expression='a', values={'a': x})\n"


@pytest.mark.parametrize("dialect", UNSAID)
def test_a_part_that_a_dialect_cannot_express_is_named(dialect):
    plan, message = UNSAID[dialect]
    with pytest.raises(ValueError, match=message):
        convert(plan, dialect)
    assert dialect not in able(plan)


def test_a_plan_that_only_the_canonical_form_can_say():
    step = Step("1", "f", {"x": Item()}, over=[1, 2], default=0, sees=(), retry=2, timeout_s=1.5)
    assert able(Plan([step])) == ["json"]


def test_an_unknown_dialect_is_a_setting_that_cannot_be_used():
    with pytest.raises(ConfigError, match="no dialect"):
        convert(Plan([Step("1", "f")]), "yaml")


def test_a_hole_is_not_written():
    with pytest.raises(ValueError, match="hole"):
        convert(parse("1. f($2", "llmcompiler"), "json")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan([Step("a", "f"), Step("a", "g")]), "two steps"),
        (Plan([Step("a", "f", {"0": Ref("1")})]), "no step of this plan"),
        (Plan([Step("a", "f", after=("1",))]), "no step of this plan"),
        (Plan([Step("a", "llm", sees=("1",))]), "no step of this plan"),
        (Plan([Step("a", "f")], output=Ref("1")), "the output refers to '1'"),
    ],
)
def test_renaming_never_makes_a_reference_mean_another_step(plan, message):
    with pytest.raises(ValueError, match=message):
        convert(plan, "llmcompiler")


def test_a_value_that_nests_too_deep_is_refused():
    value = []
    for _ in range(100_000):
        value = [value]
    plan = Plan([Step("a", "f", {"0": value})])
    for dialect in DIALECTS:
        with pytest.raises(ValueError, match="deep"):
            convert(plan, dialect)


def test_the_plan_itself_is_left_as_it_is():
    plan = parse(REWOO)
    before = canonical_text(plan)
    convert(plan, "llmcompiler")
    assert (canonical_text(plan), plan.steps[1].note, plan.dialect) == (before, "", "rewoo")


def test_the_library_converts_with_tools_as_a_caller_has_them():
    def quote(day: int, ticker: str) -> float: ...

    plan = Plan([Step("1", "quote", {"day": 3, "1": "A"})])
    assert heddle.convert(plan, "python", [quote]).text == "s1 = quote(day=3, ticker='A')\n"


# -- what was written is recognised --------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        Plan([Step("y1", "f", {"x": [{"a": 1}]})]),
        Plan(
            [Step("y1", "search", {"0": "a"}), Step("y2", "m", {"0": Template(("x(", Ref("y1")))})]
        ),
        parse("[[3 * 4, 2] = y1]\n[sum([_1 / 12 for _1 in y1]) = y2]\ny2\n", "abstraction"),
        parse("[a -search-> y1]\n[max(y1) - 2 -math-> y2]\n", "abstraction"),
    ],
)
def test_a_chain_of_calls_is_recognised_as_one(plan):
    text = convert(plan, "abstraction").text
    assert recognise(text) == "abstraction"


# -- round trips ---------------------------------------------------------------------------------

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["$1", "#E1", "y1", "{x}", "<node-0>", "a b", '"', "[", "]", "\\", "\n", "1,200", "$input.x"]
)
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | TEXTS
NAMES = st.sampled_from(["x", "query", "a_b", "é"])
ODD_NAMES = NAMES | st.sampled_from(["class", "0", "1", "of-it"])
TOOLS = st.sampled_from(["f", "search", "wiki_search", "llm"])
ODD_TOOLS = TOOLS | st.sampled_from(["wiki.search", "Text-to-Video", "join", "two words"])


def values(refs):
    nodes = SCALARS
    if refs:
        paths = st.lists(st.sampled_from(["k", "odd key", 0, 3]), max_size=2).map(tuple)
        ref = st.builds(Ref, st.sampled_from(refs), paths)
        nodes |= ref | st.builds(
            lambda a, r, b: Template((a, r, b)), st.just("on "), ref, st.just(".")
        )
    return st.recursive(
        nodes,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    )


@st.composite
def plans(draw):
    """Plans whose every odd part is rare, so that each dialect can say a good share of them."""
    name, odd, ordered, guarded, ends = (
        draw(st.sampled_from(["{}", "E{}", "y{}", "v{}", "odd id {}"])),
        *(draw(st.integers(0, 5)) == 0 for _ in range(4)),
    )
    steps, ids = [], []
    for n in range(1, draw(st.integers(1, 4)) + 1):
        args = draw(st.dictionaries(ODD_NAMES if odd else NAMES, values(ids), max_size=3))
        after = (ids[-1],) if ids and ordered else ()
        when = When(Ref(ids[0])) if ids and guarded else None
        ids.append(name.format(n))
        steps.append(Step(ids[-1], draw(ODD_TOOLS if odd else TOOLS), args, after=after, when=when))
    output = draw(st.sampled_from([Ref(ids[-1]), Template(("is ", Ref(ids[0])))])) if ends else None
    return Plan(steps, output=output)


@given(plans(), st.sampled_from(list(DIALECTS)))
def test_any_plan_that_a_dialect_can_express_is_the_same_plan_there(plan, dialect):
    if dialect not in able(plan):
        return
    converted = convert(plan, dialect)
    read = parse(converted.text, dialect)
    assert plain(read) == plain(plan)
    assert canonical_text(read) == canonical_text(converted.plan)
    if not converted.renamed:
        assert canonical_text(read) == canonical_text(plan)
    assert canonical_text(convert(read, dialect).plan) == canonical_text(read)


@given(plans())
def test_every_plan_can_be_written_in_the_canonical_form(plan):
    assert canonical_text(convert(plan, "json").plan) == canonical_text(plan)


@needs_corpus(*SOURCES)
def test_published_plans_pass_from_every_dialect_into_every_other_unchanged():
    for name, found in matrix(every=60).items():
        assert found.plans, name
        assert found.changed == [], name
        assert found.expressed["json"] == found.plans, name


@needs_corpus(*SOURCES)
@pytest.mark.parametrize("name", SOURCES)
def test_what_was_written_of_a_published_plan_is_recognised(name):
    found = matrix(every=15, second=False, names=[name])[name]
    assert (found.changed, found.misread) == ([], {})
