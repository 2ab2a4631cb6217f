"""Experience: what runs with the same tools were like, and what is remembered of them."""

from __future__ import annotations

from typing import Any

import pytest

import heddle
from heddle.engine.state import StepState
from heddle.models.protocol import Usage
from heddle.plan.dialects import parse
from heddle.plan.ir import Ref, Step
from heddle.strategies.experience import Evidence, Experience, Habit, evidence, levels
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel
from heddle.testing.world import Sizes, World


def plan(text: str) -> list[Step]:
    return parse(text, "llmcompiler").steps


def ran(*steps: Step, status: str = "done", round: int = 1) -> list[StepState]:
    return [
        StepState(step.id, round, step, status=status, value="x" * 40)  # type: ignore[arg-type]
        for step in steps
    ]


CHAIN = "1. a()\n2. b($1)\n3. b($2)\n"
OPEN = '1. a()\n2. b($1)\n3. later("x", $2)\n4. later("y", $1)\n'


# -- what a plan shows


def test_a_plan_shows_its_calls_its_levels_and_what_could_not_be_planned() -> None:
    assert evidence(plan(CHAIN)) == Evidence(steps=3, depth=3, first=1, laters=0, below=2)
    assert evidence(plan(OPEN)) == Evidence(steps=2, depth=2, first=1, laters=2, below=3)
    assert evidence([]) == Evidence()


def test_levels_are_the_most_steps_that_need_each_other() -> None:
    assert levels([]) == 0
    assert levels(plan("1. a()\n2. a()\n3. b($1, $2)\n4. a()")) == 2
    assert levels([Step("1", "a"), Step("2", "a", after=("1",))]) == 2
    assert levels([Step("2", "a", {"x": Ref("of another plan")})]) == 1


# -- what is remembered


def test_nothing_is_known_before_a_run() -> None:
    assert not Habit().known
    assert Habit().share == 0


def test_tools_are_known_when_enough_calls_could_have_hung_on_a_result() -> None:
    habit = Habit()
    habit.learn(ran(*plan(CHAIN)), planned=True)
    assert not habit.known  # two calls below the first level
    habit.learn(ran(*plan(CHAIN)), planned=True)
    habit.learn(ran(*plan(CHAIN)), planned=True)
    assert habit.known
    assert (habit.steps, habit.depth, habit.share) == (3, 3, 0)


def test_the_share_is_of_first_plans_alone_for_later_ones_are_written_after_a_result() -> None:
    habit = Habit()
    later = [Step(f"2.{n}", "later", {"what": "x"}) for n in range(9)]
    habit.learn([*ran(*plan(CHAIN)), *ran(*later, round=2)], planned=True)
    assert habit.share == 0


def test_a_plan_that_was_given_up_shows_what_could_not_be_planned_and_no_call() -> None:
    habit = Habit()
    habit.looked(evidence(plan(OPEN)))
    assert (habit.laters, habit.trials, habit.runs) == (2, 3, 0)
    habit.learn(ran(*plan(OPEN), status="skipped"), planned=False)
    assert (habit.runs, habit.steps, habit.depth) == (0, 0, 0)


def test_turns_are_the_depth_of_a_run_step_by_step() -> None:
    habit = Habit()
    turns = [state for n in (2, 3, 4) for state in ran(Step(f"{n}.1", "a"), round=n)]
    habit.learn(turns, planned=False)
    assert (habit.steps, habit.depth, habit.deepest, habit.trials) == (3, 3, 3, 0)


def test_older_runs_count_for_less() -> None:
    habit = Habit()
    for _ in range(30):
        habit.learn(ran(*plan(CHAIN)), planned=True)
    for _ in range(10):
        habit.learn(ran(Step("1", "a")), planned=True)
    assert habit.steps < 1.4
    assert habit.deepest == 3


