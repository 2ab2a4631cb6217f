"""What a run gave, for people or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heddle.cli.faults import say_error
from heddle.cli.live import COLOURS
from heddle.cli.screen import give, give_json, one_line, say, seconds, table
from heddle.engine.round import sinks
from heddle.errors import HeddleError

if TYPE_CHECKING:
    from heddle.engine.result import RunResult, StepOutcome

__all__ = ["give_answer", "give_result", "peak_in_flight", "say_outcome"]

_MOST_ROWS = 60


def give_result(
    result: RunResult, *, as_json: bool = False, quiet: bool = False, report: str | None = None
) -> int:
    """Write a result: the answer to stdout, steps and figures to stderr; give the exit status.

    Args:
        result: of a finished or an interrupted run.
        as_json: print the one object instead.
        quiet: no steps and no figures.
        report: where to write the page; None for nowhere.
    """
    status = result.exit_status
    if report is not None and not _written(result, report):
        status = status if status in (130, 70) else 2
    if as_json:
        give_json(result.to_json())
        return status
    if not quiet:
        say_outcome(result, stdout=False)
    give_answer(result)
    _say_error(result)
    return status


def say_outcome(result: RunResult, *, stdout: bool = True) -> None:
    """Steps, figures, the strategy and what models were asked, as lines for people."""
    if result.steps:
        _say_steps(result.steps, stdout=stdout)
        say(_figures(result), stdout=stdout)
    if result.strategy:
        say(f"strategy {result.strategy}: {'; '.join(result.reasons)}", stdout=stdout)
    if result.usage.model_calls:
        say(_usage(result), stdout=stdout)


def _say_error(result: RunResult) -> None:
    error = result.error
    if error is None:
        return
    if result.status == "rejected" and not result.steps and result.findings:
        say_error("the plan was rejected; nothing was run", "")  # the findings have said the rest
    else:
        say_error(error.message, error.hint, label="" if error.exit_status == 130 else "error: ")


def _written(result: RunResult, path: str) -> bool:
    from heddle.web.report import write_report

    try:
        write_report(result, path)
    except HeddleError as error:
        say_error(error.message, error.hint)
        return False
    return True


def give_answer(result: RunResult) -> None:
    """The answer, or the value of each step that nothing uses."""
    if result.answer is not None:
        give(_text(result.answer))
        return
    if result.plan is None or result.status not in ("succeeded", "partial"):
        return
    ends = set(sinks(result.plan))
    for step in result.steps:
        if step.id in ends and step.status == "done":
            give(f"{step.id}: {_text(step.value)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


# -- steps and figures ---------------------------------------------------------------------------


def _say_steps(steps: list[StepOutcome], *, stdout: bool) -> None:
    """A table of the steps; of many, those that are not done first."""
    shown = steps
    if len(steps) > _MOST_ROWS:
        shown = sorted(steps, key=lambda step: step.status == "done")[:_MOST_ROWS]
    lines = table([_row(step) for step in shown], right=(2,))
    for step, line in zip(shown, lines, strict=True):
        width = len(step.status)
        say(line[width:], label=line[:width], fg=COLOURS.get(step.status, ""), stdout=stdout)
    if len(shown) < len(steps):
        say(f"… {len(steps) - len(shown):,} more steps; --json has them all", stdout=stdout)


def _row(step: StepOutcome) -> tuple[str, ...]:
    ran = None
    if step.started_s is not None and step.finished_s is not None:
        ran = step.finished_s - step.started_s
    if step.error is None:
        note = one_line(step.value, 60) if step.status == "done" else ""
    else:
        said = step.error.message if step.error.message != step.error.code else ""
        note = one_line(": ".join(filter(None, (step.error.code, said))), 90)
        if step.attempts > 1:
            note += f" ({step.attempts} attempts)"
    return step.status, one_line(step.id, 16), seconds(ran), one_line(step.tool, 24), note


def _figures(result: RunResult) -> str:
    timing = result.timing
    longer = ""
    if timing.makespan_s > 0 and timing.sequential_s >= 1.05 * timing.makespan_s:
        longer = f" ({timing.sequential_s / timing.makespan_s:.1f}× as long)"
    return (
        f"makespan {seconds(timing.makespan_s)} · critical path {seconds(timing.critical_path_s)}"
        f" · one by one would have taken {seconds(timing.sequential_s)}{longer}"
        f" · peak in flight {peak_in_flight(result)}"
    )


def _usage(result: RunResult) -> str:
    usage = result.usage
    cost = "price not known" if usage.cost_usd is None else f"{usage.cost_usd:.4f} USD"
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    return (
        f"model calls {usage.model_calls} · tokens {usage.input_tokens:,} in{cached}, "
        f"{usage.output_tokens:,} out{' (estimated)' if usage.estimated else ''} · {cost}"
        f" · total {seconds(result.timing.total_s)}"
    )


def peak_in_flight(result: RunResult) -> int:
    """The most steps that ran at one time; one that ends when another starts makes room first."""
    moments: list[tuple[float, int]] = []
    for step in result.steps:
        if step.started_s is not None:
            moments.append((step.started_s, 1))
            moments.append((step.finished_s or result.timing.total_s, -1))
    running = peak = 0
    for _, change in sorted(moments):
        running += change
        peak = max(peak, running)
    return peak
