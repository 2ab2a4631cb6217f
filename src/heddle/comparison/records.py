"""A finished run as a line of the results file: what was answered, what it took, what ran when.

Scores are not in it: they follow from the answer and the question, at whatever tolerance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from heddle.engine.state import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heddle.engine.result import RunResult
    from heddle.engine.state import RunState

__all__ = ["Bar", "Key", "RunRecord", "record_from_json", "record_of", "record_to_json"]

Key: TypeAlias = tuple[str, str, int]
"""Question, strategy, repeat (from 1)."""

MAX_BARS = 400


class Bar(NamedTuple):
    """Something that took time, in seconds from the start of its run.

    Attributes:
        name: the tool, or the model's role.
        status: a step's status; "model", or "model-failed".
        first_s: a model's first token.
    """

    name: str
    status: str
    start_s: float
    end_s: float
    first_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one question with one strategy.

    Attributes:
        code: why it did not succeed; "" if it did.
        exit_status: the command line's, for that code.
        estimated: whether any token count is an estimate.
        bars: what ran when; the first `MAX_BARS` of them.
        replayed: rows of recordings that it used up, as FILE:LINE.
        chosen: the strategy that came to the answer, where the one that was asked chose another.
        reasons: why it was chosen.
        trace: its plans and what came of their steps (`traces`); None where that was not kept.
    """

    question: str
    strategy: str
    repeat: int
    status: str
    answer: Any
    code: str
    message: str
    exit_status: int
    rounds: int
    steps: int
    model_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    estimated: bool
    cost_usd: float | None
    total_s: float
    makespan_s: float
    critical_path_s: float
    sequential_s: float
    bars: tuple[Bar, ...] = ()
    replayed: tuple[str, ...] = ()
    chosen: str = ""
    reasons: tuple[str, ...] = ()
    trace: Mapping[str, Any] | None = None

    @property
    def way(self) -> str:
        """The strategy, and the one that it chose."""
        return f"{self.strategy} → {self.chosen}" if self.chosen else self.strategy

    @property
    def key(self) -> Key:
        """What no two records share."""
        return self.question, self.strategy, self.repeat

    @property
    def failed(self) -> bool:
        """Whether anything kept the run from succeeding."""
        return bool(self.code)


def record_of(
    key: Key,
    result: RunResult,
    replayed: tuple[str, ...] = (),
    trace: Mapping[str, Any] | None = None,
) -> RunRecord:
    """What is kept of a run. Cost: linear in its events."""
    state = fold(result.events)
    usage, timing, error = result.usage, result.timing, result.error
    chose = result.strategy != key[1]
    code = error.code if error else "" if result.status == "succeeded" else result.status
    return RunRecord(
        *key,
        status=result.status,
        answer=result.answer,
        code=code,
        message=error.message[:500] if error else "",
        exit_status=result.exit_status,
        rounds=len(state.rounds),
        steps=len(result.steps),
        model_calls=usage.model_calls,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        estimated=usage.estimated,
        cost_usd=usage.cost_usd,
        total_s=timing.total_s,
        makespan_s=timing.makespan_s,
        critical_path_s=timing.critical_path_s,
        sequential_s=timing.sequential_s,
        bars=tuple(sorted(_bars(state), key=lambda bar: bar.start_s)[:MAX_BARS]),
        replayed=replayed,
        chosen=result.strategy if chose else "",
        reasons=result.reasons if chose else (),
        trace=trace,
    )


def _bars(state: RunState) -> Iterator[Bar]:
    for call in state.calls:
        status = "model" if call.code in ("", "stopped") else "model-failed"
        yield _bar_of(call.role, status, call.started_at, call.at, call.first_token_at)
    for step in state.steps.values():
        if step.started_s is not None:
            ended = state.last_s if step.finished_s is None else step.finished_s
            name = step.step.tool if step.step else ""
            yield _bar_of(name, step.status, step.started_s, ended)


def _bar_of(name: str, status: str, start: float, end: float, first: float | None = None) -> Bar:
    """Microseconds are enough."""
    return Bar(name, status, round(start, 6), round(end, 6), first and round(first, 6))


# -- as JSON -------------------------------------------------------------------------------------


def record_to_json(record: RunRecord) -> dict[str, Any]:
    """A record as a line of the results file holds it."""
    return {**asdict(record), "bars": [list(bar) for bar in record.bars]}


def record_from_json(value: object) -> RunRecord:
    """A record from its JSON.

    Raises:
        ValueError: it is none; the message says which field.
    """
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    row = cast("dict[str, Any]", value)
    row.setdefault("chosen", "")  # files of before it was kept
    row.setdefault("reasons", [])
    row.setdefault("trace", None)
    wanted = {field.name for field in fields(RunRecord)}
    if row.keys() != wanted:
        odd = sorted(row.keys() ^ wanted)
        raise ValueError(f"it has not the fields of a run: {', '.join(map(str, odd))}")
    for name, kind in _KINDS.items():
        if not isinstance(row[name], kind):
            raise ValueError(f"`{name}` is {row[name]!r:.40}")
    bars = tuple(_bar(item) for item in row["bars"])
    texts = {name: tuple(row[name]) for name in ("replayed", "reasons")}
    values: dict[str, Any] = {**row, **texts, "bars": bars}
    return RunRecord(**values)


_NUMBER = (int, float)
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("question", "strategy", "status", "code", "message", "chosen"), str),
    **dict.fromkeys(("repeat", "exit_status", "rounds", "steps", "model_calls"), int),
    **dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens"), int),
    **dict.fromkeys(("total_s", "makespan_s", "critical_path_s", "sequential_s"), _NUMBER),
    "estimated": bool,
    "cost_usd": (*_NUMBER, type(None)),
    "bars": list,
    "replayed": list,
    "reasons": list,
    "trace": (dict, type(None)),
}


def _bar(value: object) -> Bar:
    match value:
        case [str(name), str(status), int() | float() as start, int() | float() as end, None]:
            return Bar(name, status, start, end)
        case [str(name), str(status), int() | float() as start, int() | float() as end,
              int() | float() as first]:  # fmt: skip
            return Bar(name, status, start, end, first)
        case _:
            raise ValueError(f"`bars` holds {value!r:.60}")
