"""The border between JSON and Python, both ways."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from heddle.errors import ToolFailed
from heddle.tools.function import tool
from heddle.tools.values import MAX_NESTING


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Order(BaseModel):
    item: str
    count: int = Field(ge=1)


def read(hint: Any, value: Any) -> Any:
    """What a parameter of this type gets for this JSON value."""
    got: list[Any] = []

    def take(x: Any) -> None:
        got.append(x)

    take.__annotations__["x"] = hint
    tool(take).invoke({"x": value})
    return got[0]


def dumped(hint: Any, value: Any) -> Any:
    """What a plan gets for this return value."""

    def give() -> Any:
        return value

    give.__annotations__["return"] = hint
    return tool(give).invoke({})


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# -- arguments


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (int, 5.0, 5),
        (float, 5, 5.0),
        (list[int], [1, 2.0], [1, 2]),
        (int | None, None, None),
        (int | str, "3", "3"),
        (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
        (Colour, "red", Colour.RED),
        (
            uuid.UUID,
            "12345678-1234-5678-1234-567812345678",
            uuid.UUID(int=0x12345678123456781234567812345678),
        ),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 2], {1, 2}),
        (Point, {"x": 1.0}, Point(1)),
        (Order, {"item": "tea", "count": 2}, Order(item="tea", count=2)),
        (list[Point], [{"x": 1, "y": 2}], [Point(1, 2.0)]),
        (Literal["a", "b"], "a", "a"),
        (Any, {"any": [1, None]}, {"any": [1, None]}),
        (int, 10**40, 10**40),
    ],
)
def test_json_becomes_the_declared_type(hint: Any, value: Any, wanted: Any):
    got = read(hint, value)
    assert got == wanted
    assert type(got) is type(wanted)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "3"), (int, 5.5), (int, True), (int, None), (float, "1.5"), (float, True),
        (bool, 1), (bool, "true"), (str, 3), (str, None), (list[int], ["3"]), (list[int], "12"),
        (list[int], {"0": 1}), (dict[str, int], [1]), (datetime.date, "yesterday"),
        (datetime.datetime, 5), (Colour, "blue"), (Point, {"x": "1"}), (Point, {}),
        (Order, {"item": "tea", "count": 0}), (Annotated[int, Field(le=3)], 4),
        (float, math.nan), (Any, [math.inf]), (str, "\ud800"), (Any, {"a": "\udfff"}),
        (Any, nested(MAX_NESTING + 2)), (Any, nested(100_000)), (Any, object()), (Any, [10**5000]),
    ],
)  # fmt: skip
def test_other_json_is_refused_cleanly(hint: Any, value: Any):
    with pytest.raises(ToolFailed) as caught:
        read(hint, value)
    assert caught.value.code == "bad-argument"
    assert caught.value.message.startswith("take: argument 'x'")
    assert len(caught.value.message) < 400


def test_a_refusal_says_where_inside_the_argument():
    with pytest.raises(ToolFailed, match=r"argument 'x' at \[1\]\.y: .*number, got 'high'"):
        read(list[Point], [{"x": 1}, {"x": 1, "y": "high"}])


def test_a_tool_may_change_its_arguments_without_touching_the_value():
    shared = {"rows": [1, 2]}

    @tool
    def spoil(table: dict[str, Any]) -> int:
        table["rows"].clear()
        return 0

    spoil.invoke({"table": shared})
    assert shared == {"rows": [1, 2]}


@given(JSON)
@settings(deadline=None, max_examples=200)
def test_any_json_goes_through_a_tool_and_comes_back_the_same(value: Any):
    def echo(x: Any) -> Any:
        return x

    back = tool(echo).invoke({"x": value})
    assert json.dumps(back, sort_keys=True) == json.dumps(value, sort_keys=True)


@given(st.lists(st.builds(Point, st.integers(-(10**15), 10**15), st.floats(-1e9, 1e9)), max_size=5))
@settings(deadline=None, max_examples=50)
def test_dataclasses_round_trip(points: list[Point]):
    plain = dumped(list[Point], points)
    assert plain == [dataclasses.asdict(point) for point in points]
    assert read(list[Point], json.loads(json.dumps(plain))) == points


# -- results


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (Point, Point(1), {"x": 1, "y": 0.0}),
        (Order, Order(item="tea", count=1), {"item": "tea", "count": 1}),
        (Any, [Point(1), Colour.RED], [{"x": 1, "y": 0.0}, "red"]),
        (Any, (datetime.date(2024, 1, 2), {7}), ["2024-01-02", [7]]),
        (list[int], (1, 2), [1, 2]),
        (list[Point], [{"x": 1}], [{"x": 1, "y": 0.0}]),
        (float, 3, 3),
        (dict, {1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (dict, {1.5: "d"}, {"1.5": "d"}),
        (dict[int, str], {1: "a"}, {"1": "a"}),
        (None, None, None),
        (bool, False, False),
        (Any, {"deep": nested(150)}, {"deep": nested(150)}),
        (decimal.Decimal, decimal.Decimal("1.10"), "1.10"),
        (set[int], {1}, [1]),
    ],
)  # fmt: skip
def test_values_come_out_as_json(hint: Any, value: Any, wanted: Any):
    assert dumped(hint, value) == wanted


@pytest.mark.parametrize(
    "hint", [Any, float, list[float], dict[str, Any], dict, list[Any], Point, list[Point]]
)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_number_that_json_lacks_gets_out(hint: Any, number: float):
    value = {
        float: number,
        Point: Point(1, number),
        list[Point]: [Point(1, number)],
        dict: {"a": number},
        dict[str, Any]: {"a": number},
    }.get(hint, [number])
    with pytest.raises(ToolFailed, match="NaN and infinity are not JSON") as caught:
        dumped(hint, value)
    assert caught.value.code == "bad-result"


def test_nan_inside_an_untyped_field_is_found_too():
    @dataclasses.dataclass
    class Box:
        content: Any

    with pytest.raises(ToolFailed, match="NaN"):
        dumped(Box, Box([math.nan]))


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "a"), (int, 1.5), (str, 3), (str, None), (None, 3), (Point, {"y": 1}),
        (list[int], ["a"]), (list[Point], [3]), (dict[str, Any], [1]), (dict, "a"), (list, {}),
        (str, "\ud800"), (Any, ["\ud800"]), (Any, {"\ud800": 1}),
        (Any, object()), (Any, b"\xff"), (bytes, b"\xff"), (Any, [10**5000]),
        (list[int], [10**5000]),
        (Any, {(1, 2): 3}), (Any, nested(MAX_NESTING + 2)), (list[Any], nested(100_000)),
        (dict[str, list[Any]], {"a": nested(100_000)}),
    ],
)  # fmt: skip
def test_other_values_fail_the_step_cleanly(hint: Any, value: Any):
    with pytest.raises(ToolFailed) as caught:
        dumped(hint, value)
    assert caught.value.code == "bad-result"
    assert caught.value.message.startswith("give: its value ")
    assert len(caught.value.message) < 400


def test_nesting_is_bounded_at_two_hundred():
    assert dumped(Any, nested(MAX_NESTING)) == nested(MAX_NESTING)
    with pytest.raises(ToolFailed, match="nests deeper than 200"):
        dumped(Any, nested(MAX_NESTING + 2))


def test_a_value_that_holds_itself_is_refused():
    value: list[Any] = []
    value.append(value)
    for hint in (Any, list[Any], list[list[Any]]):
        with pytest.raises(ToolFailed) as caught:
            dumped(hint, value)
        assert caught.value.code == "bad-result"


def test_a_value_whose_repr_fails_is_refused_all_the_same():
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(ToolFailed, match="<Rude>"):
        dumped(Any, Rude())


def test_a_forgotten_await_is_named():
    async def later() -> int:
        return 1

    @tool
    def give() -> int:
        return later()  # pyright: ignore

    with pytest.raises(ToolFailed) as caught:
        give.invoke({})
    assert "async def" in caught.value.hint


def test_what_a_tool_returned_may_change_later_without_changing_the_value():
    cache = [1]

    def give() -> list[int]:
        return cache

    value = tool(give).invoke({})
    cache.append(2)
    assert value == [1]
