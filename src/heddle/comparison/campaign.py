"""The runs of a comparison: which ones are wanted, which are left, and making them.

    repeat 1: every question, with each strategy in the order given
    repeat 2: again, with another strategy first; and so on

One run is in the air at a time unless more are asked for, so that latencies are each run's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heddle.agent import Agent
from heddle.comparison.records import record_of
from heddle.comparison.traces import trace_of
from heddle.engine.slots import LocalSlots
from heddle.errors import ConfigError, ModelError
from heddle.models.openai import OpenAIModel
from heddle.models.prices import cost_usd
from heddle.models.protocol import Usage
from heddle.models.replay import ReplayModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from heddle.comparison.questions import Question
    from heddle.comparison.records import Key, RunRecord
    from heddle.comparison.results import ResultsFile
    from heddle.engine.result import RunError
    from heddle.models.protocol import Model
    from heddle.plan.limits import Limits
    from heddle.tools.function import Tool

__all__ = ["Campaign", "agents_of"]

HOPELESS = frozenset(("unauthorized", "not-found", "unreachable"))
"""Codes of a provider that will say the same the next time: a run has tried several times."""

_TRIALS = 3  # runs that a provider fails from the start before the comparison gives up


def agents_of(
    strategies: Sequence[str],
    models: Mapping[str, Model],
    tools: Sequence[Tool],
    limits: Limits,
) -> dict[str, Agent]:
    """An agent for each strategy, with the same models and tools, and shared allowances.

    Raises:
        ConfigError: there is no strategy of some name, or a tool cannot be used.
    """
    agents = {name: Agent(models, tools, strategy=name, limits=limits) for name in strategies}
    first = next(iter(agents.values()))
    for agent in agents.values():
        agent.slots = first.slots
    return agents


class Campaign:
    """The runs of a comparison.

    Args:
        questions: what is asked.
        agents: by strategy.
        results: takes every finished run, and knows those of earlier processes.
        repeats: runs of each question with each strategy.
        instruction: put after each question; "" for nothing.
        retry_failed: make the runs again that had failed; what comes of it takes their place.

    Attributes:
        wanted: all runs, in the order in which they are made.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        agents: Mapping[str, Agent],
        results: ResultsFile,
        *,
        repeats: int = 1,
        instruction: str = "",
        retry_failed: bool = False,
    ) -> None:
        self.questions = {question.id: question for question in questions}
        self.agents = agents
        self.results = results
        self.instruction = instruction
        self.wanted = list(_order(self.questions, tuple(agents), repeats))
        known = results.records
        self._again = {key for key in self.wanted
                       if retry_failed and key in known and known[key].failed}  # fmt: skip
        models = (model for agent in agents.values() for model in agent.models.values())
        recordings = [model for model in models if isinstance(model, ReplayModel)]
        self._recordings = list({id(model): model for model in recordings}.values())
        proven = len(known) > len(self._again)
        self._held: list[RunRecord] | None = None if proven else []
        self._trials = min(_TRIALS, len(self.left))

    @property
    def left(self) -> list[Key]:
        """The wanted runs that are not finished, and those that are to be made again."""
        known = self.results.records
        return [key for key in self.wanted if key not in known or key in self._again]

    @property
    def again(self) -> int:
        """How many failed runs are still to be made again."""
        return len(self._again)

    @property
    def records(self) -> list[RunRecord]:
        """The wanted runs that are finished, in order."""
        known = self.results.records
        return [known[key] for key in self.wanted if key in known]

    async def run(
        self,
        *,
        concurrency: int = 1,
        started: Callable[[Key], None] | None = None,
        finished: Callable[[RunRecord], None] | None = None,
    ) -> None:
        """Make the runs that are left; a run that fails is a result like any other.

        Args:
            concurrency: runs at once; with more than one they slow each other down.
            started: told of each run that begins.
            finished: told of each run that has ended.

        Raises:
            ModelError: the provider failed from the start; nothing of that is kept.
            ConfigError: the results cannot be written, or a question cannot be asked.
        """
        left = iter(self.left)
        self._skip_replayed()
        self._warm_up()
        workers = [
            asyncio.create_task(self._work(left, started, finished)) for _ in range(concurrency)
        ]
        try:
            ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in ended:
                worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)

    async def aclose(self) -> None:
        """Close the models' connections."""
        for agent in self.agents.values():
            await agent.aclose()

    async def _work(
        self,
        left: Iterator[Key],
        started: Callable[[Key], None] | None,
        finished: Callable[[RunRecord], None] | None,
    ) -> None:
        for key in left:
            if started is not None:
                started(key)
            record = await self._one(key)
            if finished is not None:
                finished(record)

    async def _one(self, key: Key) -> RunRecord:
        question = self.questions[key[0]]
        text = f"{question.text}\n\n{self.instruction}" if self.instruction else question.text
        before = set(self._replayed())
        try:
            result = await self.agents[key[1]].run(text, inputs=question.inputs)
        except ConfigError as error:
            message = f"question {question.id}: {error.message}"
            raise ConfigError(message, code=error.code, hint=error.hint) from error
        spent = tuple(place for place in self._replayed() if place not in before)
        before_it = self.results.records.get(key)  # a failed run, whose rows are spent too
        spent = (*(before_it.replayed if before_it else ()), *spent)
        record = record_of(key, result, spent, trace_of(text, question, result))
        self._keep(record, result.error)
        return record

    def _keep(self, record: RunRecord, error: RunError | None) -> None:
        """Write a run down, unless the provider has failed all up to now.

        Raises:
            ModelError: it has done so too often.
        """
        if self._held is None:
            self._write_down(record)
            return
        self._held.append(record)
        if error is not None and error.exit_status == ModelError.exit_status:
            if error.code in HOPELESS or len(self._held) >= self._trials:
                raise ModelError(error.message, code=error.code, provider="", hint=error.hint)
            self._forget_failures()
            return
        held, self._held = self._held, None
        for one in held:
            self._write_down(one)

    def _forget_failures(self) -> None:
        """Begin anew with slots: breakers spare providers that were there, and none was as yet."""
        first = next(iter(self.agents.values()))
        slots = LocalSlots.of(first.limits)
        for agent in self.agents.values():
            agent.slots = slots

    def _write_down(self, record: RunRecord) -> None:
        self.results.add(record)
        self._again.discard(record.key)

    def _warm_up(self) -> None:
        """Load what the first run would load, so that its strategy does not pay for all."""
        models = [model for agent in self.agents.values() for model in agent.models.values()]
        for model in models:
            cost_usd(model.provider, model.name, Usage())
        if any(isinstance(model, OpenAIModel) for model in models):
            import httpx2

            httpx2.create_ssl_context()

    # -- recordings ------------------------------------------------------------------------------

    def _replayed(self) -> list[str]:
        return [place for model in self._recordings for place in model.given]

    def _skip_replayed(self) -> None:
        """Rows of recordings that finished runs have used are given to no other."""
        if self._recordings:
            spent = {place for one in self.results.records.values() for place in one.replayed}
            for model in self._recordings:
                model.skip(spent)


def _order(questions: Iterable[str], strategies: Sequence[str], repeats: int) -> Iterator[Key]:
    ids = list(questions)
    for repeat in range(1, repeats + 1):
        shift = (repeat - 1) % len(strategies)  # so that none always comes first
        for id in ids:
            for strategy in (*strategies[shift:], *strategies[:shift]):
                yield id, strategy, repeat
