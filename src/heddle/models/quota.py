"""What a provider says of its own limits, in the headers of its answers.

    OpenAI and those like it     x-ratelimit-{limit,remaining,reset}-{requests,tokens}
    Anthropic                    anthropic-ratelimit-{requests,input-tokens,output-tokens}-…

OpenAI's reset is a time span ("1s", "6m0s", "120ms"), Anthropic's a date. OpenAI has one number for
all tokens; it stands as that of the input, which is the greater part.

Source: OpenAI, "Rate limits in headers"; Anthropic, "Rate limits: response headers".
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Grant", "Quota", "quota"]


class Grant(NamedTuple):
    """One limit of a provider.

    Attributes:
        per_minute: the whole of it.
        remaining: what is left now.
        reset_s: seconds until all of it is there again.
    """

    per_minute: int
    remaining: int
    reset_s: float


class Quota(NamedTuple):
    """The limits of a provider, as far as it says them."""

    requests: Grant | None = None
    input_tokens: Grant | None = None
    output_tokens: Grant | None = None


_OPENAI = tuple(f"x-ratelimit-{part}-{{}}" for part in ("limit", "remaining", "reset"))
_ANTHROPIC = tuple(f"anthropic-ratelimit-{{}}-{part}" for part in ("limit", "remaining", "reset"))
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MINUTE_S = 60.0


def quota(headers: Mapping[str, str]) -> Quota | None:
    """The limits that an answer's headers speak of; None if they do not.

    A limit whose whole comes back in much more than a minute (a day's) is left out.

    Args:
        headers: by name, looked up in lower case.

    >>> quota({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59",
    ...        "x-ratelimit-reset-requests": "1s"})
    Quota(requests=Grant(per_minute=60, remaining=59, reset_s=1.0), input_tokens=None, \
output_tokens=None)
    """
    found = Quota(
        _grant(headers, _OPENAI, "requests") or _grant(headers, _ANTHROPIC, "requests"),
        _grant(headers, _OPENAI, "tokens") or _grant(headers, _ANTHROPIC, "input-tokens"),
        _grant(headers, _ANTHROPIC, "output-tokens"),
    )
    return found if any(found) else None


def _grant(headers: Mapping[str, str], form: tuple[str, ...], kind: str) -> Grant | None:
    limit, remaining, reset = (headers.get(name.format(kind), "") for name in form)
    if not (_digits(limit) and _digits(remaining)) or int(limit) < 1:
        return None
    reset_s = _span_s(reset)
    if reset_s is None:
        reset_s = _until_s(reset, headers.get("date", ""))
    return Grant(int(limit), int(remaining), reset_s) if reset_s <= _MINUTE_S * 1.5 else None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _span_s(text: str) -> float | None:
    """A time span in seconds, or a bare number of them; None if it is neither.

    >>> _span_s("6m0s"), _span_s("120ms"), _span_s("2026-01-01T00:00:00Z")
    (360.0, 0.12, None)
    """
    parts = _SPAN.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _until_s(text: str, date: str) -> float:
    """Seconds until a date; a minute where it cannot be read."""
    from email.utils import parsedate_to_datetime

    try:
        until = datetime.fromisoformat(text)
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return _MINUTE_S
