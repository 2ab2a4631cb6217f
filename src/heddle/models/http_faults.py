"""What went wrong between us and a provider, as a `ModelError`.

    refused, no such host, no TLS            unreachable      retryable
    closed before or within the reply        cut              retryable
    silent for longer than the bound         stalled          retryable
    401, 403                                 unauthorized
    404                                      not-found
    429                                      rate-limited     retryable, with the provider's wish
    408, 5xx                                 server-error     retryable
    any other status                         bad-request
    a status whose words refuse tools        no-tool-calls
    an event that makes no sense             garbage          retryable
    an error where the reply should go on    by its own status, else server-error

A provider may echo a key in its words: every text from outside passes through `Voice.said`, which
takes the key out before it cuts the text to length.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heddle.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Foreign", "Voice", "retry_after_s"]

Foreign: TypeAlias = Any  # JSON from a server, of whatever form
MAX_QUOTED: Final = 300

TOOLS_REFUSED_WITH: Final = (400, 404, 422, 500, 501)
"""OpenRouter says 404 where no server of a model takes tools, llama.cpp 500 without --jinja."""

TOOLS: Final = re.compile(r"\btools?\b|\btool[_-]|\bfunction[ _-]call", re.IGNORECASE)
REFUSED: Final = re.compile(
    r"support|not (?:permitted|available|enabled|allowed)|unknown|unrecogni[sz]ed|requires --",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Voice:
    """Says what went wrong with one model of one provider, and never says its key.

    Attributes:
        provider: as in "openai".
        model: as in "gpt-5-mini".
        address: where requests go, without user or password.
        key_variable: the environment variable that holds the key.
        key: the secret that no text may show; "" for none.
    """

    provider: str
    model: str
    address: str
    key_variable: str
    key: str = field(default="", repr=False)

    def said(self, text: str) -> str:
        """Foreign text for an error message: on one line, cut to length, without the key."""
        shown = text.replace(self.key, "[key]") if self.key else text
        cut = shown[:MAX_QUOTED]
        line = " ".join("".join(c if c.isprintable() else " " for c in cut).split())
        return line + "…" if len(shown) > MAX_QUOTED else line

    def error(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> ModelError:
        """An error of this model."""
        return ModelError(
            f"{self.provider}:{self.model}: {message}",
            code=code,
            provider=self.provider,
            hint=hint,
            retryable=retryable,
            retry_after_s=retry_after_s,
        )

    def unreachable(self, error: Exception) -> ModelError:
        """No connection came about."""
        return self.error(
            "unreachable",
            f"cannot reach {self.address} ({self.said(str(error)) or type(error).__name__})",
            "check that the server runs, its address, and your network or proxy",
            retryable=True,
        )

    def stalled(self, silence_s: float) -> ModelError:
        """Nothing came for too long."""
        return self.error(
            "stalled",
            f"no data for {silence_s:g} s",
            "raise limits.stall_timeout_s, or look at the provider's status",
            retryable=True,
        )

    def cut(self, when: str) -> ModelError:
        """The connection was closed too early."""
        return self.error(
            "cut",
            f"the connection was closed {when}",
            "ask again; if it happens often, look at the server's log or the proxy between",
            retryable=True,
        )

    def garbage(self, what: str) -> ModelError:
        """What came is not what the protocol promises."""
        return self.error(
            "garbage",
            what,
            f"is {self.address} an OpenAI-compatible server?",
            retryable=True,
        )

    def refused(self, reason: str) -> ModelError:
        """The model, or a filter before it, declined to answer."""
        return self.error(
            "refused", f"no answer: {self.said(reason)}", "put the question in other words"
        )

    def answered(
        self, status: int, headers: Mapping[str, str], body: bytes, *, tools: bool = False
    ) -> ModelError:
        """An HTTP answer that is no reply.

        Args:
            status: the HTTP status, not 200.
            headers: by name, looked up in lower case.
            body: what came with it, or the beginning of that.
            tools: whether the request offered some.
        """
        words = self.said(_words(body.decode(errors="replace")))
        if tools and status in TOOLS_REFUSED_WITH and _refuses_tools(words):
            return self.error(
                "no-tool-calls",
                f"status {status}: {words}",
                "this model has no native tool calls: use --strategy react or llmcompiler",
            )
        return self._by_status(status, words, retry_after_s(headers))

    def failed_within(self, error: Foreign) -> ModelError:
        """An error object in the place of the next part of a reply."""
        words = self.said(_message(error) or json.dumps(error))
        code: Foreign = error.get("code") if isinstance(error, dict) else None  # type: ignore[reportUnknownVariableType]
        if isinstance(code, int) and 400 <= code < 600:  # OpenRouter puts the status there
            return self._by_status(code, words, None)
        if code == "rate_limit_exceeded":
            return self._by_status(429, words, None)
        return self.error(
            "server-error", f"the provider broke off: {words}", "ask again", retryable=True
        )

    def _by_status(self, status: int, words: str, wait_s: float | None) -> ModelError:
        what = f"status {status}" + (f": {words}" if words else "")
        if status in (401, 403):
            hint = f"check {self.key_variable}, and what its owner may use"
            return self.error("unauthorized", what, hint)
        if status == 404:
            hint = f"does {self.address} have a model {self.model!r}?"
            return self.error("not-found", what, hint)
        if status == 429:
            hint = (
                "ask less often (limits.requests_per_minute, --rpm), or look at the account's quota"
            )
            return self.error("rate-limited", what, hint, retryable=True, retry_after_s=wait_s)
        if status == 408 or status >= 500:
            hint = "ask again later; look at the provider's status"
            return self.error("server-error", what, hint, retryable=True, retry_after_s=wait_s)
        hint = f"see the message; is {self.address} the right address?"
        return self.error("bad-request", what, hint)


def _refuses_tools(words: str) -> bool:
    """Whether offered tools are refused as such, and not for something wrong with one of them."""
    return bool(TOOLS.search(words) and REFUSED.search(words)) and "schema" not in words.lower()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that a provider asks for, in seconds: from its ms header, seconds, or an HTTP date.

    A date is measured from the answer's own `date`, so that a wrong clock here does no harm.
    None where nothing usable is said.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` as OpenAI and Azure send it.

    >>> retry_after_s({"retry-after-ms": "1500"}), retry_after_s({"retry-after": "2"})
    (1.5, 2.0)
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < math.inf else None
    until = _date(headers.get("retry-after", ""))
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _words(body: str) -> str:
    """The message in an error body: `error.message` where there is one, else the text itself."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(answer, dict):
        return body
    return _message(answer.get("error")) or _message(answer) or body  # type: ignore[reportUnknownMemberType]


def _message(error: Foreign) -> str:
    """Its text, where an error is one or has one."""
    if isinstance(error, dict):
        error = error.get("message")  # type: ignore[reportUnknownMemberType]
    return error if isinstance(error, str) else ""
