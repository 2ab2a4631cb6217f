"""Any function as a model, and what is said when it is none."""

import asyncio

import pytest

from heddle.errors import ConfigError, ModelError
from heddle.models import model_named
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.models.python import PythonModel
from heddle.plan.spec import ToolSpec

ASK = Request((Message("user", "hello"),), role="joiner", round=2, max_output_tokens=7)

MODULE = """
import os

async def whole(messages, **options):
    return f"{messages[0]['role']}: {messages[0]['content']} {sorted(options.items())}"

async def pieces(messages, **options):
    yield "a"
    yield "b"

async def later(messages, **options):
    return pieces(messages)

def plain(messages, **options):
    return pieces(messages)

async def broken(messages, **options):
    raise ValueError("no such luck")

async def breaks_off(messages, **options):
    yield "a"
    raise ValueError("no such luck")

async def number(messages, **options):
    return 7

async def numbers(messages, **options):
    yield 7

async def narrow(messages):
    return "x"

not_a_function = 7
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("raise KeyError('at import')")
    (tmp_path / "my_lacking.py").write_text("import my_nonexistent_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    return "my_models"


def hear(model) -> list:
    async def run() -> list:
        return [piece async for piece in model.stream(ASK)]

    return asyncio.run(run())


def test_the_function_gets_the_messages_and_the_options(module):
    text, usage = hear(model_named(f"python:{module}:whole"))
    assert text == (
        "user: hello [('max_output_tokens', 7), ('role', 'joiner'), ('round', 2),"
        " ('schema', None), ('stop', []), ('tools', [])]"
    )
    assert usage == Usage(2, 0, -(-len(text) // 4), estimated=True)


@pytest.mark.parametrize("function", ["pieces", "later", "plain"])
def test_an_iterator_is_passed_on_piece_by_piece(module, function):
    assert hear(model_named(f"python:{module}:{function}"))[:-1] == ["a", "b"]


def test_calls_go_in_and_out():
    seen = []
    call = ToolCall("c1", "price", '{"of": "AAPL"}')
    asked = Request(
        (Message("assistant", "", (call,)), Message("tool", "231.5", call_id="c1")),
        stop=("END",),
        tools=(ToolSpec("price", "Latest price.", {"type": "object"}),),
    )

    async def model(messages, *, stop, tools, **options):
        seen.extend((messages, stop, tools))
        yield "next: "
        yield call

    async def run() -> list:
        return [piece async for piece in PythonModel(model).stream(asked)]

    *said, usage = asyncio.run(run())
    assert said == ["next: ", call]
    assert usage.output_tokens == -(-(len("next: ") + call.characters) // 4)
    assert seen == [
        [
            {
                "role": "assistant",
                "content": "",
                "calls": [{"id": "c1", "name": "price", "arguments": '{"of": "AAPL"}'}],
            },
            {"role": "tool", "content": "231.5", "call_id": "c1"},
        ],
        ["END"],
        [{"name": "price", "description": "Latest price.", "parameters": {"type": "object"}}],
    ]


def test_one_call_may_be_all_that_a_function_gives():
    call = ToolCall("c1", "price", "{}")

    async def model(messages, **options):
        return call

    assert hear(PythonModel(model))[0] == call


@pytest.mark.parametrize("function", ["broken", "breaks_off"])
def test_an_error_of_the_function_is_told_with_its_place(module, function):
    with pytest.raises(ModelError) as caught:
        hear(model_named(f"python:{module}:{function}"))
    error = caught.value
    assert error.code == "model-function-failed"
    assert "ValueError: no such luck" in error.message
    assert "my_models.py:" in error.message
    assert f"in {function}" in error.message
    assert isinstance(error.__cause__, ValueError)


@pytest.mark.parametrize("function", ["number", "numbers"])
def test_what_is_not_text_is_refused(module, function):
    with pytest.raises(ModelError, match="int, not text"):
        hear(model_named(f"python:{module}:{function}"))


def test_an_error_of_heddle_s_own_passes_as_it_is():
    own = ModelError("mine", code="mine", provider="x")

    async def raising(messages, **options):
        raise own

    with pytest.raises(ModelError) as caught:
        hear(PythonModel(raising))
    assert caught.value is own


def test_an_iterator_is_closed_when_it_is_given_up():
    closed = []

    async def endless(messages, **options):
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    async def run() -> None:
        stream = PythonModel(endless).stream(ASK)
        assert await anext(stream) == "x"
        await stream.aclose()

    asyncio.run(run())
    assert closed == [True]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my_models", "does not name a module and a function"),
        ("my_models:", "does not name a module and a function"),
        (":whole", "does not name a module and a function"),
        ("my_models:whale", "did you mean whole?"),
        ("my_models:not_a_function", "no function 'not_a_function'"),
        ("my_models:narrow", "unexpected keyword"),
        ("my_missing:f", "there is no module of that name"),
        ("my_lacking:f", "there is no module 'my_nonexistent_dependency'"),
        ("my_broken:f", "KeyError: 'at import'"),
        ("..:f", "importing '..' failed"),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(module, name, says):
    with pytest.raises(ConfigError) as caught:
        model_named(f"python:{name}")
    assert caught.value.code == "bad-model-function"
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_a_module_in_the_working_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_local_models.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")  # puts sys.path back in the end
    monkeypatch.chdir(tmp_path)
    assert hear(model_named("python:my_local_models:pieces"))[:-1] == ["a", "b"]
