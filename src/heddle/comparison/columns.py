"""The columns of a comparison: how each figure reads, and which direction is better.

The table on the terminal and the one on the page are made of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heddle.comparison.figures import Figures, StrategyFigures
    from heddle.comparison.intervals import Interval

__all__ = ["COLUMNS", "Column", "best", "change", "notes", "seconds", "share"]

Text: TypeAlias = "Callable[[StrategyFigures], str]"
Value: TypeAlias = "Callable[[StrategyFigures], float | None]"

FEW = 20  # runs below which a p95 is the slowest run


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of every strategy.

    Attributes:
        better: +1 where more is better, -1 where less is, 0 where neither.
    """

    head: str
    text: Text
    value: Value
    better: int = 0


def share(value: float | None) -> str:
    """A share for people.

    >>> share(0.8125), share(None)
    ('81 %', '-')
    """
    return "-" if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    """A time for people.

    >>> seconds(0.0123), seconds(2.5), seconds(75.0), seconds(None)
    ('12 ms', '2.50 s', '75.0 s', '-')
    """
    if value is None:
        return "-"
    if abs(value) < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if abs(value) < 60 else f"{value:.1f} s"


def _accuracy(figures: StrategyFigures) -> str:
    found = figures.accuracy
    return f"{share(found.value)} ({100 * found.low:.0f}-{100 * found.high:.0f})"


def _tokens(figures: StrategyFigures, value: float) -> str:
    return f"{'~' if figures.estimated else ''}{value:,.0f}"


def _cost(figures: StrategyFigures) -> str:
    if figures.cost_usd is None:
        return "not known"
    digits = 4 if figures.cost_usd >= 0.01 else 6
    return f"{'~' if figures.estimated else ''}${figures.cost_usd:,.{digits}f}"


def _failures(figures: StrategyFigures) -> str:
    return ", ".join(f"{number} {code}" for code, number in figures.failed.items()) or "none"


COLUMNS: tuple[Column, ...] = (
    Column("accuracy (95 %)", _accuracy, lambda own: own.accuracy.value, 1),
    Column("failed", _failures, lambda own: float(sum(own.failed.values())), -1),
    Column("exact", lambda own: share(own.exact), lambda own: own.exact, 1),
    Column("F1", lambda own: f"{own.f1:.2f}", lambda own: own.f1, 1),
    Column("number", lambda own: share(own.number), lambda own: own.number, 1),
    Column("calls", lambda own: f"{own.model_calls:.1f}", lambda own: own.model_calls, -1),
    Column("input", lambda own: _tokens(own, own.input_tokens), lambda own: own.input_tokens, -1),
    Column(
        "cached",
        lambda own: _tokens(own, own.cached_input_tokens),
        lambda own: own.cached_input_tokens,
    ),
    Column(
        "output", lambda own: _tokens(own, own.output_tokens), lambda own: own.output_tokens, -1
    ),
    Column("cost", _cost, lambda own: own.cost_usd, -1),
    Column("p50", lambda own: seconds(own.latency_p50_s), lambda own: own.latency_p50_s, -1),
    Column("p95", lambda own: seconds(own.latency_p95_s), lambda own: own.latency_p95_s, -1),
    Column(
        "critical path", lambda own: seconds(own.critical_path_s), lambda own: own.critical_path_s
    ),
)


def best(figures: Figures, column: Column) -> frozenset[str]:
    """The strategies with the best figure as it is printed; none where nothing is worse.

    None either where the strategies have not run the same, or where the figure is not known of all.
    """
    own = figures.strategies
    values = [column.value(item) for item in own]
    if not column.better or not figures.even or None in values:
        return frozenset()
    top = max(column.better * value for value in values if value is not None)
    texts = {column.text(item) for item, value in zip(own, values, strict=True)
             if value is not None and column.better * value == top}  # fmt: skip
    found = frozenset(item.strategy for item in own if column.text(item) in texts)
    return found if len(found) < len(own) else frozenset()


def change(interval: Interval | None, spell: Callable[[float], str], few: str) -> str:
    """A difference in words: how large, and whether the data shows a direction at all."""
    if interval is None:
        return few
    shown = f"{_signed(interval.value, spell)} ({_signed(interval.low, spell)} to "
    shown += f"{_signed(interval.high, spell)})"
    return shown if interval.excludes_zero else f"{shown}: no difference shown"


def _choices(own: StrategyFigures) -> str:
    chosen = ", ".join(f"{name} in {number:,}" for name, number in own.chosen.items())
    return f"{own.strategy} chose {chosen} of {own.runs:,} runs"


def _signed(value: float, spell: Callable[[float], str]) -> str:
    return ("+" if value > 0 else "") + spell(value)


def notes(figures: Figures, tolerance: float) -> Sequence[str]:
    """What a reader must know to read the columns."""
    met = f"within {100 * tolerance:g} %" if tolerance else "exactly"
    found = [
        f"accuracy: exact match, or a gold number met {met} by the answer's last number; "
        "95 % interval by question (Wilson)",
        "calls, tokens and cost: mean of a run; p50, p95 and critical path: runs with an answer",
    ]
    found += [_choices(own) for own in figures.strategies if own.chosen]
    if any(own.estimated for own in figures.strategies):
        found.append("~: some of it is estimated from characters, not counted by the provider")
    if any(own.runs < FEW for own in figures.strategies):
        found.append(f"p95 of fewer than {FEW} runs is the slowest run")
    if not figures.even:
        found.append("the strategies have not run the same questions as often: none is marked best")
    return found
