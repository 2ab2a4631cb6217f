"""What a comparison gives: its runs, judged, and their figures; for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from heddle.comparison.figures import Figures, Judged, figures_of, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.comparison.campaign import Campaign

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The finished runs of a comparison, and what they show.

    Args:
        campaign: whose wanted runs are looked at.
        strategies: in the order given.
        name: what the questions are called.
        tolerance: how far a number may be off.
        interrupted: whether a person has stopped it.

    Attributes:
        runs: in the order in which they were wanted.
        wanted: how many runs there are to be.
        failed: how many runs did not succeed.
    """

    campaign: Campaign
    strategies: Sequence[str]
    name: str
    tolerance: float
    interrupted: bool = False
    runs: list[Judged] = field(init=False)
    figures: Figures = field(init=False)
    wanted: int = field(init=False)
    failed: int = field(init=False)

    def __post_init__(self) -> None:
        """Judge the runs."""
        records = self.campaign.records
        runs = judge(self.campaign.questions.values(), records, self.tolerance)
        for name, value in (
            ("runs", runs),
            ("figures", figures_of(runs, self.strategies)),
            ("wanted", len(self.campaign.wanted)),
            ("failed", sum(record.failed for record in records)),
        ):
            object.__setattr__(self, name, value)

    def to_json(self, path: str) -> dict[str, Any]:
        """As the command line prints it.

        Args:
            path: the results file.
        """
        return {
            "questions": self.name,
            "results": path,
            "tolerance": self.tolerance,
            "interrupted": self.interrupted,
            "wanted": self.wanted,
            "finished": len(self.runs),
            "failed": self.failed,
            "strategies": [_plain(asdict(own)) for own in self.figures.strategies],
            "differences": [_plain(asdict(one)) for one in self.figures.differences],
            "runs": [_run(run) for run in self.runs],
        }


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Intervals as objects."""
    shown = {name: value._asdict() if hasattr(value, "_asdict") else value
             for name, value in figures.items()}  # fmt: skip
    return shown


def _run(run: Judged) -> dict[str, Any]:
    record, score = run.record, run.score
    return {
        "question": run.question.id,
        "strategy": record.strategy,
        "repeat": record.repeat,
        "chosen": {"strategy": record.chosen, "reasons": list(record.reasons)}
        if record.chosen
        else None,
        "status": record.status,
        "answer": record.answer,
        "gold": list(run.question.golds),
        "right": score.right,
        "exact": score.exact,
        "f1": score.f1,
        "number": score.number,
        "error": {"code": record.code, "message": record.message} if record.failed else None,
        "usage": {
            "model_calls": record.model_calls,
            "input_tokens": record.input_tokens,
            "cached_input_tokens": record.cached_input_tokens,
            "output_tokens": record.output_tokens,
            "cost_usd": record.cost_usd,
            "estimated": record.estimated,
        },
        "timing": {
            "total_s": record.total_s,
            "makespan_s": record.makespan_s,
            "critical_path_s": record.critical_path_s,
            "sequential_s": record.sequential_s,
        },
    }
