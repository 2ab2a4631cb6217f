"""The board: what is shown of a run, from its events alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import heddle
from heddle.cli.board import Board
from heddle.engine import events as ev
from heddle.engine.execution import execute
from heddle.engine.log import EventLog
from heddle.engine.state import fold
from heddle.models.protocol import Usage
from heddle.plan.ir import Hole, Item, Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec

SPECS = {
    "price": ToolSpec("price", effect="read", provider="quotes"),
    "send": ToolSpec("send", effect="write"),
    "one": ToolSpec("one", effect="pure", concurrency=1),
}


def board_of(*events: ev.Event, limits: Limits | None = None) -> Board:
    board = Board(SPECS, limits or Limits(per_provider={"quotes": 1}))
    board.take(ev.PlanProposed(0.0, 1, "json"))
    for event in events:
        board.take(event)
    return board


def accepted(id: str, tool: str = "price", *needs: str) -> ev.StepAccepted:
    return ev.StepAccepted(
        0.0, 1, 1, Step(id, tool, {str(n): Ref(id) for n, id in enumerate(needs)})
    )


def notes(board: Board) -> dict[str, str]:
    return {row.id: row.note for row in board.rows(100, 1.0)}


def test_a_waiting_step_names_the_steps_it_waits_for() -> None:
    board = board_of(
        accepted("1"), accepted("2", "price", "1"), accepted("3", "price", "1", "2"),
        ev.StepReady(0.0, "1"), ev.StepStarted(0.0, "1", 1), ev.StepResult(1.0, "1", 1, 5.0),
        ev.StepEnded(1.0, "1", "done"), ev.StepReady(1.0, "2"),
    )  # fmt: skip
    assert notes(board)["3"] == "waits for 2"
    assert notes(board)["1"] == "5.0"


def test_a_map_shows_how_many_of_its_elements_are_over() -> None:
    step = Step("1", "price", {"ticker": Item()}, over=["A", "B", "C"])
    board = board_of(
        ev.StepAccepted(0.0, 1, 1, step), ev.StepReady(0.0, "1"), ev.MapExpanded(0.0, "1", 3, ""),
        ev.StepStarted(0.0, "1", 1, 0), ev.StepStarted(0.0, "1", 1, 1),
        ev.StepResult(1.0, "1", 1, 5.0, 0), ev.StepStarted(1.0, "1", 1, 2),
        ev.ElementEnded(1.0, "1", 1, "failed", "boom"),
    )  # fmt: skip
    assert notes(board)["1"] == "2 of 3 elements"
    assert board.slots().startswith("in flight 1/")


def test_a_ready_step_names_the_slot_that_is_taken() -> None:
    running = (ev.StepReady(0.0, "1"), ev.StepStarted(0.0, "1", 1), ev.StepReady(0.0, "2"))
    board = board_of(accepted("1"), accepted("2"), *running)
    assert notes(board)["2"] == "waits for slot: quotes"
    assert "quotes 1/1" in board.slots()
    board = board_of(accepted("1", "one"), accepted("2", "one"), *running)
    assert notes(board)["2"] == "waits for slot: one"
    board = board_of(accepted("1"), accepted("2"), *running, limits=Limits(concurrency=1))
    assert notes(board)["2"] == "waits for slot: all are in use"


def test_a_write_waits_for_the_plan() -> None:
    board = board_of(accepted("1", "send"), ev.StepReady(0.0, "1"))
    assert notes(board)["1"] == "waits for the plan to close"
    board.take(ev.PlanAccepted(1.0, 1, "", 1, None, "", "", {}))
    assert notes(board)["1"] == "waits for approval"


def test_a_hole_waits_for_its_repair() -> None:
    board = board_of(ev.HoleOpened(0.0, 1, 1, Hole("1", "1. ?", ())))
    assert notes(board)["1"] == "waits for a repair of its line"


def test_a_failed_step_says_why() -> None:
    board = board_of(
        accepted("1"), ev.StepError(0.5, "1", 1, "timed-out", "the attempt\x1b[2J ran out"),
        ev.StepEnded(0.5, "1", "failed", "timed-out"),
    )  # fmt: skip
    assert notes(board)["1"] == "timed-out: the attempt ran out"


def test_of_a_large_plan_the_running_and_the_last_ended_are_shown() -> None:
    events: list[ev.Event] = [accepted(str(n)) for n in range(5_000)]
    for n in range(100):
        events += [ev.StepReady(0.0, str(n)), ev.StepStarted(0.0, str(n), 1)]
    for n in range(90):
        events += [ev.StepResult(1.0, str(n), 1, n), ev.StepEnded(1.0, str(n), "done")]
    board = board_of(*events)
    rows = board.rows(24, 2.0)
    shown = Counter(row.status for row in rows)
    assert len(rows) == 24
    assert shown["running"] == 10
    assert "89" in {row.id for row in rows}
    assert board.counts() == "90 done · 10 running · 4900 waiting"


def test_models_at_work_and_their_tokens() -> None:
    board = board_of(ev.ModelStarted(0.0, 1, "planner", 1, "openai:x", ""))
    assert board.asking(1.5) == ["planner openai:x 1.50 s"]
    board.take(
        ev.ModelCall(2.0, 1, "planner", 1, "openai:x", 0.0, 0.5, Usage(1200, 0, 34), None, "")
    )
    assert board.asking(2.0) == []
    assert board.tokens() == "1 model calls · 1,200 tokens in · 34 out"


def test_after_a_real_run_the_board_and_the_fold_agree() -> None:
    @heddle.tool(effect="pure", provider="quotes")
    async def one(n: int) -> int:
        return 1 // n

    log = EventLog()
    plan = heddle.parse("1. one(1)\n2. one($1)\n3. one(0)\n4. one($3)\n")
    asyncio.run(execute(plan, [one], log=log))
    board = Board({"one": one.spec}, Limits(per_provider={"quotes": 2}))
    for event in log.events:
        board.take(event)
    state = fold(log.events)
    assert {row.id: row.status for row in board.rows(9, 1.0)} == {
        step.id: step.status for step in state.steps.values()
    }
    assert board.counts() == "2 done · 1 failed · 1 skipped"
    assert "quotes 0/2" in board.slots()
