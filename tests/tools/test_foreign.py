"""Tools of other libraries: a name, a JSON schema and a callable."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.toolbox import as_tool

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def forecast(city: str, days: float = 1) -> str:
    return f"{city}: rain for {days}"


class ForecastArguments(BaseModel):
    city: str
    days: int = 1


@pytest.mark.parametrize("schema", ["parameters", "input_schema", "inputSchema", "args_schema"])
@pytest.mark.parametrize("function", ["function", "fn", "func"])
def test_the_usual_names_are_found(schema: str, function: str):
    parts: dict[str, Any] = {"name": "forecast", "description": "Weather.", schema: SCHEMA}
    for thing in (SimpleNamespace(**parts, **{function: forecast}), parts | {function: forecast}):
        found = as_tool(thing)
        assert (found.spec.name, found.spec.description) == ("forecast", "Weather.")
        assert found.spec.parameters == SCHEMA
        assert (found.spec.effect, found.spec.effect_declared) == ("write", False)
        assert found.invoke({"city": "Rome"}) == "Rome: rain for 1"


def test_a_model_class_is_a_schema():
    thing = SimpleNamespace(name="forecast", args_schema=ForecastArguments, func=forecast)
    assert list(as_tool(thing).spec.parameters["properties"]) == ["city", "days"]


def test_a_coroutine_is_preferred_and_missing_parts_are_passed_over():
    async def later(city: str) -> str:
        return city

    thing = SimpleNamespace(name="f", parameters=SCHEMA, coroutine=later, func=forecast)
    found = as_tool(thing)
    assert found.blocking is False
    assert asyncio.run(found.invoke({"city": "Rome"})) == "Rome"
    assert as_tool(
        SimpleNamespace(name="f", parameters=SCHEMA, coroutine=None, func=forecast)
    ).blocking


def test_a_callable_object_with_a_schema_is_called_itself():
    class Forecast:
        name = "forecast"
        parameters = SCHEMA
        effect = "read"

        async def __call__(self, city: str) -> str:
            return city

    found = as_tool(Forecast())
    assert (found.spec.effect, found.spec.effect_declared) == ("read", True)
    assert asyncio.run(found.invoke({"city": "Rome"})) == "Rome"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "argument 'city' is missing"),
        ({"city": 3}, "argument 'city' should be string, got 3"),
        ({"city": "Rome", "days": True}, "argument 'days' should be integer"),
        ({"city": "Rome", "days": 1.5}, "argument 'days' should be integer"),
        ({"city": "Rome", "hours": 1}, "no argument 'hours'"),
    ],
)
def test_arguments_are_held_to_names_and_plain_types(args: dict[str, Any], words: str):
    found = as_tool({"name": "forecast", "parameters": SCHEMA, "function": forecast})
    with pytest.raises(ToolFailed, match=words) as caught:
        found.invoke(args)
    assert caught.value.code == "bad-argument"


def test_its_value_is_held_to_json():
    found = as_tool({"name": "f", "parameters": {}, "function": lambda: float("nan")})
    with pytest.raises(ToolFailed, match="NaN"):
        found.invoke({})


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ({"name": "f", "parameters": SCHEMA}, "nothing to call"),
        ({"name": "a b", "parameters": SCHEMA, "function": forecast}, "cannot be a tool's name"),
        ({"name": "f", "parameters": {"properties": []}, "fn": forecast}, "not that of an object"),
        ({"name": "f", "parameters": SCHEMA, "fn": forecast, "effect": "safe"}, "no effect 'safe'"),
        ({"parameters": SCHEMA, "function": forecast}, "is no tool"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(thing: Any, words: str):
    with pytest.raises(ConfigError, match=words):
        as_tool(thing)
