"""Hints and docstrings as schemas."""

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import Field

from heddle.tools.signature import read_docstring, read_signature


@dataclasses.dataclass
class Leg:
    start: str
    end: str


def test_parameters_keep_the_signatures_order():
    def f(zulu: int, alpha: str = "x", *, mike: bool) -> None: ...

    found = read_signature(f, "f")
    assert list(found.parameters["properties"]) == ["zulu", "alpha", "mike"]
    assert found.parameters["required"] == ["zulu", "mike"]


def test_without_required_parameters_there_is_no_required_list():
    def f(x: int = 1) -> None: ...

    assert "required" not in read_signature(f, "f").parameters


def test_one_type_used_twice_has_one_definition():
    def f(first: Leg, rest: list[Leg]) -> Leg: ...  # pyright: ignore

    found = read_signature(f, "f")
    assert list(found.parameters["$defs"]) == ["Leg"]
    assert found.parameters["properties"]["first"]["$ref"] == "#/$defs/Leg"
    assert found.parameters["properties"]["rest"]["items"] == {"$ref": "#/$defs/Leg"}
    assert found.result is not None
    assert set(found.result["properties"]) == {"start", "end"}


def test_annotated_words_win_over_the_docstring():
    def f(x: Annotated[int, Field(ge=1, description="from the hint")]) -> None:
        """Do.

        Args:
            x: from the docstring
        """

    schema = read_signature(f, "f").parameters["properties"]["x"]
    assert schema == {"type": "integer", "minimum": 1, "description": "from the hint"}


def test_literals_are_enumerations():
    def f(side: Literal["left", "right"] = "left") -> None: ...

    schema = read_signature(f, "f").parameters["properties"]["side"]
    assert schema == {"type": "string", "enum": ["left", "right"], "default": "left"}


def test_a_default_without_json_form_is_left_out_of_the_schema():
    def f(x: Any = object()) -> None: ...  # noqa: B008

    assert read_signature(f, "f").parameters["properties"]["x"] == {}


def test_no_return_type_and_any_say_nothing_of_the_result():
    def unsaid(x: int): ...
    def anything(x: int) -> Any: ...

    assert read_signature(unsaid, "unsaid").result is None
    assert read_signature(anything, "anything").result is None


def test_google_docstrings_are_read():
    text = """Find flights
    for a day.

    Long words.

    Args:
        origin (str): where from:
            an airport
            code.
        day: when
        *rest: more

    Returns:
        nothing: at all
    """
    assert read_docstring("\n".join(line.removeprefix("    ") for line in text.splitlines())) == (
        "Find flights for a day.",
        {"origin": "where from: an airport code.", "day": "when", "rest": "more"},
    )


def test_odd_docstrings_do_no_harm():
    assert read_docstring("") == ("", {})
    assert read_docstring("Args:") == ("", {})
    assert read_docstring("Args:\n  no colon here\nx: outside") == ("", {})
    assert read_docstring("One.\nArgs:\n  x: y")[0] == "One."
    assert read_docstring(":" * 100_000 + "\n" * 100_000)[1] == {}
