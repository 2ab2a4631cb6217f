"""The results file: a line with the settings, then a line for each finished run.

    {"heddle_compare": 1, "hash": "…", "settings": {"model": …, "questions": …}}
    {"question": "q1", "strategy": "react", "repeat": 1, "answer": …}

Each line is written whole and forced to the disk before the next run begins, so that whatever
ends the process, what was finished is there. A last line without its end was torn: it is cut off.
The same run twice counts once: the first, or the last of those that failed before it.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from heddle.comparison.claim import claim
from heddle.comparison.records import record_from_json, record_to_json
from heddle.errors import ConfigError
from heddle.plan.canonical import hash_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from heddle.comparison.records import Key, RunRecord

__all__ = ["ResultsFile", "settings_hash"]

FORMAT = 1
_BEGINNING = b'{"heddle_compare": '


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of the settings that two runs must share to be compared."""
    return hash_of(dict(settings))


class ResultsFile:
    """The runs that are finished, on disk. Only who has `claimed` the file may add to it.

    Args:
        path: made when the first run is added.
        settings: what shaped the runs; a file with others is refused.
        about: what else the first line says, for readers.

    Attributes:
        records: by key, in the order of the file.

    Raises:
        ConfigError: `other-settings`, `bad-results` (the line is named) or `unwritable-results`.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], about: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        self.settings = dict(settings)
        self._about = dict(about or {})
        self.records: dict[Key, RunRecord] = {}
        self._whole = 0  # bytes up to the end of the last whole line
        self._read()
        self._refuse_unwritable()

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Keep other processes from the file, and see what they have written up to now.

        Raises:
            ConfigError: `results-in-use`, or as for the file itself.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(claim(self.path))
            except OSError as error:
                raise self._unwritable(error) from None
            self.records.clear()
            self._whole = 0
            self._read()
            yield

    def add(self, record: RunRecord) -> None:
        """Write a finished run down; one that is there already is ignored, unless it had failed.

        Raises:
            ConfigError: `unwritable-results`.
        """
        if not self._takes(record):
            return
        text = _line(record_to_json(record))
        if not self._whole:
            head = {"heddle_compare": FORMAT, "hash": settings_hash(self.settings)}
            text = _line({**head, "settings": self.settings, **self._about}) + text
        self._append(text.encode())
        self.records[record.key] = record

    def _takes(self, record: RunRecord) -> bool:
        """Whether a record is news."""
        known = self.records.get(record.key)
        return known is None or known.failed

    # -- reading ---------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unwritable(error) from None
        if data and not data.startswith(_BEGINNING[: len(data)]):
            raise self._bad(1, "it does not begin like one")  # whose file it is, we leave it alone
        whole = _whole(data)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._take(json.loads(line), first=number == 1)
            except (ValueError, RecursionError) as error:
                raise self._bad(number, str(error) or type(error).__name__) from None
        self._whole = len(whole)

    def _take(self, row: object, *, first: bool) -> None:
        if first:
            self._compare(row)
        else:
            record = record_from_json(row)
            if self._takes(record):
                self.records[record.key] = record

    def _compare(self, row: object) -> None:
        head = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        if head.get("heddle_compare") != FORMAT or not isinstance(head.get("settings"), dict):
            raise ValueError("it is not the first line of a results file of this version")
        if head.get("hash") == settings_hash(self.settings):
            return
        raise ConfigError(
            f"{self.path} holds results of other settings: {_difference(head, self.settings)}",
            code="other-settings",
            hint="runs of different settings are not compared; to start anew, name another file "
            "with --output, or move this one away",
        )

    def _bad(self, number: int, reason: str) -> ConfigError:
        return ConfigError(
            f"{self.path}:{number}: no results of heddle compare: {reason}",
            code="bad-results",
            hint="name another file with --output, or take the line out",
        )

    # -- writing ---------------------------------------------------------------------------------

    def _append(self, data: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.seek(self._whole)
                file.truncate()
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None
        self._whole += len(data)

    def _refuse_unwritable(self) -> None:
        """Find out before anything is spent that nothing could be kept."""
        place = next(place for place in (self.path, *self.path.parents) if place.exists())
        if place == self.path and not place.is_file():
            raise self._unwritable(IsADirectoryError(0, "it is no file"))
        if not os.access(place, os.W_OK):
            raise self._unwritable(PermissionError(0, "permission denied"))

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"cannot write the results to {self.path}: {error.strerror or error}",
            code="unwritable-results",
            hint="name a file in a folder that you may write to, with --output",
        )


def _whole(data: bytes) -> bytes:
    """The lines up to the last one that was written to its end."""
    whole = data[: data.rfind(b"\n") + 1]
    start = whole.rfind(b"\n", 0, -1) + 1
    try:
        json.loads(whole[start:] or b"0")
    except (ValueError, RecursionError):
        return whole[:start]
    return whole


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True) + "\n"


def _difference(head: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings differ, and how."""
    before: dict[str, Any] = head["settings"]
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    told = [f"{name} was {_short(before.get(name))} and is {_short(now.get(name))}"
            for name in names]  # fmt: skip
    return "; ".join(told[:4]) or "its hash does not fit its settings"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
