"""A run on the screen while it lasts: a table on a terminal, else a line for each step that ends.

Everything goes to stderr. A view is a context manager around the event loop, so that the terminal
is as it was however the loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any, Protocol

from heddle.cli.alongside import alongside
from heddle.cli.board import Board, note_of
from heddle.cli.screen import is_terminal, one_line, say, seconds
from heddle.engine.events import ModelCall, RunCreated, StepEnded
from heddle.engine.state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence

    from heddle.engine.events import Event
    from heddle.engine.log import EventLog
    from heddle.engine.result import RunResult
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

__all__ = ["COLOURS", "View", "view_of"]

COLOURS = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "unknown": "magenta",
    "cancelled": "magenta",
    "denied": "yellow",
    "skipped": "yellow",
}
"""The colour of each status that has one."""

_FRAME_S = 1 / 10
_MOST_ROWS = 24
_AROUND = 8  # lines of a screen that are not rows


class View(Protocol):
    """What shows a run.

    Attributes:
        sinks: what the run's log is to tell of each event.
    """

    sinks: Sequence[Callable[[Event], None]]

    def __enter__(self) -> View: ...

    def __exit__(self, *_: object) -> None: ...

    async def watch(self, log: EventLog, run: Coroutine[Any, Any, RunResult]) -> RunResult:
        """Await a run that fills this log, and show it meanwhile."""
        ...

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Leave the terminal to somebody else for a while."""
        ...


def view_of(specs: Mapping[str, ToolSpec], limits: Limits, *, quiet: bool = False) -> View:
    """The view that suits stderr: none, a table, or lines."""
    if quiet:
        return _Sinks()
    if is_terminal(sys.stderr):
        with contextlib.suppress(ImportError):
            return _Table(Board(specs, limits))
    return _Lines()


class _Sinks:
    """Shows events when they happen, and nothing between them."""

    def __init__(self, *sinks: Callable[[Event], None]) -> None:
        self.sinks: Sequence[Callable[[Event], None]] = sinks

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def watch(self, log: EventLog, run: Coroutine[Any, Any, RunResult]) -> RunResult:
        return await run

    def aside(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class _Lines(_Sinks):
    """The run's id, then one line for each step and each model call that has ended.

    What was before a run was gone on with is said in one line.
    """

    def __init__(self) -> None:
        super().__init__(self.take)
        self._state = RunState()
        self._log: EventLog | None = None
        self._before = False

    async def watch(self, log: EventLog, run: Coroutine[Any, Any, RunResult]) -> RunResult:
        self._log = log
        return await run

    def take(self, event: Event) -> None:
        self._state.apply(event)
        before = self._log is not None and len(self._log.events) <= self._log.recalled
        if self._before and not before:
            say(f"{self._state.done:,} of {len(self._state.steps):,} steps were done before")
        self._before = before
        if isinstance(event, RunCreated):
            say(f"run {event.run_id}")
        elif before:
            pass
        elif isinstance(event, StepEnded):
            self._say_step(event)
        elif isinstance(event, ModelCall):
            cost = f"{event.usage.input_tokens:,} tokens in, {event.usage.output_tokens:,} out"
            how = event.code or cost
            model = one_line(event.model, 40)
            say(f" {model} {seconds(event.at - event.started_at)}, {how}", label=event.role)

    def _say_step(self, event: StepEnded) -> None:
        step = self._state.steps[event.step]
        tool = one_line(step.step.tool, 24) if step.step else "?"
        time = f" {seconds(step.ran_s)}" if step.started_s is not None else ""
        note = note_of(step, 80)
        label = f"{event.status:<9}"
        rest = f" {one_line(step.id, 16)} {tool}{time}{f'  {note}' if note else ''}"
        say(rest, label=label, fg=COLOURS.get(event.status, ""))


class _Table:
    """A table that is drawn again ten times a second, and taken away at the end."""

    def __init__(self, board: Board) -> None:
        from rich.console import Console
        from rich.live import Live

        self.sinks: Sequence[Callable[[Event], None]] = ()
        self._board = board
        self._seen = 0
        self._console = Console(stderr=True, force_terminal=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> View:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update("", refresh=False)
        with contextlib.suppress(OSError):  # the terminal may be closed
            self._live.stop()

    async def watch(self, log: EventLog, run: Coroutine[Any, Any, RunResult]) -> RunResult:
        async with alongside(self._draw_on(log)):
            return await run

    @contextlib.contextmanager
    def aside(self) -> Generator[None]:
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    async def _draw_on(self, log: EventLog) -> None:
        events = log.events
        while True:
            while self._seen < len(events):
                self._board.take(events[self._seen])
                self._seen += 1
            if self._live.is_started:
                self._live.update(self._frame(log.now()), refresh=True)
            await asyncio.sleep(_FRAME_S)

    def _frame(self, now: float) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        board = self._board
        most = max(3, min(_MOST_ROWS, self._console.height - _AROUND))
        rows = board.rows(most, now)
        grid = Table.grid(padding=(0, 2))
        for _ in range(5):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        for row in rows:
            colour = COLOURS.get(row.status, "dim")
            status = Text(row.status, style=colour)
            grid.add_row(status, Text(row.id), Text(row.tool), Text(row.time), Text(row.note))
        hidden = len(board.state.steps) - len(rows)
        lines = [*board.asking(now), f"… {hidden:,} more" if hidden else "", board.counts()]
        run = board.state.run_id
        lines.append(
            " · ".join(
                filter(
                    None, (f"run {run}" if run else "", seconds(now), board.slots(), board.tokens())
                )
            )
        )
        foot = [
            Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines if line
        ]
        return Group(grid, *foot)
