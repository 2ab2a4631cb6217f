"""The scripted model: what a test wrote down, in virtual time."""

import asyncio

import pytest

from heddle.errors import ModelError
from heddle.models.protocol import Message, Request, ToolCall, Usage
from heddle.testing import STALL, ScriptedModel, run_virtual


def request(role: str = "planner", round: int = 1) -> Request:
    return Request((Message("user", "hi"),), role, round)


async def hear(model: ScriptedModel, asked: Request | None = None) -> str:
    pieces = [piece async for piece in model.stream(asked or request())]
    assert isinstance(pieces[-1], Usage)
    return "".join(str(piece) for piece in pieces[:-1])


def test_replies_come_in_order_and_requests_are_kept():
    model = ScriptedModel(["a", ["b", "c"]])
    assert run_virtual(hear(model)) == "a"
    assert run_virtual(hear(model, request("joiner", 2))) == "bc"
    assert [(seen.role, seen.round) for seen in model.requests] == [("planner", 1), ("joiner", 2)]


def test_one_text_or_a_function_answers_every_request():
    assert run_virtual(hear(ScriptedModel("same"))) == "same"
    echo = ScriptedModel(lambda asked: f"{asked.role} {asked.round}")
    assert run_virtual(hear(echo, request("joiner", 3))) == "joiner 3"


def test_replies_may_go_by_role_and_round():
    model = ScriptedModel({"planner": ("p1", "p2"), ("planner", 9): "p9", "joiner": "always"})
    asked = [request(), request(round=9), request(round=2), request("joiner"), request("joiner")]
    assert [run_virtual(hear(model, one)) for one in asked] == [
        "p1",
        "p9",
        "p2",
        "always",
        "always",
    ]


def test_delays_pass_in_virtual_time():
    async def run() -> list[tuple[float, object]]:
        now = asyncio.get_running_loop().time
        model = ScriptedModel([[(60.0, "a"), (0.5, "b"), "c"]])
        return [(now(), piece) async for piece in model.stream(request())][:-1]

    assert run_virtual(run()) == [(60.0, "a"), (60.5, "b"), (60.5, "c")]


def test_calls_are_said_like_text():
    async def run() -> list[tuple[float, object]]:
        now = asyncio.get_running_loop().time
        model = ScriptedModel([["a", (60.0, ToolCall("c1", "f", "{}")), ToolCall("c2", "f", "{}")]])
        return [(now(), piece) async for piece in model.stream(request())]

    *said, (_, usage) = run_virtual(run())
    assert said == [
        (0.0, "a"),
        (60.0, ToolCall("c1", "f", "{}")),
        (60.0, ToolCall("c2", "f", "{}")),
    ]
    assert usage == Usage(1, 0, 2, estimated=True)


def test_an_error_strikes_where_it_stands():
    async def run() -> tuple[object, str]:
        stream = ScriptedModel([["a", ModelError("x", code="cut", provider="p")]]).stream(request())
        said = await anext(stream)
        try:
            await anext(stream)
        except ModelError as error:
            return said, error.code
        raise AssertionError("no error")

    assert run_virtual(run()) == ("a", "cut")


def test_a_stall_never_ends():
    async def run() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await hear(ScriptedModel([["a", STALL]]))
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) == 3600


def test_a_usage_in_the_script_is_the_one_that_is_reported():
    async def last(model: ScriptedModel) -> object:
        return [piece async for piece in model.stream(request())][-1]

    assert run_virtual(last(ScriptedModel([["a", Usage(1, 2, 3)]]))) == Usage(1, 2, 3)
    assert run_virtual(last(ScriptedModel(["abcde"]))) == Usage(1, 0, 2, estimated=True)


@pytest.mark.parametrize("replies", [[], {}, {"joiner": "x"}, {"planner": ()}])
def test_a_request_that_the_script_does_not_know_is_an_error(replies):
    with pytest.raises(ModelError) as caught:
        run_virtual(hear(ScriptedModel(replies)))
    assert caught.value.code == "no-reply"
    assert "role='planner', round=1" in caught.value.message
