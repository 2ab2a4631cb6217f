"""What the runs show: figures for each strategy, and paired differences between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from heddle.comparison.intervals import (
    Interval,
    difference,
    mean,
    median_interval,
    percentile,
    wilson,
)
from heddle.scoring import Score, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heddle.comparison.questions import Question
    from heddle.comparison.records import RunRecord

__all__ = ["Difference", "Figures", "Judged", "StrategyFigures", "figures_of", "judge"]


class Judged(NamedTuple):
    """A run with its question and its score."""

    question: Question
    record: RunRecord
    score: Score

    @property
    def verdict(self) -> str:
        """right, wrong, or failed: no answer to judge."""
        if self.score.right:
            return "right"
        return "wrong" if self.record.answer is not None else "failed"


@dataclass(frozen=True, slots=True)
class StrategyFigures:
    """One strategy on all questions. Tokens, calls and cost are means of a run.

    Attributes:
        questions: how many it was asked; each counts once in shares, whatever its repeats.
        accuracy: share of right answers.
        number: share of near numbers, where the gold answer is one; None where none is.
        failed: runs that did not succeed, by code.
        chosen: runs by the strategy that it chose, where it chooses among others.
        cost_usd: None where the price of any call is not known.
        latency_p50_s: of runs with an answer, as the next two; None where there is none.
    """

    strategy: str
    questions: int
    runs: int
    accuracy: Interval
    exact: float
    f1: float
    number: float | None
    failed: Mapping[str, int]
    chosen: Mapping[str, int]
    model_calls: float
    input_tokens: float
    cached_input_tokens: float
    output_tokens: float
    estimated: bool
    cost_usd: float | None
    total_cost_usd: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    critical_path_s: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A strategy against the first one, on the questions that both were asked.

    Attributes:
        accuracy: its share of right answers minus the first one's.
        latency_s: the median of its latency minus the first one's, where both answered; None
            where these are fewer than six questions.
    """

    strategy: str
    against: str
    questions: int
    accuracy: Interval
    latency_s: Interval | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is computed.

    Attributes:
        even: whether every strategy has run the same questions as often; else no strategy is
            called best.
    """

    strategies: tuple[StrategyFigures, ...]
    differences: tuple[Difference, ...]
    even: bool


def judge(
    questions: Iterable[Question], records: Iterable[RunRecord], tolerance: float
) -> list[Judged]:
    """The runs of these questions, each with its score; others are passed over."""
    known = {question.id: question for question in questions}
    return [
        Judged(question, record, score(record.answer, question.golds, tolerance))
        for record in records
        if (question := known.get(record.question)) is not None
    ]


def figures_of(runs: Sequence[Judged], strategies: Sequence[str]) -> Figures:
    """The figures. Cost: linear but for sorting.

    Args:
        runs: what is finished.
        strategies: which ones, in order; the first is the one that others are held against.
    """
    by_strategy: dict[str, list[Judged]] = {name: [] for name in strategies}
    for run in runs:
        by_strategy[run.record.strategy].append(run)
    asked = [Counter(run.question.id for run in own) for own in by_strategy.values()]
    first, *others = strategies
    return Figures(
        tuple(_strategy(name, own) for name, own in by_strategy.items()),
        tuple(_difference(first, name, by_strategy) for name in others),
        even=all(counts == asked[0] for counts in asked),
    )


def _strategy(name: str, runs: Sequence[Judged]) -> StrategyFigures:
    records = [run.record for run in runs]
    right = _by_question(runs, lambda run: run.score.right)
    numeric = [run for run in runs if run.score.number is not None]
    answered = [record for record in records if record.answer is not None]
    latencies = [record.total_s for record in answered]
    costs = [record.cost_usd for record in records]
    known = [cost for cost in costs if cost is not None]
    whole = bool(costs) and len(known) == len(costs)
    return StrategyFigures(
        strategy=name,
        questions=len(right),
        runs=len(runs),
        accuracy=wilson(mean(list(right.values())), len(right)),
        exact=_share(runs, lambda run: run.score.exact),
        f1=_share(runs, lambda run: run.score.f1),
        number=_share(numeric, lambda run: bool(run.score.number)) if numeric else None,
        failed=dict(Counter(record.code for record in records if record.failed).most_common()),
        chosen=dict(Counter(record.chosen for record in records if record.chosen).most_common()),
        model_calls=mean([record.model_calls for record in records]),
        input_tokens=mean([record.input_tokens for record in records]),
        cached_input_tokens=mean([record.cached_input_tokens for record in records]),
        output_tokens=mean([record.output_tokens for record in records]),
        estimated=any(record.estimated for record in records),
        cost_usd=mean(known) if whole else None,
        total_cost_usd=sum(known) if whole else None,
        latency_p50_s=percentile(latencies, 0.5),
        latency_p95_s=percentile(latencies, 0.95),
        critical_path_s=percentile([record.critical_path_s for record in answered], 0.5),
    )


def _share(runs: Sequence[Judged], value: Callable[[Judged], float]) -> float:
    return mean(list(_by_question(runs, value).values()))


def _by_question(runs: Iterable[Judged], value: Callable[[Judged], float]) -> dict[str, float]:
    """The mean over the repeats of each question."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.question.id, []).append(value(run))
    return {id: mean(values) for id, values in found.items()}


def _difference(first: str, other: str, runs: Mapping[str, Sequence[Judged]]) -> Difference:
    before, after = (_by_question(runs[name], lambda run: run.score.right)
                     for name in (first, other))  # fmt: skip
    both = [id for id in before if id in after]
    accuracy = difference([before[id] for id in both], [after[id] for id in both])
    old, new = (_by_question(_answered(runs[name]), lambda run: run.record.total_s)
                for name in (first, other))  # fmt: skip
    changes = [new[id] - old[id] for id in old if id in new]
    return Difference(other, first, len(both), accuracy, median_interval(changes))


def _answered(runs: Iterable[Judged]) -> list[Judged]:
    return [run for run in runs if run.record.answer is not None]
