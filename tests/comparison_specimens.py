"""Questions, runs and models for the tests of comparisons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heddle.comparison.campaign import Campaign, agents_of
from heddle.comparison.questions import Question
from heddle.comparison.records import Bar, RunRecord
from heddle.comparison.results import ResultsFile
from heddle.errors import ModelError
from heddle.models.protocol import Usage
from heddle.plan.limits import Limits
from heddle.tools.function import tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from heddle.models.protocol import Model, Request

GOLDS = {"q1": "1", "q2": "2", "q3": "3"}
WORDS = {"q1": "one", "q2": "two", "q3": "three"}


def question(id: str) -> Question:
    return Question(id, f"What is {WORDS[id]}?", (GOLDS[id],), {}, ())


THREE = [question(id) for id in GOLDS]


def record(
    question: str, strategy: str, repeat: int = 1, *, code: str = "", **fields: Any
) -> RunRecord:
    plain: dict[str, Any] = {
        "status": "failed" if code else "succeeded",
        "answer": "1",
        "code": code,
        "message": code and f"why {code}",
        "exit_status": 1 if code else 0,
        "rounds": 1,
        "steps": 2,
        "model_calls": 2,
        "input_tokens": 800,
        "cached_input_tokens": 64,
        "output_tokens": 30,
        "estimated": False,
        "cost_usd": None,
        "total_s": 1.5,
        "makespan_s": 0.8,
        "critical_path_s": 0.5,
        "sequential_s": 1.0,
        "bars": (
            Bar("planner", "model", 0.0, 0.4, 0.1),
            Bar("search", "done", 0.2, 0.7),
            Bar("search", "failed", 0.25, 0.6),
            Bar("joiner", "model-failed", 0.8, 1.4),
        ),
    }
    return RunRecord(question, strategy, repeat, **{**plain, **fields})


@tool(effect="pure")
def same(text: str) -> str:
    """The text itself."""
    return text


class Oracle:
    """Knows every answer, or fails; notes what it was asked."""

    provider, name = "test", "oracle"

    def __init__(self, asked: list[str], failing: Sequence[str], code: str) -> None:
        self.asked, self.failing, self.code = asked, failing, code

    async def stream(self, request: Request) -> AsyncIterator[str | Usage]:
        text = "\n".join(message.content for message in request.messages)
        self.asked.append(text)
        id = next(id for id, word in WORDS.items() if f"What is {word}?" in text)
        if WORDS[id] in self.failing:
            raise ModelError("no weights", code=self.code, provider="test", hint="get some")
        if request.role == "planner":
            yield f'1. same("{GOLDS[id]}")\n2. join()\n'
        else:
            yield json.dumps({"action": "finish", "answer": GOLDS[id]})
        yield Usage(100, 0, 10)

    async def aclose(self) -> None:
        pass


def campaign_of(
    folder: Path,
    *,
    strategies: Sequence[str] = ("llmcompiler",),
    repeats: int = 1,
    failing: Sequence[str] = (),
    code: str = "boom",
    asked: list[str] | None = None,
    instruction: str = "",
    model: Model | None = None,
    only: Sequence[str] = tuple(GOLDS),
    retry_failed: bool = False,
) -> Campaign:
    oracle: Any = model or Oracle([] if asked is None else asked, failing, code)
    return Campaign(
        [one for one in THREE if one.id in only],
        agents_of(strategies, {"": oracle}, [same], Limits()),
        ResultsFile(folder / "results.jsonl", {"model": "oracle"}),
        repeats=repeats,
        instruction=instruction,
        retry_failed=retry_failed,
    )
