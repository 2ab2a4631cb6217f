r"""Markup that is safe by construction: text is escaped unless it was made here.

Everything that tools, models and users wrote passes through `tag` or `text`; there is no other way
into the page. Characters that hide or reorder text are shown by their number.

>>> tag("b", "a < b", title='"x"')
'<b title="&quot;x&quot;">a &lt; b</b>'
>>> text("evil\u202etxt")
'evil⟦U+202E⟧txt'
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Markup", "join", "shorten", "tag", "text", "visible"]

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Controls (all but tab and newline), bidirectional controls, invisible fillers, line separators,
lone surrogates and tag characters. Joiners stay: scripts and emoji need them."""

_SELF_CLOSING = frozenset(("circle", "line", "link", "meta", "path", "rect"))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def visible(value: str) -> str:
    """Text with each hidden character shown by its number. Cost: linear."""
    return _HIDDEN.sub(lambda hit: f"⟦U+{ord(hit[0]):04X}⟧", value)


def text(value: object) -> Markup:
    """A value as text between tags; markup stays as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(visible(str(value)), quote=False))


def tag(name: str, /, *children: object, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        name: the element's name, from the program and never from data.
        children: markup, or text to be escaped.
        attributes: `class_` for class and `a_b` for a-b; None leaves the attribute out.
    """
    head = name
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            head += f' {key.rstrip("_").replace("_", "-")}="{escape(visible(shown))}"'
    if name in _SELF_CLOSING:
        return Markup(f"<{head}/>")
    return Markup(f"<{head}>{''.join(map(text, children))}</{name}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Pieces of markup, one after the other."""
    return Markup("".join(parts))


def shorten(value: str, room: int) -> str:
    """One line of visible text, at most so many characters long.

    >>> shorten("a long name", 7)
    'a long…'
    """
    line = " ".join(visible(value[: room * 4 + 1]).split())
    return line if len(line) <= room else line[: room - 1].rstrip() + "…"
