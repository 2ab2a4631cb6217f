"""Events as JSON: every event comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heddle
from heddle.engine import events as ev
from heddle.engine.events import StepAccepted
from heddle.engine.state import fold
from heddle.engine.wire import (
    WireError,
    event_from_json,
    event_to_json,
    step_from_wire,
    step_to_wire,
)
from heddle.models.protocol import Usage
from heddle.plan.findings import Finding
from heddle.plan.ir import (
    Choose,
    Hole,
    Input,
    Item,
    Origin,
    Ref,
    Step,
    Template,
    When,
    plain_step,
)
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = texts.filter(bool)
wholes = st.integers(-(2**60), 2**60)
numbers = st.floats(allow_nan=False, allow_infinity=False)
jsons = st.recursive(
    st.none() | st.booleans() | wholes | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
paths = st.lists(texts | st.integers(0, 9), max_size=2).map(tuple)
refs = st.builds(Ref, names, paths)
nodes = refs | st.builds(Item, paths) | st.builds(Input, names, paths)
templates = st.builds(Template, st.lists(texts | nodes, max_size=3).map(tuple))
chosen = st.builds(Choose, st.lists(refs, min_size=1, max_size=2).map(tuple))
origins = st.none() | st.builds(Origin, st.integers(1, 99), st.integers(1, 99))
name_lists = st.lists(names, max_size=2).map(tuple)
steps = st.builds(
    Step,
    names,
    names,
    st.dictionaries(texts, jsons | nodes | templates | chosen, max_size=3),
    after=name_lists,
    bound=st.none() | st.integers(1, 9),
    over=jsons | nodes,
    when=st.none() | st.builds(When, nodes, st.booleans()),
    default=jsons,
    sees=st.none() | name_lists,
    retry=st.none() | st.integers(0, 9),
    note=texts,
    origin=origins,
)
findings = st.builds(
    Finding, names, st.sampled_from(["error", "warning"]), texts, texts, line=st.integers(0, 99)
)
usages = st.builds(Usage, wholes, wholes, wholes, st.booleans())
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "Any": jsons,
    "Mapping[str, Any]": st.dictionaries(texts, jsons, max_size=3),
    "str": texts,
    "int": wholes,
    "int | None": st.none() | wholes,
    "float": numbers,
    "float | None": st.none() | numbers,
    "bool": st.booleans(),
    "Status": st.sampled_from(sorted(ev.TERMINAL)),
    "tuple[str, ...]": st.lists(texts, max_size=3).map(tuple),
    "tuple[tuple[str, str], ...]": st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    "Step": steps,
    "Hole": st.builds(Hole, names, texts, st.lists(findings, max_size=2).map(tuple), origins),
    "Finding": findings,
    "Usage": usages,
    "Usage | None": st.none() | usages,
    "EffectOrigin": st.builds(
        ev.EffectOrigin, texts, wholes, wholes, texts, st.none() | st.integers(0, 9)
    ),
}


def some(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Events of one kind, with any values of its fields' types."""
    hints = [getattr(hint, "__forward_arg__", hint) for hint in kind.__annotations__.values()]
    return st.tuples(*(BY_TYPE[hint] for hint in hints)).map(lambda fields: kind(*fields))


@given(st.one_of(*map(some, ev.EVENTS.values())))
def test_every_event_comes_back_from_json_as_it_was(event: Any) -> None:
    text = json.dumps(event_to_json(event), allow_nan=False, ensure_ascii=False)
    back = event_from_json(json.loads(text.encode()))
    assert type(back) is type(event)
    assert back == event


