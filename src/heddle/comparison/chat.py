"""Training rows as messages: what heddle itself would say to the model, and what it should reply.

A plan is asked for by the prompt of the strategy whose dialect it is in, so that a model that was
trained on these rows is asked in the words that it knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from heddle.models.protocol import Message
from heddle.plan.limits import Limits
from heddle.plan.spec import spec_from_json
from heddle.scoring import text_of
from heddle.strategies import strategy_named
from heddle.strategies.wording import prompt, tools_text
from heddle.tools.builtin.llm import llm_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heddle.engine.state import StepState
    from heddle.plan.spec import ToolSpec
    from heddle.strategies import Rounds

__all__ = ["as_chat"]

_ASKED_BY = {
    "llmcompiler": "llmcompiler",
    "rewoo": "rewoo",
    "abstraction": "abstraction",
    "python": "code",
}
"""The strategy whose planner writes a dialect."""


def as_chat(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of `training_rows` as `{"messages": […]}`, the last one the model's.

    None for a plan in a dialect that no strategy asks for.
    """
    messages, reply = _ASKED[row["kind"]](row)
    if not messages:
        return None
    said = [{"role": message.role, "content": message.content} for message in messages]
    return {"messages": [*said, {"role": "assistant", "content": reply}]}


def _plan(row: Mapping[str, Any]) -> tuple[Sequence[Message], str]:
    strategy = _ASKED_BY.get(row["dialect"])
    if strategy is None:
        return (), ""
    beginning = _Beginning(row["question"], _specs(row), row["inputs"])
    module = strategy_named(strategy)
    return module.planner_messages(cast("Rounds", beginning)), row["plan"]


def _decomposer(row: Mapping[str, Any]) -> tuple[Sequence[Message], str]:
    system = prompt("decomposer", tools=tools_text(_specs(row)))
    lines = map(_line, row["subquestions"])
    return [Message("system", system), Message("user", row["question"])], "\n".join(lines)


def _line(subquestion: Mapping[str, Any]) -> str:
    """A sub-question, and the ones that it needs where its own words do not name them."""
    text = " ".join(subquestion["question"].split())
    unsaid = [f"{{{id}}}" for id in subquestion["needs"] if f"{{{id}" not in text]
    needs = f" (with {', '.join(unsaid)})" if unsaid else ""
    return f"{subquestion['id']}: {text}{needs}"


def _solver(row: Mapping[str, Any]) -> tuple[Sequence[Message], str]:
    answer = text_of(row["answer"])
    if row["task"] == "step":
        return llm_messages(row["instruction"], row["context"]), answer
    data = "\n".join(json.dumps(each, ensure_ascii=False) for each in row["evidence"])
    data = data.replace("<", "\\u003c")
    task = f"Question: {row['question']}\n\n<evidence>\n{data}\n</evidence>"
    end = f"\n\nNow answer: {row['question']}"
    return [Message("system", prompt("rewoo_solver")), Message("user", task + end)], answer


_ASKED = {"plan": _plan, "decomposer": _decomposer, "solver": _solver}


def _specs(row: Mapping[str, Any]) -> dict[str, ToolSpec]:
    specs = [spec_from_json(tool) for tool in row["tools"]]
    return {spec.name: spec for spec in specs}


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A run of which nothing has happened: what a strategy's first prompt is made of."""

    question: str
    specs: Mapping[str, ToolSpec]
    inputs: Mapping[str, str]
    max_steps: int = Limits().max_steps
    next_round: int = 1

    def steps(self) -> list[StepState]:
        """None yet."""
        return []
