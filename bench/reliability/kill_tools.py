"""The tools of the kill campaign: each effect happens in a world outside of the process."""

from __future__ import annotations

import heddle
from bench.reliability.world import act, happened


async def was_paid(label: str, before: str = "") -> heddle.Done | heddle.NotDone:
    """What became of a payment: the world knows."""
    return heddle.Done(f"paid {label}") if await happened(label) else heddle.NotDone()


@heddle.tool(effect="read")
async def labels(kind: str, count: int) -> list[str]:
    """Labels of effects."""
    return [f"{kind}-{number}" for number in range(count)]


@heddle.tool(effect="write")
async def pay(label: str, before: str = "") -> str:
    """A payment; nobody can be asked what became of it."""
    await act(label)
    return f"paid {label}"


@heddle.tool(effect="write", probe=was_paid)
async def pay_known(label: str, before: str = "") -> str:
    """A payment that the world can be asked about."""
    await act(label)
    return f"paid {label}"


@heddle.tool(effect="idempotent")
async def put(label: str, before: str = "") -> str:
    """Something that may be put twice, under one key."""
    await act(label, "idempotent", heddle.current_call().key)
    return f"put {label}"
