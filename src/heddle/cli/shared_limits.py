"""Allowances that all processes of a machine share, as the command line offers them.

Not the default: a provider's name does not say whose key it is, and two processes with two keys
would slow each other down.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from heddle.cli.options import Command
    from heddle.engine.slots import Slots
    from heddle.plan.limits import Limits

__all__ = ["allowances", "shared"]


def shared(command: Command) -> Command:
    """The option that shares allowances with other processes."""
    return click.option(
        "--shared-limits",
        is_flag=True,
        help="Share each provider's limits with other processes, in limits.db beside the journal "
        "or where HEDDLE_SHARED_LIMITS says.",
    )(command)


@asynccontextmanager
async def allowances(limits: Limits, *, wanted: bool) -> AsyncGenerator[Slots | None]:
    """Shared slots for as long as a run lasts; None where they are not wanted.

    Raises:
        ConfigError: `limits-unwritable`.
    """
    if not wanted:
        yield None
        return
    from heddle.engine.allowances.places import open_allowances
    from heddle.engine.shared_slots import SharedSlots

    store = open_allowances(_place())
    slots = SharedSlots(store, limits)
    try:
        await store.change("", lambda kept, now: ({"at": now}, None))  # can it be kept at all?
        yield slots
    finally:
        await slots.aclose()


def _place() -> str:
    if chosen := os.environ.get("HEDDLE_SHARED_LIMITS"):
        return chosen
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(state) / "heddle" / "limits.db")
