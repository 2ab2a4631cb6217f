"""Markup and spelling: what is written is what is read, and never more."""

from __future__ import annotations

import json
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.plan.ir import Choose, Input, Item, Ref, Step, Template, When
from heddle.web.figure import fitted
from heddle.web.markup import Markup, shorten, tag, text, visible
from heddle.web.spelling import arguments, count, cut, plain, seconds, spell

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


class TestMarkup:
    @given(st.text())
    def test_text_reads_back_as_it_was_made_visible(self, value: str) -> None:
        made = text(value)
        assert "<" not in made
        assert unescape(made) == visible(value)

    @given(st.text())
    def test_an_attribute_never_ends_early(self, value: str) -> None:
        made = tag("b", title=value)
        assert made.startswith('<b title="')
        assert made.endswith('"></b>')
        assert '"' not in made[len('<b title="') : -len('"></b>')]

    @given(st.text(st.characters()))
    def test_visible_text_can_be_written_as_utf8(self, value: str) -> None:
        visible(value).encode()

    def test_markup_is_not_escaped_again(self) -> None:
        assert tag("p", Markup("<b></b>"), "<") == "<p><b></b>&lt;</p>"

    @pytest.mark.parametrize("kept", ["\t", "\n", "é", "👩\u200d🚀", "می\u200cخواهم", "🏳️"])
    def test_ordinary_text_stays_as_it_is(self, kept: str) -> None:
        assert visible(kept) == kept

    @given(st.text(), st.integers(1, 40))
    def test_shortened_text_is_one_line_that_fits(self, value: str, room: int) -> None:
        short = shorten(value, room)
        assert len(short) <= room
        assert "\n" not in short

    def test_wide_characters_count_twice(self) -> None:
        assert fitted("東京都千代田区", 8) == "東京都…"
        assert fitted("Chiyoda", 8) == "Chiyoda"


class TestSpelling:
    @given(json_values)
    def test_a_value_is_spelled_as_json(self, value: object) -> None:
        assert json.loads(plain(spell(value))) == value

    @given(json_values, st.integers(0, 60))
    def test_a_cut_is_a_beginning_that_fits(self, value: object, room: int) -> None:
        whole = plain(spell(value))
        pieces, more = cut(spell(value), room)
        assert whole.startswith(plain(pieces))
        assert len(plain(pieces)) == min(room, len(whole))
        assert more == (len(whole) > room)

    def test_a_circle_ends_at_the_cut(self) -> None:
        loop: list[object] = []
        loop.append(loop)
        pieces, more = cut(spell(loop), 50)
        assert plain(pieces) == "[" * 50
        assert more

    def test_a_number_too_long_to_write_is_not_written(self) -> None:
        assert plain(spell(10**100_000)) == "<a very large number>"

    def test_what_is_not_json_is_named_by_its_type(self) -> None:
        assert plain(spell([object()])) == "[<object>]"

    @pytest.mark.parametrize(
        ("value", "spelled"),
        [
            (Ref("3"), "$3"),
            (Ref("3", ("field", 0, "odd key")), '$3.field[0]["odd key"]'),
            (Item(("name",)), "$item.name"),
            (Input("mail", (0,)), "$input.mail[0]"),
            (Template(("a ", Ref("1"), "\n")), '"a $1\\n"'),
            (Choose((Ref("1"), Ref("2"))), "first of ($1, $2)"),
        ],
    )
    def test_nodes_are_spelled_as_plans_write_them(self, value: object, spelled: str) -> None:
        assert plain(spell(value)) == spelled

    def test_references_are_told_from_text_that_looks_like_them(self) -> None:
        pieces = arguments(Step("2", "t", {"0": "$1", "x": Ref("1")}))
        assert [piece.text for piece in pieces if piece.reference] == ["$1"]
        assert plain(pieces) == '"$1", x: $1'

    def test_what_decides_whether_a_step_runs_is_shown(self) -> None:
        step = Step("3", "t", over=Ref("1"), when=When(Ref("2", ("ok",)), True), after=("0",))
        assert plain(arguments(step)) == " for each of $1 if not $2.ok after $0"

    @pytest.mark.parametrize(
        ("value", "said"),
        [(0.0, "0 s"), (0.0042, "4.20 ms"), (0.5, "0.500 s"), (9.876, "9.88 s"), (75.0, "75.0 s")],
    )
    def test_durations(self, value: float, said: str) -> None:
        assert seconds(value).replace("\N{NO-BREAK SPACE}", " ") == said

    def test_counts(self) -> None:
        assert [count(n, "step") for n in (0, 1, 1000)] == ["0 steps", "1 step", "1,000 steps"]
