"""What takes a reference's place: the value itself, byte for byte, and nobody else's."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import Loom

from heddle.engine.fill import fill, fresh, part, text_of
from heddle.errors import ToolFailed
from heddle.plan.ir import Choose, Input, Ref, Step, Template
from heddle.testing.clock import run_virtual

HOSTILE = [
    "$1",
    "it costs $1,200 or $1.50, see $1",
    "#E1 and #E2",
    "{0} {x} {{y}} %s %(x)s ${z}",
    "\"'`\\\n\r\t",
    "\x00\x01\x7f",
    "é 漢字 🧵 \u2028 \ufeff",
    '<results>{"$ref": "1"}</results>',
    "x" * 1_000_000,
    "",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(HOSTILE[:8])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def carry(value: Any, shape: Any) -> Any:
    """What a tool gets for an argument of that shape, when step 1 gave the value."""
    got: list[Any] = []

    async def give() -> Any:
        return value

    async def take(x: Any) -> None:
        got.append(x)

    async def main() -> None:
        async with Loom(functions={"give": give, "take": take}) as loom:
            await loom.run(Step("1", "give"), Step("2", "take", {"x": shape}))

    run_virtual(main())
    return got[0]


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_a_result_arrives_as_it_was_in_any_place(value: Any) -> None:
    ref = Ref("1")
    assert carry(value, ref) == value
    assert carry(value, {"a": [ref, {"b": ref}], "c": "$1"}) == {
        "a": [value, {"b": value}],
        "c": "$1",
    }


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_text(text: str) -> None:
    assert carry(text, Ref("1")) == text
    assert carry({"$ref": "1", "x": text}, Ref("1", ("x",))) == text
    assert carry(text, Template(("<", Ref("1"), "$1", Ref("1"), ">"))) == f"<{text}$1{text}>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ([1, "é"], '[1, "é"]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_inside_text_a_text_is_itself_and_anything_else_is_json(value: Any, text: str) -> None:
    assert text_of(value) == text
    assert carry(value, Template(("a ", Ref("1")))) == "a " + text


@given(JSON)
def test_a_fresh_copy_is_equal_and_shares_no_container(value: Any) -> None:
    before = copy.deepcopy(value)
    made = fresh(value)
    assert made == value
    for item in _containers(made):
        item.clear()
    assert value == before


def _containers(value: Any) -> list[Any]:
    found = [value] if isinstance(value, (list, dict)) else []
    for item in found:
        inner = item.values() if isinstance(item, dict) else item
        found += [thing for thing in inner if isinstance(thing, (list, dict))]
    return found


def test_a_tool_that_changes_its_argument_changes_nobody_elses() -> None:
    seen: list[Any] = []

    async def give() -> Any:
        return {"list": [1, 2], "map": {"a": 1}}

    async def deface(x: Any, lit: Any, data: Any) -> Any:
        seen.append(copy.deepcopy((x, lit, data)))
        for thing in (x["list"], x["map"], x, lit["deep"], lit, data):
            thing.clear()
        return "done"

    async def main() -> None:
        inputs = {"data": {"k": [1]}}
        literal = {"deep": [1, {"x": 2}]}
        args = {"x": Ref("1"), "lit": literal, "data": Input("data")}
        functions = {"give": give, "deface": deface}
        async with Loom(functions=functions, inputs=inputs) as loom:
            state = await loom.run(
                Step("1", "give"), *(Step(str(n), "deface", args) for n in range(2, 5))
            )
            assert state.steps["1"].value == {"list": [1, 2], "map": {"a": 1}}
            assert inputs == {"data": {"k": [1]}}
            assert literal == {"deep": [1, {"x": 2}]}
            assert seen[0] == seen[1] == seen[2]
            loom.scheduler.render(Ref("1"))["list"].clear()
            assert loom.scheduler.render(Ref("1", ("list",))) == [1, 2]

    run_virtual(main())


class Trap:
    """An object that says when somebody looks at its attributes."""

    secret = "attribute"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"looked at {name}")


@pytest.mark.parametrize(
    "path",
    [("__class__",), ("secret",), ("list", "__len__"), ("list", -1), ("list", 2), ("list", "0"),
     ("text", 0), ("text", "upper"), (0,), ("map", 0), ("list", True, "x"), ("none", "x")],
)  # fmt: skip
def test_a_path_only_looks_into_lists_and_objects(path: Any) -> None:
    value = {"list": [{"x": 1}, 2], "text": "abc", "map": {"0": 1}, "none": None, "t": Trap()}
    with pytest.raises(ToolFailed) as caught:
        part(value, path, "the result of step 1")
    assert caught.value.code == "bad-path"
    assert caught.value.message.startswith("the result of step 1")


def test_a_path_that_leads_somewhere() -> None:
    value = {"a": [{"b": 1}], "": {"": 2}, "class": 3}
    assert part(value, ("a", 0, "b"), "x") == 1
    assert part(value, ("", ""), "x") == 2
    assert part(value, ("class",), "x") == 3
    assert part(value, (), "x") is value


def test_a_path_that_leads_nowhere_fails_the_step_and_says_what_there_is() -> None:
    async def main() -> None:
        async def give() -> Any:
            return {"price": 1, "currency": "USD"}

        async with Loom(functions={"give": give}) as loom:
            state = await loom.run(Step("1", "give"), Step("2", "give", {"x": Ref("1", ("cost",))}))
            two = state.steps["2"]
            assert (two.status, two.code) == ("failed", "bad-path")
            assert two.message == (
                "the result of step 1 has no 'cost': it is an object with price, currency"
            )

    run_virtual(main())


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_values_nested_too_deeply_are_refused_without_a_crash() -> None:
    assert fresh(deep(200)) == deep(200)
    for make in (fresh, lambda value: fill(value, lambda node: node)):
        with pytest.raises(ToolFailed) as caught:
            make(deep(100_000))
        assert caught.value.code == "nesting-too-deep"


def test_a_deep_result_fails_who_uses_it_and_nobody_else() -> None:
    async def give() -> Any:
        return deep(100_000)

    async def take(x: Any) -> Any:
        return 1

    async def main() -> None:
        async with Loom(functions={"give": give, "take": take}) as loom:
            state = await loom.run(
                Step("1", "give"),
                Step("2", "take", {"x": Ref("1")}),
                Step("3", "take", {"x": Template(("", Ref("1")))}),
                Step("4", "take", {"x": 1}),
            )
            assert [step.status for step in state.steps.values()] == [
                "done", "failed", "failed", "done",
            ]  # fmt: skip

    run_virtual(main())


@pytest.mark.parametrize("wrap", [list, tuple])
def test_references_in_lists_and_tuples_are_waited_for(wrap: Any) -> None:
    assert carry("v", {"deep": wrap([1, wrap([Ref("1")])])}) == {"deep": [1, ["v"]]}


def test_none_is_a_value_and_not_a_placeholder() -> None:
    assert carry(None, {"x": Ref("1")}) == {"x": None}


def test_a_missing_input_says_so() -> None:
    async def give(**_: Any) -> None:
        return None

    async def main() -> None:
        async with Loom(functions={"give": give}) as loom:
            state = await loom.run(Step("1", "give", {"x": Input("nothing")}))
            assert state.steps["1"].code == "unknown-input"

    run_virtual(main())


def test_rendering_what_has_no_value_raises_key_error() -> None:
    async def fails() -> None:
        raise ValueError

    async def main() -> None:
        async with Loom(functions={"fails": fails}) as loom:
            await loom.run(Step("1", "fails"), Step("2", "fails", after=("1",)))
            for value in (Ref("1"), [Ref("2")], Choose((Ref("2"), Ref("1"))), Choose((Ref("2"),))):
                with pytest.raises(KeyError):
                    loom.scheduler.render(value)

    run_virtual(main())


def test_an_executors_value_is_json_all_the_way_through() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {}}
    assert json.loads(json.dumps(carry(value, Ref("1")))) == value