def test_after_many_runs_step_by_step_there_is_a_plan_all_the_same() -> None:
    habit = Habit()
    for _ in range(4):
        habit.learn(ran(*plan(OPEN)), planned=True)
    for _ in range(31):
        habit.learn(ran(Step("1", "a")), planned=False)
        assert habit.known
    habit.learn(ran(Step("1", "a")), planned=False)
    assert not habit.known
    habit.looked(evidence(plan(OPEN)))
    assert habit.known


def test_failures_are_a_share_of_the_calls() -> None:
    habit = Habit()
    steps = [*ran(Step("1", "a")), *ran(Step("2", "a"), status="failed")]
    habit.learn(steps, planned=True)
    assert habit.failing == 0.5


def test_sizes_are_tokens_of_four_characters() -> None:
    habit = Habit()
    habit.learn(ran(Step("1", "a")), planned=True)
    assert habit.observation == 10


# -- whose it is


def test_it_is_kept_by_the_set_of_tools_whatever_their_order() -> None:
    experience = Experience()
    assert experience.of(["a", "b"]) is experience.of(["b", "a"])
    assert experience.of(["a", "b"]) is not experience.of(["a"])


def test_runs_of_one_agent_share_it_and_another_agent_begins_anew() -> None:
    world = World(2, 3)
    agents = [heddle.Agent(world.model(), world.tools) for _ in range(2)]
    for _ in range(2):
        run_virtual(agents[0].run(world.question))
    assert agents[0].experience.of(["left", "right"]).runs == 2
    assert agents[1].experience.of(["left", "right"]).runs == 0


def test_strategies_that_a_caller_chose_teach_nothing() -> None:
    world = World(2, 3)
    agent = heddle.Agent(world.model(), world.tools, strategy="llmcompiler")
    run_virtual(agent.run(world.question))
    assert agent.experience.of(["left", "right"]).runs == 0


# -- what it cost


@pytest.mark.parametrize("conditional", [0.0, 1.0])
def test_what_a_way_really_cost_is_near_what_the_model_says(conditional: float) -> None:
    world = World(1, 8, conditional=conditional, tool_s=9.0, sizes=Sizes(answer=120))
    agent = heddle.Agent(world.model(), world.tools)
    for _ in range(10):  # a draft that was broken off has no usage: the first runs teach nothing
        run_virtual(agent.run(world.question))
    factors = agent.experience.of(["left", "right"]).factors
    assert list(factors) == ["parallel" if conditional else "llmcompiler"]
    assert next(iter(factors.values())) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("keeps", [True, False])
def test_what_a_provider_keeps_of_what_it_could_is_remembered(keeps: bool) -> None:
    world = World(1, 8, conditional=1, tool_s=9.0, sizes=Sizes(answer=120))
    agent = heddle.Agent(world.model(keeps=keeps), world.tools)
    for _ in range(14):
        run_virtual(agent.run(world.question))
    assert agent.experience.of(["left", "right"]).kept == pytest.approx(0.97 * keeps, abs=0.05)


@pytest.mark.parametrize("estimated", [True, False])
def test_tokens_that_are_a_guess_do_not_spoil_what_is_known_of_cost(estimated: bool) -> None:
    @heddle.tool(effect="read")
    async def a(x: Any = None) -> str:
        """Do a."""
        return "a"

    usage = Usage(9_999_999, 0, 9_999_999, estimated=estimated)
    model = ScriptedModel({"planner": ["1. a()\n2. join()", usage], "joiner": ["x", usage]})
    agent = heddle.Agent(model, [a])
    run_virtual(agent.run("what?"))
    habit = agent.experience.of(["a"])
    assert habit.runs == 1
    assert bool(habit.factors) is not estimated


def test_a_run_that_came_to_no_end_says_nothing_about_cost() -> None:
    @heddle.tool(effect="read")
    async def a(x: Any = None) -> str:
        """Do a."""
        return "a"

    error = heddle.ModelError("503", code="unavailable", provider="p")
    model = ScriptedModel({"planner": "1. a()\n2. join()", "joiner": [error]})
    agent = heddle.Agent(model, [a])
    assert run_virtual(agent.run("what?")).error.code == "unavailable"
    assert agent.experience.of(["a"]).factors == {}
