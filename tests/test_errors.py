"""What is raised says what to do, also where nobody catches it."""

from __future__ import annotations

import traceback

from heddle.errors import ConfigError, HeddleError, ModelError


def shown(error: HeddleError) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


def test_a_traceback_ends_with_the_message_and_the_hint() -> None:
    error = ConfigError("no model was given", code="no-model", hint="pass one")
    assert shown(error) == ["heddle.errors.ConfigError: no model was given", "hint: pass one"]
    failed = ModelError("status 500", code="server-error", provider="openai", hint="ask later")
    assert shown(failed)[-1] == "hint: ask later"


def test_without_a_hint_there_is_no_more_than_the_message() -> None:
    error = ConfigError("no model was given", code="no-model")
    assert shown(error) == ["heddle.errors.ConfigError: no model was given"]
    assert str(error) == error.message
