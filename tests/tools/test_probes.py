"""What a tool may declare for writes whose outcome nobody saw."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import heddle
from heddle.engine.settings import tool_hashes
from heddle.errors import ConfigError
from heddle.plan.spec import Ruling


def declared(effect: Any = "write", **options: Any) -> heddle.Tool:
    @heddle.tool(effect=effect, **options)
    async def send(to: str, body: str = "") -> date:
        return date(2026, 1, 1)

    return send


def test_a_policy_is_part_of_what_is_known_of_a_tool() -> None:
    assert declared().spec.on_unknown is None
    assert declared(on_unknown=heddle.Unsure()).spec.on_unknown is None
    lost = declared(on_unknown=heddle.Failed("lost")).spec.on_unknown
    assert lost == Ruling("failed", reason="lost")
    done = declared(on_unknown=heddle.Done(date(2026, 2, 3))).spec.on_unknown
    assert done == Ruling("done", "2026-02-03")


def test_it_does_not_hold_at_once_where_a_probe_may_say() -> None:
    async def look_up(to: str, body: str = "") -> Any: ...

    spec = declared(probe=look_up, on_unknown=heddle.Failed()).spec
    assert spec.on_unknown == Ruling("failed", at_once=False)


def test_another_policy_is_another_tool_and_a_probe_more_is_not() -> None:
    def of(**options: Any) -> str:
        return tool_hashes({"send": declared(**options).spec})["send"]

    async def look_up(to: str, body: str = "") -> Any: ...

    plain, failed, done = (
        of(),
        of(on_unknown=heddle.Failed("")),
        of(on_unknown=heddle.Done("2026-02-03")),
    )
    assert len({plain, failed, done, of(on_unknown=heddle.Failed("why"))}) == 4
    assert of(on_unknown=heddle.Failed(""), probe=look_up) == failed
    assert of(on_unknown=heddle.Unsure()) == plain


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_unknown": heddle.NotDone()}, "no write is repeated because nobody knows"),
        ({"on_unknown": "failed"}, "is no policy"),
        ({"on_unknown": heddle.Done("no date")}, "on_unknown: "),
        ({"effect": "idempotent", "on_unknown": heddle.Failed()}, "only a write has on_unknown="),
        ({"effect": "read", "probe": lambda to, body: None}, "only a write has probe="),
        ({"probe": lambda to: None}, "does not take the same arguments"),
        ({"probe": lambda to, body: None}, "missing a required argument: 'body'"),
        ({"probe": lambda to, body="", more="": None, "on_unknown": 3}, "is no policy"),
    ],
)
def test_what_could_not_be_kept_is_refused_where_it_is_declared(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        declared(**options)
    assert caught.value.code == "bad-tool"
    assert says in f"{caught.value.message}\n{caught.value.hint}"
    assert "tool 'send'" in caught.value.message
