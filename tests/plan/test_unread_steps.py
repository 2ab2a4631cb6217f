"""Unread steps: their arguments are decoded when somebody looks, and nobody sees a difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heddle.plan.canonical import Unread, step_from_json, step_to_json
from heddle.plan.ir import Ref, Step, plain_step

STEP = Step("1", "look", {"at": [Ref("0", ("x", 1)), "$1"], "data": {"$literal": 1}}, note="why")


def unread(*, text: bool) -> Step:
    """A step as it is read from what `step_to_json` wrote, or from the text of that."""
    if not text:
        return step_from_json(step_to_json(STEP, note=True), sound=True)
    args: Any = '{"at":[{"$ref":"0","path":["x",1]},"$1"],"data":{"$literal":{"$literal":1}}}'
    return plain_step("1", "look", args, "why", None, Unread)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    "look",
    [
        lambda step: step.args == STEP.args,
        lambda step: step == STEP,
        lambda step: step != replace(STEP, args={}),
        lambda step: repr(step) == repr(STEP),
        lambda step: replace(step, note="") == replace(STEP, note=""),
        lambda step: step_to_json(step) == step_to_json(STEP),
    ],
)
def test_whoever_looks_at_it_sees_the_step_that_was_written(look: Any, text: bool) -> None:
    step = unread(text=text)
    assert type(step) is Unread
    assert look(step)
    assert type(step) is Step, "and it is decoded once"
    assert step.args == STEP.args


def test_two_that_nobody_has_looked_at_are_equal() -> None:
    assert unread(text=True) == unread(text=False)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        unread(text=True).tool = "other"  # type: ignore[misc]
