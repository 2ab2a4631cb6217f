"""The reply to a chat completion, read event by event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from heddle.errors import ModelError
from heddle.models.call_deltas import ContradictoryCall
from heddle.models.protocol import Usage

if TYPE_CHECKING:
    from heddle.models.call_deltas import CallReader
    from heddle.models.http_faults import Foreign, Voice
    from heddle.models.protocol import ToolCall

__all__ = ["MAX_ERROR_BYTES", "Reply"]

MAX_ERROR_BYTES = 64 * 1024


class Reply:
    """What has arrived of one reply.

    Args:
        voice: says what is wrong with it.
        calls: puts its native calls together.
    """

    __slots__ = (
        "_calls", "_texts", "_voice", "begun", "done", "fault", "finished", "refusal", "usage",
    )  # fmt: skip

    def __init__(self, voice: Voice, calls: CallReader) -> None:
        self._voice = voice
        self._calls = calls
        self._texts = 0
        self.usage: Usage | None = None
        self.begun = False  # there is an answer, if only an empty one
        self.finished = False  # the model has said its last word
        self.done = False  # nothing more will come
        self.fault: ModelError | None = None
        self.refusal: str = ""

    @property
    def characters(self) -> int:
        """How much has come of text and calls."""
        return self._texts + self._calls.characters

    @property
    def progress(self) -> str:
        """How far it got, to go after "the connection was closed"."""
        return f"after {self.characters} characters" if self.characters else "before any text"

    def take(self, events: list[bytes]) -> list[str | ToolCall]:
        """The text in some events, and the calls that they complete.

        Notes the end, the usage and a refusal; a bad event is noted as `fault`, so that what came
        before it is not lost.
        """
        pieces: list[str | ToolCall] = []
        texts: list[str] = []
        try:
            for data in events:
                if data == b"[DONE]":
                    self.finished = self.done = True
                    break
                if calls := self._read(data, texts):
                    self._spoken(texts, pieces)
                    pieces += calls
                    texts = []
        except ModelError as fault:
            self.fault = fault
        self._spoken(texts, pieces)
        if self.done:
            pieces += self.rest()
        return pieces

    def rest(self) -> list[ToolCall]:
        """The calls whose end only the end of the reply has shown; none of a broken reply."""
        if self.fault is not None or not self.finished:
            return []
        try:
            return self._calls.close()
        except ContradictoryCall as error:
            self.garbage(str(error))
            return []

    def _spoken(self, texts: list[str], pieces: list[str | ToolCall]) -> None:
        if text := "".join(texts):
            self._texts += len(text)
            pieces.append(text)

    def check(self) -> None:
        """The stream has ended: refuse what is no reply.

        Raises:
            ModelError: `cut`, `garbage`, `refused`, or the fault that was noted.
        """
        if self.fault is not None:
            raise self.fault
        if not self.finished:
            raise self._voice.cut(self.progress)
        if self.refusal:
            raise self._voice.refused(self.refusal)
        if not self.begun:
            raise self._voice.garbage("a reply without choices")

    def garbage(self, what: str) -> None:
        """Note that what came is no reply."""
        self.fault = self._voice.garbage(self._voice.said(what))

    def _read(self, data: bytes, texts: list[str]) -> list[ToolCall]:
        try:
            event = json.loads(data.decode())
            if event.get("error"):
                raise self._voice.failed_within(event["error"])
            if event.get("usage"):
                self.usage = _usage(event["usage"])
            choices = event.get("choices")
            return self._said(choices[0], texts) if choices else []
        except ContradictoryCall as error:
            raise self._nonsense(str(error), data) from None
        except (ValueError, RecursionError):
            raise self._nonsense("an event that is not JSON", data) from None
        except (AttributeError, TypeError, LookupError):
            raise self._nonsense("an event of an unknown form", data) from None

    def _said(self, choice: Foreign, texts: list[str]) -> list[ToolCall]:
        self.begun = True
        if choice.get("finish_reason"):
            self.finished = True
            if choice["finish_reason"] == "content_filter":
                self.refusal = "the provider's content filter stopped it"
        delta: Foreign = choice.get("delta") or choice.get("message") or {}
        if delta.get("refusal"):
            self.refusal += delta["refusal"]
        text = delta.get("content")
        if text is not None:
            if not isinstance(text, str):
                raise TypeError("content is not text")
            texts.append(text)
        calls = delta.get("tool_calls")
        if not calls and "function_call" in delta:
            calls = _legacy(delta["function_call"])
        return self._called(calls) if calls else []

    def _called(self, deltas: Foreign) -> list[ToolCall]:
        for delta in deltas:
            self._calls.feed(delta)
        return self._calls.ready()

    def _nonsense(self, what: str, data: bytes) -> ModelError:
        shown = self._voice.said(data[:MAX_ERROR_BYTES].decode(errors="replace"))
        return self._voice.garbage(f"{what}: {shown}")


def _legacy(call: Foreign) -> list[Foreign]:
    """A `function_call`, the form before tools, in the form of today."""
    return [{"index": 0, "function": call}] if call else []


def _usage(reported: Foreign) -> Usage | None:
    """A usage as reported; None where it does not say what it must."""
    details: Foreign = reported.get("prompt_tokens_details") or {}
    counts: tuple[Foreign, ...] = (
        reported.get("prompt_tokens"),
        details.get("cached_tokens") or 0,
        reported.get("completion_tokens"),
    )
    if all(type(count) is int and count >= 0 for count in counts):
        return Usage(*counts)
    return None
