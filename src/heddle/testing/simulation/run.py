"""Simulate: a run with everything that goes wrong with it, from its beginning until it is over.

>>> outcome = simulate(1)
>>> outcome.violations
[]
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import heddle
from heddle.engine.events import LateResult, LeaseTaken, StepEnded
from heddle.engine.journal.reading import read
from heddle.engine.record import event_of
from heddle.engine.resuming import remember
from heddle.engine.slots import LocalSlots
from heddle.errors import JournalError
from heddle.testing.simulation.decoding import decoding_once
from heddle.testing.simulation.faults import NoFaults
from heddle.testing.simulation.invariants import Evidence, Violation, violations
from heddle.testing.simulation.life import Died, Life
from heddle.testing.simulation.outside import Outside
from heddle.testing.simulation.planners import RandomPlanner, rereading
from heddle.testing.simulation.scenario import Scenario, scenario_of
from heddle.testing.simulation.store import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.engine.events import Event
    from heddle.engine.result import RunResult
    from heddle.testing.simulation.outside import Call
    from heddle.testing.simulation.planners import Reread
    from heddle.testing.simulation.store import SimulatedStore
    from heddle.tools.function import Tool

__all__ = ["Outcome", "run_scenario", "simulate"]

RUN: Final = "simulated"
_SOON_S: Final = 0.8
MOST_LIVES: Final = 12
"""A run that is not over after so many lives is taken for one that never will be."""


@dataclass
class Outcome:
    """What came of a simulation.

    Attributes:
        seed: replays it.
        violations: the promises that were broken; [] as it should be.
        fired: the faults that happened, as (kind, number of the point).
        lives: how often the program was started.
        strategy: of an agent; "" for a run of a plan.
        steps: steps of the plan, or of all that an agent's model wrote.
        calls: calls of tools, over all lives.
        status: of the run.
        states: the pairs of a step's status and code that came about.
        events: the journal.
    """

    seed: int
    violations: list[Violation]
    fired: list[tuple[str, int]]
    lives: int
    strategy: str
    steps: int
    calls: int
    status: str
    states: frozenset[tuple[str, str]]
    events: list[Event] = field(repr=False)

    def trace(self) -> str:
        """All of it in words, event by event."""
        lines = [f"seed {self.seed}: {self.status}, {self.steps} steps, {self.lives} lives"]
        lines += [f"fault {kind} at its point {point}" for kind, point in self.fired]
        for n, event in enumerate(self.events):
            line = f"{n:5}  {event!r:.220}"
            lines.append(f"-- a life begins --\n{line}" if isinstance(event, LeaseTaken) else line)
        return "\n".join([*lines, *(f"VIOLATION {found}" for found in self.violations)])


def simulate(seed: int, **changed: Any) -> Outcome:
    """Run the scenario of a seed, from its beginning until it is over, and hold it to account.

    Args:
        seed: any number; the same one gives the same run.
        changed: attributes of the `Scenario` that are to be others.

    Cost: about 35 ms.
    """
    scenario = scenario_of(seed)
    return run_scenario(Scenario(**{**scenario.__dict__, **changed}))


def run_scenario(scenario: Scenario) -> Outcome:
    """Run a scenario, from its beginning until it is over, and hold it to account."""
    with decoding_once():
        return _Simulation(scenario).run()


class _Simulation:
    """The lives of one program, until its run is over."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.faults = scenario.faults()
        self.disk = SimulatedDisk(scenario.seed)
        self.outside = Outside(scenario.seed)
        self.known: list[int] = []
        self.leaked: list[str] = []
        self.complaints: list[str] = []
        self.found: list[Violation] = []
        self.asked: list[tuple[str, int]] = []
        self.reread: list[Reread] = []
        self.run_id = RUN
        self.two_at_once = False

    def run(self) -> Outcome:
        """Live until the run is over; then look at what is left."""
        result = None
        while result is None and len(self.known) < MOST_LIVES and not self.found:
            result = self._live(self.faults)
        gone_on = None
        if result is not None and result.status == "unresolved" and self._knows_more():
            before, result = result, self._live(NoFaults())
            gone_on = result and (_said(before), _said(result))
        again = None
        calls = len(self.outside.calls)
        if result is not None:
            second = self._live(NoFaults())
            again = _said(result), second and _said(second)
        return self._outcome(result, again, calls, gone_on)

    def _live(self, faults: NoFaults) -> RunResult | None:
        """One life; what it gave, or None if the run is not over."""
        scenario = self.scenario
        number = len(self.known)
        self._note()
        life = Life(scenario.seed * 31 + number, changes=scenario.changes)
        store = self.disk.open(life, faults)
        dies_at = 0.7 * number + 0.9 if faults.fires("kill-any-time") else None
        try:
            with rereading(self.reread):
                result = life.run(self._program(store, life, faults), dies_at=dies_at)
            return result if self._over() else None
        except Died:
            return None
        except (JournalError, asyncio.CancelledError):
            return None
        except Exception as error:  # whatever breaks a life is a finding
            self.found.append(Violation("I10", f"life {number} broke: {error!r:.300}"))
            return None
        finally:
            power = faults.fires("power-cut")
            self.disk.outlive(life, power=power)
            if power:  # what was read may be undone, and be another the next time
                self.reread.clear()
            self.leaked += life.leaked
            self.complaints += life.complaints

    def _over(self) -> bool:
        """Whether the journal says that the run is over; nothing else does."""
        kept = self.disk.runs.get(self.run_id)
        return kept is not None and kept.row.status != "running"

    def _knows_more(self) -> bool:
        """Whether a value has come of a call that was given up."""
        return any(isinstance(event, LateResult) and not event.failed for event in self._journal())

    def _note(self) -> None:
        """Note what the journal holds before a life; a run that never began is begun anew."""
        kept = self.disk.runs.get(self.run_id)
        if kept is not None and not kept.frames:
            self.run_id += "-again"
            kept = None
        self.known.append(sum(frame.events for frame in kept.frames) if kept else 0)

    async def _program(self, store: SimulatedStore, life: Life, faults: NoFaults) -> RunResult:
        """What a program does: start its run, or go on with it."""
        tools = self.outside.tools(self.scenario.tools, life, faults)
        if faults.fires("cancel"):
            main = asyncio.current_task()
            assert main is not None
            asyncio.get_running_loop().call_later(_SOON_S, main.cancel)
        if faults.fires("takeover"):
            return await self._taken_over(store, life, tools, faults)
        return await self._start(store, life, tools, faults)

    async def _start(
        self, store: SimulatedStore, life: Life, tools: Sequence[Tool], faults: NoFaults
    ) -> RunResult:
        begun = self.run_id in self.disk.runs
        knows = begun and self.scenario.resolves and not self.two_at_once
        resolve = await self._said_of_doubts(store) if knows else None
        if self.scenario.strategy:
            return await self._answered(store, life, tools, faults, begun=begun, resolve=resolve)
        if begun:
            return await heddle.resume(self.run_id, tools, journal=store, resolve=resolve)
        scenario = self.scenario
        return await heddle.execute(
            scenario.plan, tools, inputs=scenario.inputs, limits=scenario.limits,
            journal=store, run_id=self.run_id, seed=scenario.seed,
        )  # fmt: skip

    async def _answered(
        self, store: SimulatedStore, life: Life, tools: Sequence[Tool], faults: NoFaults, *,
        begun: bool, resolve: Any,
    ) -> RunResult:  # fmt: skip
        """An agent's run, from its beginning or from where it was cut off."""
        scenario = self.scenario
        names = [tool.spec.name for tool in tools]
        model = RandomPlanner(
            scenario.seed, scenario.strategy, names, self.asked, life, faults
        )  # fmt: skip
        agent = heddle.Agent(
            model, tools, strategy=scenario.strategy, limits=scenario.limits, journal=store
        )
        agent.slots = LocalSlots.of(scenario.limits, scenario.seed)  # whose pauses chance decides
        if begun:
            return await agent.resume(self.run_id, resolve=resolve)
        return await agent.run(
            "What is it?", inputs=scenario.inputs, run_id=self.run_id, seed=scenario.seed
        )

    async def _taken_over(
        self, store: SimulatedStore, life: Life, tools: Sequence[Tool], faults: NoFaults
    ) -> RunResult:
        """A process is so slow that another takes its run over, and then it goes on."""
        first = asyncio.ensure_future(self._start(store, life, tools, faults))
        await _ended(first, most_s=_SOON_S)
        kept = self.disk.runs.get(self.run_id)
        if first.done() or kept is None or not kept.frames:
            return await first
        self.disk.jump_s += 3_600.0  # its lease is overdue
        self._note()
        self.two_at_once = True  # nobody can say of a call under way that it will not happen
        twin = life.twin()
        others = self.outside.tools(self.scenario.tools, twin)
        second = asyncio.ensure_future(self._start(self.disk.open(twin), twin, others, NoFaults()))
        await _ended(first, second)
        self.two_at_once = False
        second.exception()  # it is seen, whoever has the last word
        if first.exception() is None and not _lost(first.result()):
            return first.result()  # it was held up so long that it went on after the second
        return await second

    async def _said_of_doubts(self, store: SimulatedStore) -> dict[str, Any]:
        """What a person says who looks at the world: which writes in doubt have happened."""
        if self._over():
            return {}
        past, _ = await remember(store, self.run_id)
        said: dict[str, Any] = {}
        for (step, element), intent in past.doubtful.items():
            if intent.effect == "write":
                name = step if element is None else f"{step}[{element}]"
                call = self.outside.happened(step, element)
                said[name] = heddle.NotDone() if call is None else heddle.Done(self._value(call))
        return said

    def _value(self, call: Call) -> Any:
        """What a call gave, or would have given, as a person finds it out."""
        if not call.gave:
            self.outside.resolved.append(replace(call, gave=True, value="seen by a person"))
        return self.outside.resolved[-1].value if not call.gave else call.value

    def _outcome(
        self, result: RunResult | None, again: tuple[Any, Any] | None, calls: int, gone_on: Any
    ) -> Outcome:
        scenario = self.scenario
        events = self._journal()
        evidence = Evidence(
            events, self.outside, {tool.spec.name: tool.spec for tool in scenario.tools},
            scenario.inputs, scenario.limits, _survived(self.known), self.leaked,
            self.complaints, again, calls, self.reread, gone_on,
        )  # fmt: skip
        broken = violations(evidence) if events or not self.found else []
        return Outcome(
            seed=scenario.seed,
            violations=[*self.found, *broken],
            fired=list(getattr(self.faults, "fired", ())),
            lives=len(self.known),
            strategy=scenario.strategy,
            steps=len(scenario.plan.steps) or len(evidence.steps),
            calls=len(self.outside.calls),
            status=result.status if result is not None else "",
            states=frozenset(
                (event.status, event.code) for event in events if isinstance(event, StepEnded)
            ),
            events=events,
        )

    def _journal(self) -> list[Event]:
        """The events that have survived; none of a journal that cannot be read."""
        life = Life(0)

        async def reading() -> list[Event]:
            pages = read(self.disk.open(life), self.run_id)
            return [event_of(entry) async for page in pages for entry in page.entries]

        try:
            return life.run(reading())
        except JournalError as error:
            self.found.append(Violation("I10", f"nobody can read the journal: {error!r:.300}"))
            return []


async def _ended(*processes: asyncio.Future[Any], most_s: float | None = None) -> None:
    """Wait for processes to end; what interrupts this interrupts them."""
    try:
        await asyncio.wait(processes, timeout=most_s)
    except asyncio.CancelledError:
        for each in processes:
            each.cancel()
        await asyncio.wait(processes)
        raise


def _lost(result: RunResult) -> bool:
    """Whether the run was not over for its journal when a process gave this."""
    code = result.error.code if result.error is not None else ""
    return code == "lease-lost" or code.startswith("journal-")


def _survived(known: Sequence[int]) -> list[int]:
    """What a life knew when it began, without what a later loss of power has undone."""
    return [min(known[life:]) for life in range(len(known))]


def _said(result: RunResult) -> Any:
    """What a result says, apart from times."""
    steps = [(step.id, step.status, step.value, step.error) for step in result.steps]
    return result.status, result.answer, steps
