"""A typed function is a tool: its spec, what calling it does, and what is refused."""

import asyncio
import functools
import inspect
from typing import Any

import pytest

from heddle.errors import ConfigError, ToolFailed
from heddle.models.protocol import Usage
from heddle.tools.function import Metered, Tool, tool
from heddle.tools.toolbox import as_tool, toolbox


@tool(effect="read", provider="quotes", selectors=["ticker"], concurrency=4, timeout_s=2.5)
async def price(ticker: str, day: int = 0) -> float:
    """Closing price in USD,
    adjusted for splits.

    More words that the planner does not need.

    Args:
        ticker: the exchange's symbol,
            in capitals.
        day: days before today.
    """
    return 1.5 + day


@tool
def send(to: str, body: str) -> None:
    """Send a message."""


def test_a_tools_spec_comes_from_its_hints_and_docstring():
    spec = price.spec
    assert (spec.name, spec.effect, spec.effect_declared) == ("price", "read", True)
    assert spec.description == "Closing price in USD, adjusted for splits."
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "ticker": {"type": "string", "description": "the exchange's symbol, in capitals."},
            "day": {"type": "integer", "description": "days before today.", "default": 0},
        },
        "required": ["ticker"],
        "additionalProperties": False,
    }
    assert spec.result == {"type": "number"}
    assert (spec.provider, spec.selectors) == ("quotes", ("ticker",))
    assert (spec.concurrency, spec.timeout_s) == (4, 2.5)


def test_an_undeclared_effect_is_write_and_says_so():
    assert (send.spec.effect, send.spec.effect_declared) == ("write", False)
    assert send.spec.result == {"type": "null"}


def test_name_and_description_can_be_given():
    renamed = tool(send.__wrapped__, name="mail.send", description="Post it.")
    assert (renamed.spec.name, renamed.spec.description) == ("mail.send", "Post it.")


def test_a_tool_is_still_the_function_it_was():
    assert asyncio.run(price("AAPL", day=2)) == 3.5
    assert list(inspect.signature(price).parameters) == ["ticker", "day"]
    assert repr(price) == "Tool('price', effect='read')"


def test_invoke_takes_named_json_arguments():
    assert price.blocking is False
    assert asyncio.run(price.invoke({"ticker": "AAPL"})) == 1.5
    assert send.blocking is True
    assert send.invoke({"to": "a", "body": "b"}) is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "argument 'ticker' is missing"),
        ({"ticker": 3}, "argument 'ticker'"),
        ({"ticker": "A", "day": "3"}, "argument 'day'"),
        ({"ticker": "A", "day": True}, "argument 'day'"),
        ({"ticker": "A", "when": 3}, "no argument 'when'"),
    ],
)
def test_arguments_that_do_not_fit_fail_the_step(args: dict[str, Any], words: str):
    with pytest.raises(ToolFailed, match=words) as caught:
        asyncio.run(price.invoke(args))
    assert caught.value.code == "bad-argument"


def test_invoke_does_not_change_the_callers_arguments():
    args = {"ticker": "A", "day": 3.0}
    assert asyncio.run(price.invoke(args)) == 4.5
    assert args == {"ticker": "A", "day": 3.0}
    assert isinstance(args["day"], float)


@pytest.mark.parametrize("kind", [KeyError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_function_raises_is_left_to_the_caller(kind: type[BaseException]):
    @tool
    def fails() -> int:
        raise kind("why")

    with pytest.raises(kind):
        fails.invoke({})


def test_a_functions_own_validation_error_is_not_taken_for_bad_arguments():
    from pydantic import TypeAdapter, ValidationError

    @tool
    def parses(text: str) -> int:
        return TypeAdapter(int).validate_python(text)

    with pytest.raises(ValidationError):
        parses.invoke({"text": "x"})


def test_a_metered_value_passes_with_its_value_dumped():
    @tool
    def asks() -> list[int]:
        return Metered((1, 2), Usage(10, 0, 3))  # pyright: ignore

    assert asks.invoke({}) == Metered([1, 2], Usage(10, 0, 3))


def test_bound_methods_partials_and_callable_objects_are_functions_too():
    class Shop:
        def order(self, item: str) -> str:
            return f"{item}!"

        async def __call__(self, item: str) -> str:
            return f"{item}?"

    def add(x: int, y: int) -> int:
        return x + y

    assert as_tool(Shop().order).invoke({"item": "a"}) == "a!"
    assert tool(functools.partial(add, y=2), name="add2").invoke({"x": 1}) == 3
    called = tool(Shop(), name="shop")
    assert called.blocking is False
    assert asyncio.run(called.invoke({"item": "a"})) == "a?"


def test_a_wrapped_function_keeps_its_signature():
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @tool
    @logged
    def double(x: int) -> int:
        return 2 * x

    assert double.invoke({"x": 4}) == 8


def test_a_signature_that_cannot_be_a_tools_is_refused_by_name():
    def stars(*names: str) -> None: ...
    def options(**rest: str) -> None: ...
    def untyped(ticker, day: int) -> None: ...
    def positional(x: int, /) -> None: ...
    def unknown(x: "Nowhere") -> None: ...  # noqa: F821  # pyright: ignore
    def socket(x: asyncio.Event) -> None: ...
    def gives(x: int) -> asyncio.Event: ...
    def yields(x: int) -> Any:
        yield x

    for function, words in [
        (stars, r"tool 'stars': parameter \*names"),
        (options, r"tool 'options': parameter \*\*rest"),
        (untyped, "tool 'untyped': parameter 'ticker' has no type"),
        (positional, "parameter 'x' is positional-only"),
        (unknown, "names nothing: name 'Nowhere' is not defined"),
        (socket, "parameter 'x' has no JSON form"),
        (gives, "the return type .* has no JSON form"),
        (yields, "it yields values"),
    ]:
        with pytest.raises(ConfigError, match=words) as caught:
            tool(function)
        assert "test_function.py:" in caught.value.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"effect": "unsafe"}, "no effect 'unsafe'"),
        ({"selectors": ["who"]}, "selector 'who' is no parameter"),
        ({"selectors": "to"}, "selector 't' is no parameter"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"timeout_s": 0}, "timeout_s must be a positive number"),
        ({"timeout_s": float("nan")}, "timeout_s must be a positive number"),
        ({"name": "a b"}, "'a b' cannot be a tool's name"),
        ({"name": ""}, "'' cannot be a tool's name"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        tool(**settings)(send.__wrapped__)


def test_a_lambda_has_no_name_to_be_called_by():
    with pytest.raises(ConfigError, match="'<lambda>' cannot be a tool's name"):
        tool(lambda: 1)


def test_as_tool_takes_tools_and_typed_callables():
    def greet(name: str) -> str:
        return f"hello {name}"

    assert as_tool(send) is send
    assert as_tool(greet).invoke({"name": "you"}) == "hello you"
    with pytest.raises(ConfigError, match="42 is no tool"):
        as_tool(42)


def test_a_toolbox_is_in_the_order_given_and_names_are_unique():
    box = toolbox([send, price, send])
    assert list(box) == ["send", "price"]
    assert all(isinstance(item, Tool) for item in box.values())
    with pytest.raises(
        ConfigError, match=r"two tools are called 'send': .*test_function"
    ) as caught:
        toolbox([send, tool(price.__wrapped__, name="send")])
    assert caught.value.code == "duplicate-tool"
