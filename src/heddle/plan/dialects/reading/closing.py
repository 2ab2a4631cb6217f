"""Where the bracket of a call closes, in texts whose brackets need not match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heddle.plan.dialects.reading.literal import PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Unclosed", "closes"]

_BRACKETS = {"[": re.compile(r"[\[\]]"), "(": re.compile(r"[()]")}


def closes(text: str, opening: str) -> int:
    """Where the bracket that opened before a text closes in it; -1 if it does not.

    A bracket more than there should be belongs to what stands between, if words come before it:
    `what does "a]b" mean?]`.

    Args:
        text: what follows the bracket.
        opening: the bracket, square or round; the other kind is text.

    Cost: linear in the text.
    """
    ends = list(_ends(text, opening))
    if not ends:
        return -1
    between = text[ends[0] + 1 : ends[-1]]
    return ends[-1] if any(char.isalnum() for char in between) else ends[0]


def _ends(text: str, opening: str) -> Iterator[int]:
    """Where more brackets of a kind have closed than opened."""
    depth = 0
    for found in _BRACKETS[opening].finditer(text):
        if found[0] == opening:
            depth += 1
        elif depth:
            depth -= 1
        else:
            yield found.start()


class Unclosed:
    """The text after an opening bracket, line by line until it closes.

    Attributes:
        opening: the bracket.
    """

    def __init__(self, opening: str) -> None:
        self.opening = opening
        self._lines: list[str] = []
        self._depth = 1

    @property
    def text(self) -> str:
        """What stands after the bracket so far, or up to the one that closes it."""
        return "\n".join(self._lines)

    def add(self, text: str) -> str | None:
        """Take a line, or the rest of one; what follows the closing bracket, or None.

        Cost: linear in the line.
        """
        if self._depth == 1 and (end := closes(text, self.opening)) >= 0:
            self._lines.append(text[:end])
            return text[end + 1 :]
        for found in _BRACKETS[self.opening].finditer(text):
            self._depth += 1 if found[0] == self.opening else -1
            if not self._depth:
                self._lines.append(text[: found.start()])
                return text[found.end() :]
        self._lines.append(text)
        return None

    def meant(self) -> str | None:
        """What a text was meant to be whose closing bracket never came, or None.

        It may end with that bracket, after others that do not match; or it is one line.
        """
        text = self.text.strip()
        if text.endswith(PAIRS[self.opening]):
            return text[:-1]
        return text if text and "\n" not in text else None
