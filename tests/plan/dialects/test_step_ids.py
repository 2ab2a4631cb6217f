"""Every dialect says which step ids its text can carry, and has ids of its own."""

import pytest

from heddle.plan.dialects import DIALECTS, EXAMPLES, dialect_named, parse, recognise
from heddle.plan.ir import Plan, Step


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_ids_that_a_dialect_gives_fit_it_and_differ(dialect):
    spoken = dialect_named(dialect)
    ids = [spoken.id_for(number) for number in range(1, 300)]
    assert len(set(ids)) == len(ids)
    assert all(spoken.fits(name) for name in ids)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whoever_wrote_no_step_is_shown_one_of_that_dialect(dialect):
    (finding,) = parse("# nothing", dialect).findings
    assert finding.hint == f"in the {dialect} dialect a step reads {EXAMPLES[dialect]}"
    plan = parse(EXAMPLES[dialect])
    assert recognise(EXAMPLES[dialect]) == dialect
    assert ([step.args for step in plan.steps], plan.findings) in (
        ([{"0": "argument"}], []),
        ([{"argument": "value"}], []),
    )


def test_whoever_names_the_wrong_dialect_is_told_the_right_one():
    (finding,) = parse('1. search("a")', "rewoo").findings
    assert finding.hint == "the text looks like the llmcompiler dialect: read it as that"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_empty_id_fits_no_dialect(dialect):
    assert not dialect_named(dialect).fits("")


@pytest.mark.parametrize(
    "name", ["1", "42", "0", "07", "2.1", "E1", "y1", "a b", "x:2", "1234567890"]
)
def test_llmcompiler_writes_the_ids_that_fit_and_refuses_the_others(name):
    spoken, plan = dialect_named("llmcompiler"), Plan([Step(name, "f", {"0": "a"})])
    if spoken.fits(name):
        assert [step.id for step in parse(spoken.write(plan), "llmcompiler").steps] == [name]
    else:
        with pytest.raises(ValueError, match="numbers its steps"):
            spoken.write(plan)


@pytest.mark.parametrize("name", ["1", "2.1", "E1", "a b", "x:2", "é"])
def test_json_carries_any_id(name):
    spoken, plan = dialect_named("json"), Plan([Step(name, "f", {"a": 1})])
    assert spoken.fits(name)
    assert [step.id for step in parse(spoken.write(plan), "json").steps] == [name]
