"""Asking a person before a plan changes the world.

Asked are people at a terminal, about tools that declare an effect. Elsewhere effects run because
the user passed the tools, as in the library; `--yes` says so explicitly.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from heddle.cli.screen import one_line, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.cli.live import View
    from heddle.engine.round import Approve
    from heddle.plan.ir import Plan, Step
    from heddle.plan.spec import ToolSpec

__all__ = ["approver"]

_MOST = 20


def approver(view: View, specs: Mapping[str, ToolSpec], *, yes: bool) -> Approve | None:
    """Whom to ask before effects; None for nobody."""
    if yes:
        return lambda plan, effects: True
    declared = {name for name, spec in specs.items() if spec.effectful and spec.effect_declared}
    if not declared or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    async def ask(plan: Plan, effects: Sequence[Step]) -> bool:
        wanted = [step for step in effects if step.tool in declared]
        if not wanted:
            return True
        with view.aside():
            _say_effects(wanted, specs)
            return (await _line()).strip().lower() in ("y", "yes")

    return ask


def _say_effects(effects: Sequence[Step], specs: Mapping[str, ToolSpec]) -> None:
    from heddle.cli.calls import arguments_text

    say("these calls would change the world:")
    for step in effects[:_MOST]:
        args = one_line(arguments_text(step.args), 100)
        say(f"  {one_line(step.id, 16)}  {specs[step.tool].effect:<10}  {step.tool}({args})")
    if len(effects) > _MOST:
        say(f"  … and {len(effects) - _MOST} more")
    say("run them? [y/N]")


async def _line() -> str:
    """A line from the terminal, while the loop goes on; Ctrl-C stops the waiting."""
    if sys.platform == "win32":
        return await asyncio.to_thread(sys.stdin.readline)
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    loop.add_reader(sys.stdin, lambda: line.done() or line.set_result(sys.stdin.readline()))
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)