@pytest.mark.parametrize("kind", ev.EVENTS.values(), ids=list(ev.EVENTS))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_each_kind_comes_back_whole(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(some(kind))
    out = event_to_json(event)
    assert out["event"] == kind.__name__
    assert out.keys() == {"schema", "event", *kind._fields}  # type: ignore[attr-defined]
    assert event_from_json(json.loads(json.dumps(out))) == event


def test_a_whole_run_folds_to_the_same_state_on_the_other_side() -> None:
    @heddle.tool(effect="read")
    async def look(x: str) -> dict[str, Any]:
        if x == "bad":
            raise ValueError("no such thing: $1")
        return {"$ref": x, "list": [1, 2.5, None]}

    @heddle.tool(effect="write")
    async def send(to: str) -> str:
        return to

    plan = """1. look("a")
2. lok("b")
3. look("bad")
4. look("x $3")
5. send("me")
6. llm("sum up", $1)"""
    replies = {"planner": plan, "repair": '2. look("b")', "worker": "hm", "joiner": "done"}
    agent = heddle.Agent(ScriptedModel(replies), [look, send], approve=lambda *_: True)
    events = run_virtual(agent.run("what?", inputs={"mail": "text"})).events
    lines = [json.dumps(event_to_json(event), allow_nan=False) for event in events]
    back = [event_from_json(json.loads(line)) for line in lines]
    assert back == events
    assert fold(back) == fold(events)
    kinds = {type(event).__name__ for event in events}
    assert {"HoleOpened", "HoleFilled", "StepIntent", "StepError", "PlanAccepted"} <= kinds


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


GOOD = event_to_json(ev.StepStarted(1.0, "1", 1))
ENDED = event_to_json(ev.StepEnded(1.0, "1", "done"))
ACCEPTED = event_to_json(ev.StepAccepted(1.0, 1, 1, Step("1", "look", {"x": Ref("2")})))
CALLED = event_to_json(ev.ModelCall(1, 1, "planner", 1, "m", 0, None, Usage(), None, ""))


@pytest.mark.parametrize(
    "data",
    [
        None, [], "StepStarted", 3, {}, nested(50_000),
        {"schema": ev.SCHEMA, "event": nested(50_000)},
        {**GOOD, "schema": 1}, {**GOOD, "schema": "1"}, {**GOOD, "schema": True},
        {**GOOD, "schema": None}, {name: GOOD[name] for name in GOOD if name != "schema"},
        {**GOOD, "event": "StepStart"}, {**GOOD, "event": None}, {**GOOD, "event": ["StepStarted"]},
        {**GOOD, "event": "__class__"},
        {name: GOOD[name] for name in GOOD if name != "element"}, {**GOOD, "more": 1},
        {**GOOD, 7: 1},
        {**GOOD, "at": "1.0"}, {**GOOD, "at": True}, {**GOOD, "at": float("nan")},
        {**GOOD, "at": None}, {**GOOD, "step": 1}, {**GOOD, "step": "\ud800"},
        {**GOOD, "attempt": 1.0}, {**GOOD, "attempt": True}, {**GOOD, "element": "0"},
        {**GOOD, "event": "StepEnded"},
        {**ENDED, "status": "fine"},
        {"schema": ev.SCHEMA, "event": "PlanRejected", "at": 1, "round": 1, "codes": "abc"},
        {"schema": ev.SCHEMA, "event": "PlanRejected", "at": 1, "round": 1, "codes": [1]},
        {**ACCEPTED, "step": {}}, {**ACCEPTED, "step": None}, {**ACCEPTED, "step": ["1", "look"]},
        {**ACCEPTED, "step": {**ACCEPTED["step"], "run": "rm"}},
        {**ACCEPTED, "step": {**ACCEPTED["step"], "origin": [1, 1]}},
        {**ACCEPTED, "step": {**ACCEPTED["step"], "origin": {"line": 1}}},
        {**ACCEPTED, "step": {**ACCEPTED["step"], "args": {"x": {"$ref": "1", "$item": []}}}},
        {**ACCEPTED, "step": {**ACCEPTED["step"], "default": float("inf")}},
        {**CALLED, "usage": None}, {**CALLED, "usage": {"input_tokens": 1}},
        {**CALLED, "usage": {**CALLED["usage"], "estimated": 0}},
    ],
    ids=lambda data: type(data).__name__,
)  # fmt: skip
def test_what_is_no_event_of_this_schema_is_refused(data: Any) -> None:
    with pytest.raises(WireError):
        event_from_json(data)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), {"x": [float("nan")]}, "\ud800", {"\udc00": 1}, {1: 2}, object(),
     {1, 2}, b"bytes", Ref("1"), nested(50_000)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_that_is_not_json_is_refused_on_both_ways(value: Any) -> None:
    with pytest.raises(WireError, match=r"^StepResult\.value: "):
        event_to_json(ev.StepResult(1, "1", 1, value))
    with pytest.raises(WireError, match=r"^StepResult\.value: "):
        event_from_json({**event_to_json(ev.StepResult(1, "1", 1, None)), "value": value})


@pytest.mark.parametrize("thing", [None, (1.0, "1"), ev.EffectOrigin("r", 1, 1, "h"), Usage()])
def test_only_events_are_written(thing: Any) -> None:
    with pytest.raises(WireError):
        event_to_json(thing)


# -- what is known to be sound -------------------------------------------------------------------


def test_a_step_with_nothing_but_arguments_is_the_same_however_it_is_made() -> None:
    origin = Origin(3, 7)
    args = {"at": [Ref("0", ("x", 1)), Ref("0"), "$1", {"deep": Ref("1")}], "n": 1.5}
    step = Step("1", "look", args, note="why", origin=origin)
    read = step_from_wire(step_to_wire(step), sound=True)
    assert isinstance(read, Step)
    assert read == step
    assert type(read) is Step, "whoever has looked at it has a step like any other"
    assert plain_step("1", "x", {}) == Step("1", "x")
    with pytest.raises(FrozenInstanceError):
        read.tool = "other"  # type: ignore[misc]


@pytest.mark.parametrize("change", [{"at": "1"}, {"at": True}, {"n": 1.5}, {"step": []}, {"x": 1}])
def test_what_is_known_to_be_sound_is_refused_too_where_a_field_does_not_fit(change: Any) -> None:
    data = event_to_json(StepAccepted(1.0, 1, 1, Step("1", "look", {}))) | change
    with pytest.raises(WireError, match=f"StepAccepted.*{next(iter(change))}"):
        event_from_json(data, sound=True)
