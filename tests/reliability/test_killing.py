"""The kill campaign counts right: it finds what a careless program loses, repeats and leaves."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

from bench.reliability.killing import Pace, Tally, torment

if TYPE_CHECKING:
    from pathlib import Path

    from bench.reliability.killing import Ended
    from bench.reliability.world import World

PROGRAM = """
import sys
from pathlib import Path
from bench.reliability.world import act_now

how, done = sys.argv[1], Path("done")
seen = set(done.read_text().split()) if done.exists() else set()

def note(label):
    with done.open("a") as file:
        file.write(label + "\\n")

for label in "abcdef":
    if label in seen and how != "forgets":
        continue
    if how != "loses" or label != "c":
        act_now(label)
    note(label)
"""


class Careless:
    """Six effects; `how` says what is wrong with the program that does them."""

    unknown = 0
    name = "careless"

    def __init__(self, how: str) -> None:
        self.how = how
        self.labels = dict(zip("123456", "abcdef", strict=True))

    async def command(self, folder: Path, world: World, last: Ended | None) -> list[str]:
        return [sys.executable, "-c", PROGRAM, self.how]

    def finished(self, ended: Ended) -> bool:
        return not ended.killed

    async def violations(self, folder: Path) -> list[str]:
        return []


def tally_of(how: str, *, kills: int, share: float = 1.0) -> Tally:
    pace = Pace(start_s=0.1, each_s=0.012)
    return asyncio.run(
        torment(Careless(how), random.Random(7), kills=kills, pace=pace, share=share)
    )


def test_a_program_that_is_left_in_peace_does_each_effect_once() -> None:
    tally = tally_of("notes", kills=0)
    assert (tally.effects, tally.kills) == (6, 0)
    assert (tally.lost, tally.repeated, tally.unfinished) == (0, 0, 0)


def test_a_directed_kill_falls_between_the_effect_and_its_record() -> None:
    tally = tally_of("notes", kills=2)
    assert tally.kills == tally.directed == 2
    assert (tally.lost, tally.repeated) == (0, 2)  # it does again what it could not note


def test_an_effect_that_never_happened_is_lost() -> None:
    assert tally_of("loses", kills=1).lost == 1


def test_a_program_that_forgets_repeats() -> None:
    tally = tally_of("forgets", kills=2)
    assert tally.repeated >= 2
    assert tally.lost == 0


def test_random_kills_are_counted_apart() -> None:
    tally = tally_of("notes", kills=3, share=0.0)
    assert 0 < tally.kills <= 3
    assert tally.directed == 0
