"""Faults: what an exception says of the call that raised it, in one place.

    throttled     refused by an allowance before anything was done
    unavailable   the provider, or the way to it, is down
    lost          no answer: what became of the request was not seen
    own           the tool's own exception, which says nothing of its provider
    final         the same call would fail again: bad arguments, 400, 401, 403, 404, 422

The first three are transient: `pure`, `read` and `idempotent` calls are made again. A write is made
again only where the fault proves that nothing was sent; a write that was lost is unknown.

Exceptions of HTTP clients are known by their names and by the status that they carry, so that none
of these clients is imported here.
"""

from __future__ import annotations

from socket import gaierror
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from heddle.engine.costs import Outcome
from heddle.errors import HeddleError, ModelError, NotSent, ToolFailed
from heddle.models.http_faults import retry_after_s
from heddle.plan.canonical import sound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.plan.spec import Effect

__all__ = [
    "RESOLVED_FAILED",
    "TIMED_OUT",
    "Fault",
    "FaultKind",
    "Reported",
    "fault_of",
    "outcome_of",
    "said_of",
]

RESOLVED_FAILED = "resolved-failed"
"""Code of a write that counts as failed because somebody, or its tool's policy, said so."""

_MAX_MESSAGE = 4_000
"""Characters of a failure's message: it stands in events and in what a joiner reads."""

FaultKind: TypeAlias = Literal["throttled", "unavailable", "lost", "own", "final"]


class Fault(NamedTuple):
    """What an exception says of its call.

    Attributes:
        not_sent: it proves that nothing has happened.
        retry_after_s: the provider's own wish, a floor.
    """

    kind: FaultKind
    not_sent: bool = False
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later, by what is known of it."""
        return self.kind in ("throttled", "unavailable", "lost")

    def repeatable(self, effect: Effect) -> bool:
        """Whether a call of that class may be made again without doing anything twice."""
        return self.kind != "final" and (effect != "write" or self.not_sent)


TIMED_OUT: Final = Fault("own")
"""An attempt that ran out of time: how long it may take is the plan's or the tool's own word."""

_BY_CODE: Final[dict[str, Fault]] = {
    "rate-limited": Fault("throttled", not_sent=True),
    "unreachable": Fault("unavailable", not_sent=True),
    "server-error": Fault("unavailable"),
    "stalled": Fault("lost"),
    "cut": Fault("lost"),
    "garbage": Fault("lost"),
}

_NEVER_SENT: Final = frozenset(
    f"{client}.{name}"
    for client, names in {
        "httpx": ("ConnectError", "ConnectTimeout", "PoolTimeout"),
        "httpx2": ("ConnectError", "ConnectTimeout", "PoolTimeout"),
        "requests": ("ConnectTimeout",),
        "aiohttp": ("ClientConnectorError",),
    }.items()
    for name in names
)

_LOST: Final = frozenset(
    f"{client}.{name}"
    for client, names in {
        "httpx": ("TransportError",),
        "httpx2": ("TransportError",),
        "requests": ("ConnectionError", "Timeout"),
        "aiohttp": ("ClientConnectionError",),
    }.items()
    for name in names
)

_FINAL_CODES: Final = frozenset(("bad-argument", "bad-path", "too-wide", "not-runnable"))
"""Codes of faults that lie in the plan and not in the call."""


def fault_of(error: BaseException) -> Fault:
    """What an exception says of its call; never raises. Cost: O(its bases)."""
    if isinstance(error, HeddleError):
        return _of_ours(error)
    if not isinstance(error, Exception):
        return Fault("final")  # SystemExit, a cancellation of the tool's own
    reason = getattr(error, "reason", None)
    if isinstance(reason, OSError):  # urllib's URLError
        return fault_of(reason)
    if isinstance(error, (ConnectionRefusedError, gaierror)):
        return Fault("unavailable", not_sent=True)
    names = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__}
    if names & _NEVER_SENT:
        return Fault("unavailable", not_sent=True)
    if names & _LOST or isinstance(error, (ConnectionError, TimeoutError)):
        return Fault("lost")
    return _of_answer(error)


class Reported(ToolFailed):
    """A failure from another process, which knows what it says of its call.

    Attributes:
        fault: that.
    """

    def __init__(self, message: str, *, code: str, fault: Fault, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.fault = fault


def said_of(error: BaseException) -> tuple[str, str]:
    """Code and words of an exception, whatever it is: they must be fit to be written down."""
    if isinstance(error, HeddleError):
        return sound(error.code), sound(error.message[:_MAX_MESSAGE])
    kind = type(error).__name__
    try:
        text = f"{kind}: {error}"
    except Exception:  # its own `__str__` fails
        text = kind
    return "tool-failed", sound(text[:_MAX_MESSAGE])


def _of_ours(error: HeddleError) -> Fault:
    wait_s: float | None = getattr(error, "retry_after_s", None)
    if isinstance(error, Reported):
        return error.fault
    if isinstance(error, NotSent):
        return Fault("unavailable", not_sent=True, retry_after_s=wait_s)
    if isinstance(error, ModelError):
        if not error.retryable:
            return Fault("final")
        return _BY_CODE.get(error.code, Fault("unavailable"))._replace(retry_after_s=wait_s)
    if isinstance(error, ToolFailed) and error.retryable:
        return Fault("unavailable", retry_after_s=wait_s)
    return Fault("final" if error.code in _FINAL_CODES else "own")


def _of_answer(error: Exception) -> Fault:
    """An HTTP status that the exception of some client carries."""
    try:
        answer: Any = getattr(error, "response", error)
        status = _status(answer)
        headers: Mapping[Any, Any] = getattr(answer, "headers", None) or {}
        wait_s = retry_after_s({str(name).lower(): str(text) for name, text in headers.items()})
    except Exception:  # attributes of foreign exceptions may do anything
        return Fault("own")
    if status in (429, 529):
        return Fault("throttled", retry_after_s=wait_s)
    if status in (408, 502, 504):
        return Fault("lost", retry_after_s=wait_s)
    if status >= 500:
        return Fault("unavailable", retry_after_s=wait_s)
    return Fault("final" if status >= 400 else "own")


def _status(answer: Any) -> int:
    """The status of an HTTP answer, as httpx, requests and aiohttp, or urllib name it; else 0."""
    found = (getattr(answer, name, None) for name in ("status_code", "status", "code"))
    return next((code for code in found if type(code) is int and 400 <= code < 600), 0)


def outcome_of(error: BaseException | None) -> Outcome:
    """What came of a call, as its provider's allowance and its breaker want to know it."""
    if error is None:
        return _WELL
    fault = fault_of(error)
    if fault.kind == "throttled":
        return Outcome("throttled", retry_after_s=fault.retry_after_s)
    if fault.transient:
        return Outcome("failed", retry_after_s=fault.retry_after_s)
    return _DROPPED


_WELL: Final = Outcome()
_DROPPED: Final = Outcome("dropped")
