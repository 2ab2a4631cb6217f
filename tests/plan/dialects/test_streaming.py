"""Readers give back the same however a text is cut, and in linear time whatever it holds."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pieces import cut, pieces

from heddle.plan.dialects import DIALECTS, dialect_named, parse
from heddle.plan.dialects.reading.cursor import Cursor

BITS = [
    "1. f(",
    "2. g(",
    "\n",
    "\n2. g(",
    ")",
    '"',
    "'",
    '"""',
    "“",
    "”",
    ",",
    " ",
    "$1",
    "${1}",
    "\\",
]
BITS += ["[", "]", "{", "}", ":", "=", "#", "//", "/*", "*/", "join()", "<END_OF_PLAN>", "x", "1"]
BITS += [
    "\r\n",
    "\r",
    "\ufeff",
    "Thought: ",
    "2. ",
    "(",
    ".",
    "-",
    "name",
    '{"name": "f", "arguments": ',
]
BITS += ['"label": "v"', '{"heddle": 1, "steps": [', '{"id": "a", "tool": "t"}', "$v.x$", "\ud800"]
BITS += ["[f(a=1)", "f(", ";", "+", "]\n", '"f(a=1)"', "<function=f>", " for x in y"]
BITS += ["[3 = y1]", "[", "= y1]", "y1 = ", "-f-> y2]", "[FUNC f(", "y1", "```"]
BITS += ["x = f(", "\nif x:\n    ", "\nelse:\n", "```python\n", "\n```\n", 'f"{x}"', "for", " = "]
soups = st.lists(st.sampled_from(BITS), max_size=30).map("".join)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=soups, seed=st.integers(0, 99))
@example(text='1. f("""a""")\r\n', seed=0)
@example(text="\ufeff1. f(1)\r", seed=0)
def test_the_same_comes_out_of_any_text_however_it_is_cut(dialect, text, seed):
    whole = pieces(dialect, [text])
    assert pieces(dialect, cut(text, seed)) == whole
    assert pieces(dialect, list(text)) == whole


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=soups)
def test_line_ends_of_either_kind_mean_the_same(dialect, text):
    text = text.translate({ord("\r"): None, ord("\ufeff"): None})
    crlf = pieces(dialect, ["\ufeff" + text.replace("\n", "\r\n")])
    assert crlf == pieces(dialect, [text])


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=soups | st.text())
def test_nothing_that_a_model_writes_raises(dialect, text):
    plan = parse(text, dialect)
    assert plan.closed
    assert plan.entries or plan.findings
    for finding in plan.findings:
        assert finding.line >= 1
        assert finding.column >= 1
        assert len(finding.snippet) <= 120


HOSTILE = {
    "brackets": lambda size: "1. f(" + "[" * size,
    "brackets that close": lambda size: "1. f(" + "[" * (size // 2) + "}" * (size // 2),
    "objects": lambda size: '{"name": "f", "arguments": ' + '{"a":' * (size // 5),
    "objects without a value": lambda size: "[" + '{"a":1,' * (size // 7),
    "quotes": lambda size: '1. f("' + '" a' * (size // 3),
    "quotes in JSON": lambda size: '[{"a":"' + '" a' * (size // 3),
    "triple quotes": lambda size: '1. f("""' + '"" ' * (size // 3),
    "backslashes": lambda size: '1. f("' + "\\" * size,
    "one long word": lambda size: "1. " + "a" * size,
    "one long line": lambda size: "1. f(1) " + "x (" * (size // 3),
    "line ends": lambda size: "\n" * size,
    "blanks": lambda size: "1. f(1" + " " * size,
    "digits": lambda size: "1. f(" + "9" * size + ")",
    "references": lambda size: '1. f("' + "$7 " * (size // 3) + '")',
    "references in JSON": lambda size: (
        '{"name": "f", "arguments": ["' + "$a.b c" * (size // 6) + '"]}'
    ),
    "numbered lines": lambda size: "1. a\n" * (size // 5),
    "comments": lambda size: "[{" + "/*" * (size // 2),
    "calls in a call": lambda size: "1. f(" + "g(" * (size // 2),
    "calls in a list": lambda size: "[" + "f(a=1)," * (size // 7),
    "calls in texts": lambda size: "[" + '"f()",' * (size // 6),
    "lists of calls": lambda size: "[f()]" * (size // 5),
    "names": lambda size: "[" + "a.b\\_" * (size // 5),
    "signs after a list": lambda size: "[f()]" + "+ " * (size // 2),
    "lines with brackets": lambda size: "f(\n" * (size // 3),
    "arguments": lambda size: "1. f(" + "a," * (size // 2) + ")",
    "thoughts": lambda size: "Thought: x\n" * (size // 11),
    "steps in brackets": lambda size: "[1 = y1]" * (size // 8),
    "brackets in prose": lambda size: "[a [b] = [c\n" * (size // 12),
    "brackets that break off": lambda size: "[3 = y1 and " * (size // 12),
    "statements": lambda size: "x = f(1)\n" * (size // 9),
    "a block": lambda size: "if x:\n" + "    y = f(1)\n" * (size // 13),
    "conditions": lambda size: "if x:\n    y = 1\nelse:\n    y = 2\n" * (size // 36),
    "open statements": lambda size: "```python\n" + "x = f(\n" * (size // 7),
    "open texts": lambda size: 'x = """' + 'a"\n' * (size // 3),
    "a long list": lambda size: "x = [" + "1,\n" * (size // 3) + "]",
    "almost ends": lambda size: "<END_OF_PLA>" * (size // 12),
}


def operations(task: Callable[[], object]) -> int:
    """How many lines of the dialects' code run: work that does not depend on the machine."""
    import sys

    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if "dialects" not in frame.f_code.co_filename:
            return None
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        task()
    finally:
        sys.settrace(before)
    return count


def read_by_character(dialect, text):
    reader = dialect_named(dialect).reader()
    for char in text:
        reader.feed(char)
    return reader.close()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_work_grows_with_the_text_and_no_faster(dialect, kind):
    small, large = (HOSTILE[kind](size) for size in (500, 2000))
    before = operations(lambda: read_by_character(dialect, small))
    after = operations(lambda: read_by_character(dialect, large))
    assert after <= 5 * before + 2000


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_little_is_kept_back_of_a_text(dialect, kind):
    """What was not taken is copied at every chunk, so it must stay small."""
    reader = dialect_named(dialect).reader()
    for char in HOSTILE[kind](2000):
        reader.feed(char)
        assert len(reader._cursor.text) <= 8


def test_a_megabyte_one_character_at_a_time_is_read():
    text = '1. f("' + "($1 \n" * 200_000
    (hole,) = read_by_character("llmcompiler", text)
    assert [finding.code for finding in hole.findings] == ["unclosed-call"]


def test_a_cursor_knows_its_place_in_lines_that_end_either_way():
    cursor = Cursor()
    for chunk in ("\ufeffab\r", "\nc", "\r", "d"):
        cursor.feed(chunk)
        cursor.take(len(cursor.text))
    assert (cursor.line, cursor.column, cursor.snippet) == (2, 4, "c\rd")
