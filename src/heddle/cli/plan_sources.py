"""Plans with what came of them, from a results file or from recorded plans. No tracebacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from heddle.cli.check import known_to
from heddle.cli.reading import read_text
from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heddle.comparison.records import RunRecord
    from heddle.comparison.training import Planned, Source
    from heddle.plan.spec import ToolSpec
    from heddle.tools.function import Tool

__all__ = ["read_sources"]

_RESULTS = '{"heddle_compare": '
_HINT = 'a line is {"question": "…", "dialect": "…", "text": "…"}, or the file is that of a compare'
_JUDGED = ("correct", "gold_agrees")


def read_sources(
    path: str, questions: Mapping[str, str], tools: Sequence[Tool] | None, tolerance: float
) -> list[Source]:
    """Runs of `heddle compare`, or recorded plans, from a file or from stdin for "-".

    Args:
        path: where they are.
        questions: texts by id, for rows that do not bring theirs.
        tools: what the plans may call; None for what the file says, or whatever they name.
        tolerance: how far a number may be off, as a share of the gold one.

    Raises:
        ConfigError: `bad-plans`: the file cannot be read, is empty, or has a line that is neither.
    """
    text = read_text(path, "the plans", code="bad-plans")
    name = "stdin" if path == "-" else path
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise _bad(f"{name} is empty")
    if text.startswith(_RESULTS):
        return list(_runs(lines, name, tools, tolerance, torn=not text.endswith("\n")))
    return [_recorded(_object(line, name, n), f"{name}:{n}", questions, tools) for n, line in lines]


def _bad(message: str) -> ConfigError:
    return ConfigError(message, code="bad-plans", hint=_HINT)


def _object(line: str, name: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "it nests too deep")
        column = f":{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _bad(f"{name}:{number}{column}: it is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise _bad(f"{name}:{number}: it is no JSON object")
    return cast("dict[str, Any]", value)


# -- runs of a comparison ------------------------------------------------------------------------


def _runs(
    lines: Sequence[tuple[int, str]],
    name: str,
    tools: Sequence[Tool] | None,
    tolerance: float,
    *,
    torn: bool,
) -> Iterator[Source]:
    """The runs of a results file; a last line that was torn is passed over."""
    from heddle.comparison.records import record_from_json

    head = _object(lines[0][1], name, 1)
    specs = [tool.spec for tool in tools] if tools is not None else _specs(head, f"{name}:1")
    kept: dict[Any, RunRecord] = {}
    for number, line in lines[1 : -1 if torn else None]:
        try:
            record = record_from_json(_object(line, name, number))
        except ValueError as error:
            raise _bad(f"{name}:{number}: no run of heddle compare: {error}") from None
        if record.key not in kept or kept[record.key].failed:
            kept[record.key] = record
    for number, record in enumerate(kept.values(), 2):
        try:
            yield _run(record, specs, tolerance)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _bad(f"{name}: run {number - 1}: its plans are no kept plans") from None


def _specs(row: Mapping[str, Any], place: str) -> list[ToolSpec]:
    from heddle.plan.spec import spec_from_json

    try:
        return [spec_from_json(tool) for tool in row.get("tools", ())]
    except (ValueError, TypeError) as error:
        raise _bad(f"{place}: `tools`: {error}") from None


def _run(record: RunRecord, specs: Sequence[ToolSpec], tolerance: float) -> Source:
    from heddle.comparison.training import Source
    from heddle.scoring import score

    trace = record.trace
    if trace is None:
        return Source(record.question, "", specs, (), {}, missing="no-trace")
    judged = score(record.answer, trace["golds"], tolerance) if trace["golds"] else None
    return Source(
        record.question,
        trace["question"],
        specs,
        [_kept(plan) for plan in trace["plans"]],
        trace["inputs"],
        ran=True,
        strategy=record.chosen or record.strategy,
        repeat=record.repeat,
        status=record.status,
        answer=record.answer,
        steps=trace["steps"],
        asked=trace["asked"],
        correct=judged.right if judged else None,
        score=judged,
    )


def _kept(row: Mapping[str, Any]) -> Planned:
    from heddle.comparison.training import Planned
    from heddle.plan.dialects import parse

    return Planned(
        row["dialect"],
        row["text"],
        None if row["plan"] is None else parse(json.dumps(row["plan"]), "json"),
        row["plan"] is None or any(each["severity"] == "error" for each in row["findings"]),
        tuple(each["code"] for each in row["findings"]),
        row["round"],
    )


# -- recorded plans ------------------------------------------------------------------------------


def _recorded(
    row: dict[str, Any], place: str, questions: Mapping[str, str], tools: Sequence[Tool] | None
) -> Source:
    """A row with a plan's text, and whatever else it says of it."""
    from heddle.comparison.training import Source

    text = next((row[name] for name in ("text", "plan") if isinstance(row.get(name), str)), None)
    if text is None:
        raise _bad(f"{place}: there is no `text`, the plan as it was written")
    id = str(row.get("id", ""))
    question = row.get("question", questions.get(id, ""))
    if not isinstance(question, str):
        raise _bad(f"{place}: `question` must be a text")
    correct = next((row[name] for name in _JUDGED if isinstance(row.get(name), bool)), None)
    specs = _specs(row, place) if tools is None else [tool.spec for tool in tools]
    dialect = row.get("dialect", "auto")
    plans = [_planned(text, dialect, place, specs, tools)] if text.strip() else []
    return Source(id, question, specs, plans, {}, correct=correct)


def _planned(
    text: str, dialect: Any, place: str, specs: Sequence[ToolSpec], tools: Sequence[Tool] | None
) -> Planned:
    from heddle.comparison.training import Planned
    from heddle.plan.dialects import parse
    from heddle.plan.verify import check

    if not isinstance(dialect, str):
        raise _bad(f"{place}: `dialect` must be a text")
    try:
        plan = parse(text, dialect)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.message}", code=error.code, hint=error.hint) from None
    known = known_to(plan, tools)
    if tools is None and specs:
        known = known_to(plan, ()) | {spec.name: spec for spec in specs}
    findings = check(plan, known)
    return Planned(
        plan.dialect,
        text,
        None if plan.holes else plan,
        any(finding.severity == "error" for finding in findings),
        tuple(finding.code for finding in findings),
    )
