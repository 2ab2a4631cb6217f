"""What an exception says of its call: whether another attempt may do better, and may be made."""

from __future__ import annotations

import socket
import urllib.error
from email.message import Message

import httpx2
import pytest

from heddle.engine.faults import Fault, fault_of, outcome_of
from heddle.errors import ModelError, NotSent, ToolFailed


def answered(status: int, **headers: str) -> Exception:
    """What an HTTP client raises for that status."""
    request = httpx2.Request("GET", "http://example.invalid")
    answer = httpx2.Response(status, headers=headers, request=request)
    with pytest.raises(httpx2.HTTPStatusError) as caught:
        answer.raise_for_status()
    return caught.value


def of_model(code: str, *, retryable: bool = True, wait_s: float | None = None) -> ModelError:
    return ModelError("no", code=code, provider="p", retryable=retryable, retry_after_s=wait_s)


@pytest.mark.parametrize(
    ("error", "kind", "not_sent"),
    [
        (NotSent("no connection"), "unavailable", True),
        (ToolFailed("busy", retryable=True), "unavailable", False),
        (ToolFailed("no such order"), "own", False),
        (ToolFailed("x is no number", code="bad-argument"), "final", False),
        (of_model("rate-limited"), "throttled", True),
        (of_model("unreachable"), "unavailable", True),
        (of_model("server-error"), "unavailable", False),
        (of_model("cut"), "lost", False),
        (of_model("stalled"), "lost", False),
        (of_model("unauthorized", retryable=False), "final", False),
        (of_model("bad-request", retryable=False), "final", False),
        (ConnectionRefusedError(), "unavailable", True),
        (socket.gaierror(), "unavailable", True),
        (urllib.error.URLError(ConnectionRefusedError()), "unavailable", True),
        (ConnectionResetError(), "lost", False),
        (BrokenPipeError(), "lost", False),
        (TimeoutError(), "lost", False),
        (httpx2.ConnectError("no"), "unavailable", True),
        (httpx2.ReadTimeout("no"), "lost", False),
        (httpx2.RemoteProtocolError("cut"), "lost", False),
        (answered(429), "throttled", False),
        (answered(529), "throttled", False),
        (answered(503), "unavailable", False),
        (answered(504), "lost", False),
        *((answered(status), "final", False) for status in (400, 401, 403, 404, 422)),
        (urllib.error.HTTPError("http://x", 503, "", Message(), None), "unavailable", False),
        (ValueError("my own"), "own", False),
        (SystemExit(1), "final", False),
    ],
)
def test_every_exception_has_one_kind(error: BaseException, kind: str, not_sent: bool) -> None:
    assert fault_of(error)[:2] == (kind, not_sent)


def test_a_write_is_repeatable_only_where_nothing_was_sent() -> None:
    lost, refused = fault_of(ConnectionResetError()), fault_of(ConnectionRefusedError())
    assert not lost.repeatable("write")
    assert refused.repeatable("write")
    assert lost.repeatable("idempotent")
    assert not Fault("final").repeatable("pure")


def test_a_wish_to_wait_is_read_from_errors_and_from_answers() -> None:
    wishes = (of_model("rate-limited", wait_s=2.0), NotSent("full", retry_after_s=3.0))
    assert [fault_of(error).retry_after_s for error in wishes] == [2.0, 3.0]
    assert fault_of(answered(503, **{"Retry-After": "7"})).retry_after_s == 7.0


def test_an_exception_whose_attributes_raise_is_the_tools_own() -> None:
    class Odd(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError("not yet")

    assert fault_of(Odd()).kind == "own"


def test_a_provider_is_told_of_its_own_faults_only() -> None:
    kinds = [
        outcome_of(error).kind
        for error in (None, answered(429), ConnectionResetError(), ValueError(), answered(404))
    ]
    assert kinds == ["ok", "throttled", "failed", "dropped", "dropped"]
