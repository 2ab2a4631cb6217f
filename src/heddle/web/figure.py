"""What both figures share: the frame with its words for readers, text that fits, the legend."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from heddle.web.markup import Markup, join, shorten, tag
from heddle.web.view import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["drawing", "fitted", "legend", "path_of", "status_words", "tally"]


def drawing(
    name: str, title: str, description: str, width: float, height: float, body: Markup
) -> Markup:
    """An SVG drawing in a frame that scrolls by itself, with its words for those who hear it.

    Args:
        name: unique in the page.
        title: what it is.
        description: what is to be seen in it.
        width: pixels.
        height: pixels.
        body: its elements.
    """
    svg = tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        body,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        width=round(width),
        height=round(height),
        viewBox=f"0 0 {round(width)} {round(height)}",
    )
    return tag("div", svg, class_="scroll", tabindex=0, role="region", aria_label=title)


def fitted(value: str, room: int) -> str:
    """Text cut to so many columns; wide characters take two."""
    line = shorten(value, room)
    columns = 0
    for place, character in enumerate(line):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns > room:
            return line[: max(place - 1, 0)] + "…"
    return line


def path_of(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of a path through some points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def tally(statuses: Iterable[str]) -> dict[str, int]:
    """How often each status occurs, in the order of `ICONS`; only those that do."""
    found = list(statuses)
    counts = {status: found.count(status) for status in ICONS}
    return {status: number for status, number in counts.items() if number}


def status_words(counts: dict[str, int]) -> str:
    """A tally in words.

    >>> status_words({"done": 3, "failed": 1})
    '3 done, 1 failed'
    """
    return ", ".join(f"{number:,} {status}" for status, number in counts.items())


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """A list of swatches: (class of the swatch, words)."""
    items = [tag("li", tag("i", class_=f"key {kind}"), words) for kind, words in entries]
    return tag("ul", join(items), class_="legend")
