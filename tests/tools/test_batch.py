"""A batch form is checked against its tool when declared, and its results when they come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.function import tool


async def one(x: int) -> float:
    return x / 2


async def two(x: int, y: int = 1) -> float:
    return x / y


async def halves(xs: list[int]) -> list[float]:
    return [x / 2 for x in xs]


async def ratios(calls: list[dict[str, Any]]) -> list[float | Exception]:
    return [call["x"] / call.get("y", 1) for call in calls]


def made(single: Any, many: Any, **options: Any) -> Any:
    return tool(**{"effect": "read", "batch": many, **options})(single)


def test_one_parameter_is_a_list_of_its_values() -> None:
    found = made(one, halves, max_batch=7, batch_wait_s=0.5)
    assert asyncio.run(found.batch.invoke([{"x": 1}, {"x": 2}])) == [0.5, 1.0]
    assert (found.spec.max_batch, found.spec.batch_wait_s) == (7, 0.5)


def test_several_parameters_are_a_list_of_objects() -> None:
    found = made(two, ratios, max_batch=9)
    assert asyncio.run(found.batch.invoke([{"x": 1, "y": 4}, {"x": 2}])) == [0.25, 2.0]


def test_a_synchronous_batch_form_blocks() -> None:
    def many(xs: list[int]) -> list[float]:
        return [float(x) for x in xs]

    found = made(one, many, max_batch=9)
    assert found.batch.blocking
    assert found.batch.invoke([{"x": 3}]) == [3.0]


def test_a_tool_without_one_takes_one_call() -> None:
    assert (tool(one).spec.max_batch, tool(one).batch) == (1, None)


@dataclass
class Point:
    x: int


def test_values_and_results_are_those_of_the_single_form() -> None:
    async def single(at: Point) -> Point:
        return at

    async def many(at: list[Point]) -> list[Point | Exception]:
        return [Point(point.x + 1) for point in at]

    found = made(single, many, max_batch=9)
    outcomes = asyncio.run(
        found.batch.invoke([{"at": {"x": 1}}, {"at": {"y": 1}}, {"at": {"x": 5}}])
    )
    assert [outcomes[0], outcomes[2]] == [{"x": 2}, {"x": 6}]
    assert isinstance(outcomes[1], ToolFailed)
    assert outcomes[1].code == "bad-argument"


def test_a_result_that_does_not_fit_is_its_own_calls_failure() -> None:
    async def many(xs: list[int]) -> list[float]:
        return ["text", 2.0]  # type: ignore[list-item]

    first, second = asyncio.run(made(one, many, max_batch=9).batch.invoke([{"x": 1}, {"x": 2}]))
    assert (first.code, second) == ("bad-result", 2.0)


@pytest.mark.parametrize("given", [[], [1.0], [1.0, 2.0, 3.0], None, "ab", {"a": 1, "b": 2}])
def test_results_of_another_number_are_refused(given: Any) -> None:
    async def many(xs: list[int]) -> list[float]:
        return given

    with pytest.raises(ToolFailed, match="for 2 calls") as caught:
        asyncio.run(made(one, many, max_batch=9).batch.invoke([{"x": 1}, {"x": 2}]))
    assert caught.value.code == "bad-result"


def test_nothing_is_called_for_calls_that_do_not_fit() -> None:
    async def many(xs: list[int]) -> list[float]:
        raise AssertionError

    (error,) = asyncio.run(made(one, many, max_batch=9).batch.invoke([{"x": "one"}]))
    assert error.code == "bad-argument"


async def takes_text(xs: list[str]) -> list[float]:
    return []


async def takes_one(x: int) -> list[float]:
    return []


async def takes_two(xs: list[int], ys: list[int]) -> list[float]:
    return []


async def untyped(xs) -> list[float]:  # type: ignore[no-untyped-def]
    return []


async def gives_text(xs: list[int]) -> list[str]:
    return []


async def gives_one(xs: list[int]) -> float:
    return 0.0


@pytest.mark.parametrize(
    "many", [takes_text, takes_one, takes_two, untyped, gives_text, gives_one, "text"]
)
def test_a_form_that_does_not_fit_is_refused_with_the_one_that_would(many: Any) -> None:
    with pytest.raises(ConfigError, match="batch") as caught:
        made(one, many, max_batch=9)
    if callable(many):
        assert "list[int]) -> list[float]" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [{"effect": "write"}, {"effect": None}, {"effect": "idempotent"}, {"max_batch": 0},
     {"batch_wait_s": -1.0}, {"batch_wait_s": float("inf")}],
)  # fmt: skip
def test_settings_that_can_never_be_met_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        made(one, halves, **options)
    assert caught.value.code == "bad-tool"
