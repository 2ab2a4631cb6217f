"""What is seen while runs last: one moving picture on a terminal, a few plain lines elsewhere.

All of it goes to stderr. The picture is drawn from the fold of each run's events, ten times a
second, whatever happens in between.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.cli.alongside import alongside
from heddle.cli.screen import is_terminal, say
from heddle.engine.events import ModelCall, RunFinished, StepStarted
from heddle.engine.state import fold

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from rich.console import Group
    from rich.live import Live

    from heddle.engine.events import Event
    from heddle.engine.log import EventLog
    from heddle.engine.state import RunState, StepState

__all__ = ["Pane", "watching"]

_FRAME_S = 0.1
_LOOKS = {
    "waiting": ("·", "dim"),
    "ready": ("·", ""),
    "running": ("▸", "bold yellow"),
    "done": ("✓", "green"),
    "skipped": ("–", "dim"),
    "cancelled": ("–", "dim"),
}
_BAD = ("✗", "bold red")


class Pane(NamedTuple):
    """One run on the screen."""

    name: str
    log: EventLog


@asynccontextmanager
async def watching(panes: Sequence[Pane], *, quiet: bool = False) -> AsyncGenerator[None]:
    """Show these runs while the context lasts; the terminal is left as it was found."""
    if quiet:
        yield
        return
    live = _live()
    draw = _teller(panes) if live is None else lambda: live.update(_picture(panes), refresh=True)
    with live or nullcontext():
        try:
            async with alongside(_paint(draw)):
                yield
        finally:
            draw()


def _live() -> Live | None:
    """A picture to draw on, where stderr is a terminal and rich is installed."""
    if not is_terminal(sys.stderr):
        return None
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    console = Console(file=sys.stderr, highlight=False, force_terminal=True)
    return Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


async def _paint(draw: Callable[[], None]) -> None:
    while True:
        draw()
        await asyncio.sleep(_FRAME_S)


def _picture(panes: Sequence[Pane]) -> Group:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Text | Padding] = []
    for pane in panes:
        state = fold(pane.log.events)
        begun = bool(pane.log.events)  # asking a log for the time before that starts its clock
        seconds = pane.log.now() if begun and not state.finished else state.last_s
        clock = (f"  {pane.name:<14}", "bold"), f" {seconds:5.1f} s   "
        cells = (_cell(step) for step in state.steps.values())
        parts.append(Text.assemble(*clock, *_doing(state)))
        parts.append(Padding(Text.assemble(*cells), (0, 0, 1, 4)))
    return Group(*parts)


def _doing(state: RunState) -> list[tuple[str, str]]:
    """What the models do in a run."""
    asking = {call.role for call in state.asking.values()}
    over = {call.role: call.at - call.started_at for call in state.calls}
    said: list[tuple[str, str]] = []
    for role in ("planner", "joiner"):
        if role in asking:
            said.append((f"{role} writes …   ", "bold yellow"))
        elif role in over:
            said.append((f"{role} wrote {over[role]:.1f} s   ", "green"))
    return said


def _cell(step: StepState) -> tuple[str, str]:
    mark, style = _LOOKS.get(step.status, _BAD)
    return (f"{mark}\N{NO-BREAK SPACE}{_label(step)}  ", style)


def _label(step: StepState) -> str:
    """The ticker of a call for a price; else the tool."""
    if step.step is None:
        return step.id
    first: Any = next(iter(step.step.args.values()), None)
    return first if step.step.tool == "price" and isinstance(first, str) else step.step.tool


def _teller(panes: Sequence[Pane]) -> Callable[[], None]:
    """A function that says in plain lines what has happened since it was last called."""
    told = [0] * len(panes)

    def tell() -> None:
        for place, pane in enumerate(panes):
            news = pane.log.events[told[place] :]
            told[place] += len(news)
            for event in news:
                if line := _line(event, pane.log.events):
                    say(f"{pane.name}: {line}")

    return tell


def _line(event: Event, events: Sequence[Event]) -> str:
    """What to say of an event; "" for nothing."""
    if isinstance(event, ModelCall) and event.role == "planner":
        begun = sum(isinstance(e, StepStarted) and e.at <= event.at for e in events)
        return f"plan complete after {event.at:.2f} s; {begun} steps had started by then"
    if isinstance(event, RunFinished):
        return f"{event.status} after {event.at:.2f} s"
    return ""
