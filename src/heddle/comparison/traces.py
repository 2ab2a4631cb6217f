"""What is kept of a run's plans: the texts, what they were read as, and what came of each step.

    {"question", "golds", "inputs": {name: type}, "plans": [{"round", "dialect", "text", "plan",
     "findings"}], "steps": {id: {"status", "value"}}, "asked": [{"step", "instruction", "context",
     "value"}]}

`asked` are the steps that asked a model, with values in the place of references. A value of more
than `MAX_BYTES` of JSON is left out, and said to be.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heddle.engine.fill import fill, part
from heddle.engine.result import finding_to_json
from heddle.errors import ToolFailed
from heddle.plan.canonical import plan_to_json
from heddle.plan.ir import MISSING, Choose, Input, Item, Ref
from heddle.plan.verify import Verifier
from heddle.tools.builtin.llm import LLM_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heddle.comparison.questions import Question
    from heddle.engine.result import RunResult, StepOutcome
    from heddle.plan.ir import Plan, Step

__all__ = ["MAX_BYTES", "trace_of"]

MAX_BYTES = 32 * 1024


def trace_of(asked: str, question: Question, result: RunResult) -> dict[str, Any]:
    """What is kept of a run's plans, as JSON.

    Args:
        asked: the question as the run got it, with what was put after it.
        question: its accepted answers and its data.
        result: what came of it.

    Cost: linear in the plans and the values.
    """
    return {
        "question": asked,
        "golds": list(question.golds),
        "inputs": {name: type(value).__name__ for name, value in question.inputs.items()},
        "plans": [_plan(plan) for plan in result.plans],
        "steps": {outcome.id: _outcome(outcome) for outcome in result.steps},
        "asked": list(_asked(result, question.inputs)),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "round": plan.round,
        "dialect": plan.dialect,
        "text": plan.text,
        "plan": None if plan.holes else plan_to_json(plan, notes=True),
        "findings": [finding_to_json(finding) for finding in plan.findings],
    }


def _outcome(outcome: StepOutcome) -> dict[str, Any]:
    if outcome.status != "done":
        return {"status": outcome.status, "code": outcome.error.code if outcome.error else ""}
    if _too_large(outcome.value):
        return {"status": "done", "too_large": True}
    return {"status": "done", "value": outcome.value}


def _too_large(value: Any) -> bool:
    return len(json.dumps(value)) > MAX_BYTES


# -- steps that asked a model --------------------------------------------------------------------


def _asked(result: RunResult, inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    values = {step.id: step.value for step in result.steps if step.status == "done"}
    naming = Verifier({LLM_SPEC.name: LLM_SPEC})
    for plan in result.plans:
        for step in plan.steps:
            if step.tool == LLM_SPEC.name and step.id in values:
                yield from _calls(naming.named(step), values, inputs)


def _calls(
    step: Step, values: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The call of a step, or those of a map's elements."""
    look = _Looking(values, inputs)
    try:
        if step.over is MISSING:
            yield _call(step, look, values[step.id])
            return
        for item, value in zip(fill(step.over, look), values[step.id], strict=True):
            yield _call(step, _Looking(values, inputs, item), value)
    except (KeyError, ToolFailed):
        return  # a default stood in for what failed: nobody sees any more what the model read


def _call(step: Step, look: _Looking, value: Any) -> dict[str, Any]:
    filled = {name: fill(each, look) for name, each in step.args.items()}
    call = {
        "step": step.id,
        "instruction": filled.get("instruction"),
        "context": filled.get("context"),
        "value": value,
    }
    return {"step": step.id, "too_large": True} if _too_large(call) else call


class _Looking:
    """What the nodes of a plan stood for when its run was over."""

    def __init__(
        self, values: Mapping[str, Any], inputs: Mapping[str, Any], item: Any = None
    ) -> None:
        self._values = values
        self._inputs = inputs
        self._item = item

    def __call__(self, node: Ref | Input | Item | Choose) -> Any:
        if isinstance(node, Choose):
            node = next((x for x in node.options if x.step in self._values), node.options[-1])
        if isinstance(node, Ref):
            return part(self._values[node.step], node.path, node.step)
        if isinstance(node, Input):
            return part(self._inputs[node.name], node.path, node.name)
        return part(self._item, node.path, "the element")
