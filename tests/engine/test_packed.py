"""Packed frames: what is read when somebody looks is what was written, or is refused."""

from __future__ import annotations

import pytest

from heddle.engine.events import RunFinished
from heddle.engine.journal.frames import canonical, encode
from heddle.engine.journal.packed import Packed
from heddle.engine.record import Record
from heddle.errors import JournalError

BIG = {"text": "é" * 40_000}
DAWN = canonical({"events": [{"schema": 99, "event": "Dawn"}], "large": []})
ENTRIES = [(0, 1.0, "1"), (2, 1.5, "1", 1, BIG, None, None, None, ""), (3, 2.0, "1", "done", "")]
END = RunFinished(3.0, "succeeded", None, "", "")


def test_it_gives_back_what_was_written() -> None:
    packed = Packed(0, 3, *encode(ENTRIES))
    assert len(packed) == 3
    assert packed.entries() == ENTRIES


@pytest.mark.parametrize(
    ("body", "large", "code"),
    [
        (b"{}", {}, "journal-damaged"),
        (b"", {}, "journal-damaged"),
        (canonical({"events": [[7, 1.0, "1"]], "large": []}), {}, "journal-damaged"),
        (canonical({"events": [[0, 1.0, "1"]] * 2, "large": []}), {}, "journal-damaged"),
        (encode(ENTRIES).body, {}, "journal-damaged"),
        (encode(ENTRIES).body, dict.fromkeys(encode(ENTRIES).large, b"1"), "journal-damaged"),
        (
            canonical({"events": [{"schema": 99, "event": "Dawn"}], "large": []}),
            {},
            "journal-newer",
        ),
    ],
)
def test_what_is_no_frame_of_ours_is_refused_each_time_somebody_looks(
    body: bytes, large: dict[str, bytes], code: str
) -> None:
    record = Record()
    record.put(Packed(0, 2, *encode(ENTRIES[:1] * 2)))
    record.put(Packed(1, 3, body, large))
    record.kept.append(END)
    assert len(record) == 6
    assert record[1].at == 1.0
    assert record[-1] == record[5] == END
    for look in (lambda: record[2], lambda: record[-2], lambda: record[1:3], lambda: list(record)):
        for _ in range(2):
            with pytest.raises(JournalError) as caught:
                look()
            assert caught.value.code == code
