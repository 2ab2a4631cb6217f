"""The agent: question → rounds → answer, whatever the planner, the tools and the joiner do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.engine.events import RunFinished, StepStarted
from heddle.errors import ConfigError, ModelError
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import STALL, ScriptedModel


@heddle.tool(effect="read")
async def look(x: str) -> str:
    """Look something up; it takes a second."""
    await asyncio.sleep(1)
    return f"<{x}>"


@heddle.tool(effect="read")
async def fails(x: str) -> str:
    """Fail."""
    raise ValueError(x)


@heddle.tool(effect="read")
async def hangs(x: str) -> str:
    """Never return."""
    await asyncio.Event().wait()
    return x


class Outbox:
    """A write tool and what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []

        @heddle.tool(effect="write")
        async def send(text: str) -> str:
            """Send a text."""
            self.sent.append((asyncio.get_running_loop().time(), text))
            return "ok"

        self.tool = send


def finish(answer: Any) -> str:
    return json.dumps({"action": "finish", "answer": answer})


def replan(reason: str) -> str:
    return json.dumps({"action": "replan", "reason": reason})


def agent(replies: Any, *tools: Any, **options: Any) -> heddle.Agent:
    return heddle.Agent(ScriptedModel(replies), [look, fails, hangs, *tools], **options)


def ask(made: heddle.Agent, question: str = "what?", **options: Any) -> Any:
    return run_virtual(made.run(question, **options))


def model_of(made: heddle.Agent) -> ScriptedModel:
    model = made.models[""]
    assert isinstance(model, ScriptedModel)
    return model


def starts(result: Any) -> dict[str, float]:
    return {event.step: event.at for event in result.events if isinstance(event, StepStarted)}


# -- one round -----------------------------------------------------------------------------------


def test_a_question_a_plan_and_an_answer() -> None:
    made = agent({"planner": '1. look("a")\n2. look($1)\n3. join()', "joiner": finish("<<a>>")})
    result = ask(made)
    assert (result.status, result.answer, result.error) == ("succeeded", "<<a>>", None)
    assert [(step.id, step.value) for step in result.steps] == [("1", "<a>"), ("2", "<<a>>")]
    assert result.timing.makespan_s == 2
    assert result.usage.model_calls == 2
    assert [request.role for request in model_of(made).requests] == ["planner", "joiner"]
    assert isinstance(result.events[-1], RunFinished)


def test_steps_start_while_the_planner_is_still_silent_and_dependents_too() -> None:
    planner = ['1. look("a")\n', (10.0, "2. look($1)\n"), (10.0, '3. look("c")\n4. join()')]
    result = ask(agent({"planner": planner, "joiner": finish("x")}))
    assert starts(result) == {"1": 0, "2": 10, "3": 20}


def test_a_dependent_starts_when_its_input_comes_though_the_planner_is_silent() -> None:
    planner = ['1. look("a")\n2. look($1)\n3. look($2)\n', (50.0, "4. join()")]
    result = ask(agent({"planner": planner, "joiner": finish("x")}))
    assert starts(result) == {"1": 0, "2": 1, "3": 2}


def test_one_character_at_a_time_is_the_same_plan() -> None:
    text = '1. look("a")\n2. look("b $1")\n3. join()'
    whole = ask(agent({"planner": text, "joiner": finish("x")}))
    cut = ask(agent({"planner": list(text), "joiner": finish("x")}))
    assert [step.value for step in cut.steps] == [step.value for step in whole.steps]


def test_the_joiner_reads_results_in_plan_order_with_what_is_missing() -> None:
    made = agent(
        {"planner": '1. fails("a")\n2. look("b")\n3. look($1)\n4. join()', "joiner": finish("b")}
    )
    result = ask(made)
    assert (result.status, result.answer, result.error.code) == ("partial", "b", "tool-failed")
    assert result.exit_status == 1
    text = model_of(made).requests[-1].messages[-1].content
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert [(line["id"], line["status"]) for line in lines] == [
        ("1", "failed"), ("2", "done"), ("3", "skipped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Paris (France) is it.\nReally.", "Paris (France) is it.\nReally."),
        ("I would Replan, but no.", "I would Replan, but no."),
        ('{"action": "dance"}', '{"action": "dance"}'),
        ("{", "{"),
        ("", ""),
        ('{"action": "finish", "answer": NaN}', '{"action": "finish", "answer": NaN}'),
        ('{"answer": [1e999]}', '{"answer": [1e999]}'),
        (r'{"action": "replan", "reason": "\ud800"}', r'{"action": "replan", "reason": "\ud800"}'),
        ("[" * 5_000 + "{}", "[" * 5_000 + "{}"),
        ('```json\n{"action": "finish", "answer": "x"}\n```', "x"),
    ],
)
def test_a_joiner_that_breaks_the_form_has_answered(reply: str, answer: str) -> None:
    result = ask(agent({"planner": '1. look("a")\n2. join()', "joiner": reply}))
    assert (result.status, result.answer) == ("succeeded", answer)


# -- faults of the planner -----------------------------------------------------------------------


def test_a_bad_line_is_repaired_and_the_rest_does_not_wait() -> None:
    planner = ['1. lok("a")\n2. look("b")\n3. look($1)\n', (5.0, "4. join()")]
    made = agent({"planner": planner, "repair": '1. look("a")', "joiner": finish("x")})
    result = ask(made)
    assert result.status == "succeeded"
    assert starts(result) == {"2": 0, "1": 5, "3": 6}
    repair = next(r for r in model_of(made).requests if r.role == "repair")
    assert 'lok("a")' in repair.messages[-1].content


@pytest.mark.parametrize(
    "repair",
    ['1. lok("a")', '9. look("a")', '1. look("a")\n2. look("b")', "sorry", "1. look($2)",
     [ModelError("down", code="down", provider="p")]],
    ids=str,
)  # fmt: skip
def test_a_repair_that_is_not_that_line_again_leaves_the_hole(repair: Any) -> None:
    outbox = Outbox()
    planner = '1. lok("a")\n2. look("b")\n3. look($1)\n4. send("x")\n5. join()'
    made = agent({"planner": planner, "repair": repair, "joiner": finish("only b")}, outbox.tool)
    result = ask(made)
    assert {step.id: (step.status, step.error and step.error.code) for step in result.steps} == {
        "1": ("failed", "hole"),
        "2": ("done", None),
        "3": ("skipped", "upstream-failed"),
        "4": ("skipped", "plan-unclean"),
    }
    assert (result.status, result.answer) == ("partial", "only b")
    assert outbox.sent == []


def test_too_many_bad_lines_fail_the_round_and_the_next_plan_answers() -> None:
    bad = "\n".join(f'{n}. nope("{n}")' for n in range(1, 9))
    made = agent(
        {
            ("planner", 1): bad,
            ("planner", 2): '9. look("a")\n10. join()',
            "repair": "no",
            "joiner": finish("ok"),
        }
    )
    result = ask(made)
    assert result.answer == "ok"
    assert "too-many-holes" in {finding.code for finding in result.findings}
    assert not [request for request in model_of(made).requests if request.role == "repair"]


FAILED_ROUND = '1. look("a")\n' + "".join(f'{n}. nope("{n}")\n' for n in range(2, 6))


def test_a_round_that_failed_is_replanned_although_some_of_its_steps_ran() -> None:
    made = agent(
        {
            ("planner", 1): FAILED_ROUND,
            ("planner", 2): "6. look($1)\n7. join()",
            "joiner": finish("ok"),
        }
    )
    result = ask(made)
    assert (result.status, result.answer) == ("succeeded", "ok")
    assert result.steps[-1].value == "<<a>>"
    asked = [(request.role, request.round) for request in model_of(made).requests]
    assert asked == [("planner", 1), ("planner", 2), ("joiner", 2)]


def test_a_last_round_that_failed_is_joined_with_what_there_is() -> None:
    limits = heddle.Limits(max_rounds=1)
    result = ask(agent({"planner": FAILED_ROUND, "joiner": finish("a only")}, limits=limits))
    assert (result.status, result.answer) == ("partial", "a only")


def test_an_empty_plan_is_replanned_and_then_rejected() -> None:
    made = agent({"planner": "I cannot do that."}, limits=heddle.Limits(max_rounds=2))
    result = ask(made)
    assert (result.status, result.exit_status) == ("rejected", 3)
    assert [request.round for request in model_of(made).requests] == [1, 2]


def test_a_planner_that_fails_before_the_first_step_is_an_error_and_never_a_hang() -> None:
    broken = ModelError("no route", code="connection", provider="p", hint="check the line")
    result = ask(agent({"planner": [broken]}))
    assert (result.status, result.error.code, result.exit_status) == ("failed", "connection", 4)


@pytest.mark.parametrize(
    "end", [STALL, ModelError("cut", code="cut", provider="p")], ids=["stall", "cut"]
)
def test_a_planner_that_breaks_off_leaves_what_was_planned_without_its_effects(end: Any) -> None:
    outbox = Outbox()
    planner = ['1. look("a")\n2. send("b")\n3. look("', end]
    result = ask(agent({"planner": planner, "joiner": finish("part")}, outbox.tool))
    assert (result.status, result.answer) == ("partial", "part")
    assert "plan-cut" in {finding.code for finding in result.findings}
    assert outbox.sent == []
    assert result.timing.total_s < 600


def test_a_planner_that_never_stops_is_cut_at_the_bound() -> None:
    lines = [(0.001, f'{n}. look("{n}")\n') for n in range(1, 2_000)]
    limits = heddle.Limits(max_steps=20)
    result = ask(agent({"planner": lines, "joiner": finish("x")}, limits=limits))
    assert "too-many-steps" in {finding.code for finding in result.findings}
    assert len(starts(result)) <= 20


def test_without_a_worker_no_plan_may_ask_a_model() -> None:
    model = ScriptedModel({"planner": '1. llm("a")\n2. look("b")', "repair": "", "joiner": "x"})
    made = heddle.Agent({"planner": model, "repair": model, "joiner": model}, [look])
    result = ask(made)
    assert [finding.code for finding in result.findings] == ["unknown-tool"]
    assert "llm(" not in model.requests[0].messages[0].content


# -- rounds --------------------------------------------------------------------------------------


def test_a_second_round_refers_to_results_of_the_first() -> None:
    made = agent(
        {
            ("planner", 1): '1. look("a")\n2. join()',
            ("planner", 2): "2. look($1)\n3. join()",
            "joiner": (replan("look closer"), finish("<<a>>")),
        }
    )
    result = ask(made)
    assert result.status == "succeeded"
    assert [(step.id, step.value) for step in result.steps] == [("1", "<a>"), ("2.2", "<<a>>")]
    again = model_of(made).requests[2]
    assert again.round == 2
    assert "look closer" in again.messages[-1].content
    assert "<a>" not in "".join(message.content for message in again.messages)


def test_rounds_end_at_their_bound_and_say_so() -> None:
    made = agent(
        {"planner": '1. look("a")\n2. join()', "joiner": replan("more")},
        limits=heddle.Limits(max_rounds=1),
    )
    result = ask(made)
    assert (result.status, result.error.code, result.exit_status) == ("partial", "max-rounds", 5)
    assert "No further round" in model_of(made).requests[-1].messages[0].content


def test_a_later_round_makes_good_what_failed_in_an_earlier_one() -> None:
    made = agent(
        {
            ("planner", 1): '1. fails("a")\n2. join()',
            ("planner", 2): '2. look("b")\n3. join()',
            "joiner": (replan("it failed"), finish("b")),
        }
    )
    assert ask(made).status == "succeeded"


def test_runs_of_one_agent_do_not_know_of_each_other() -> None:
    made = agent({"planner": '1. look("a")\n2. join()', "joiner": finish("x")})

    async def main() -> list[Any]:
        return await asyncio.gather(*(made.run(f"q{n}", inputs={"n": n}) for n in range(5)))

    results = run_virtual(main())
    assert len({result.run_id for result in results}) == 5
    assert all([step.id for step in result.steps] == ["1"] for result in results)


# -- effects -------------------------------------------------------------------------------------


def test_a_write_waits_for_the_end_of_the_plan() -> None:
    outbox = Outbox()
    planner = ['1. send("a")\n2. look("b")\n', (30.0, "3. join()")]
    result = ask(agent({"planner": planner, "joiner": finish("x")}, outbox.tool))
    assert outbox.sent == [(30.0, "a")]
    assert starts(result)["2"] == 0


def test_a_write_that_is_not_approved_is_denied() -> None:
    outbox = Outbox()
    result = ask(
        agent(
            {"planner": '1. send("a")\n2. look("b")\n3. join()', "joiner": finish("x")},
            outbox.tool,
            approve=lambda plan, steps: False,
        )
    )
    assert (result.status, result.exit_status) == ("denied", 6)
    assert outbox.sent == []


def test_an_approver_who_never_answers_does_not_outlast_the_run() -> None:
    outbox = Outbox()

    async def never(plan: Any, steps: Any) -> bool:
        await asyncio.Event().wait()
        return True

    limits = heddle.Limits(run_timeout_s=100, join_reserve_s=20)
    replies = {"planner": '1. send("a")\n2. look("b")\n3. join()', "joiner": finish("part")}
    result = ask(agent(replies, outbox.tool, approve=never, limits=limits))
    assert result.exit_status in (5, 6)
    assert outbox.sent == []
    assert result.timing.total_s <= 100


# -- time ----------------------------------------------------------------------------------------


def test_a_reserve_is_kept_so_that_a_partial_answer_is_always_joined() -> None:
    limits = heddle.Limits(run_timeout_s=60, join_reserve_s=20, step_timeout_s=None)
    planner = '1. look("a")\n2. hangs("b")\n3. join()'
    joiner = [(15.0, finish("a only"))]
    result = ask(agent({"planner": planner, "joiner": joiner}, limits=limits))
    assert (result.status, result.answer, result.exit_status) == ("partial", "a only", 5)
    assert result.steps[1].error.code == "deadline"
    assert result.steps[1].finished_s == 40
    assert result.timing.total_s == 55


@pytest.mark.parametrize("silent", ["planner", "joiner"])
def test_a_silent_model_ends_the_run_before_its_deadline(silent: str) -> None:
    replies = {"planner": '1. look("a")\n2. join()', "joiner": finish("x"), silent: [STALL]}
    limits = heddle.Limits(run_timeout_s=100, stall_timeout_s=1_000)
    result = ask(agent(replies, limits=limits))
    assert (result.error.code, result.exit_status) == ("deadline", 5)
    assert result.timing.total_s <= 100


def test_a_stalled_joiner_is_an_error_of_the_model() -> None:
    replies = {"planner": '1. look("a")\n2. join()', "joiner": [STALL]}
    result = ask(agent(replies, limits=heddle.Limits(stall_timeout_s=5)))
    assert (result.status, result.error.code, result.exit_status) == ("partial", "stalled", 4)
    assert result.steps[0].value == "<a>"


# -- join policies -------------------------------------------------------------------------------

THREE = '1. look("a")\n2. hangs("b")\n3. fails("c")\n4. join()'


@pytest.mark.parametrize(
    ("join", "status", "total_s"),
    [("any", "succeeded", 1), ("quorum:1", "succeeded", 1), ("best-effort", "partial", 7)],
)
def test_join_policies(join: str, status: str, total_s: float) -> None:
    limits = heddle.Limits(step_timeout_s=7)
    result = ask(agent({"planner": THREE, "joiner": finish("x")}, join=join, limits=limits))
    assert result.answer == "x"
    assert result.timing.total_s == total_s
    assert result.status in (status, "partial")


@pytest.mark.parametrize("join", ["all", "any", "quorum:2", "best-effort"])
def test_a_join_policy_asks_for_what_the_output_needs_and_no_more(join: str) -> None:
    planner = '1. look("a")\n2. hangs("b")\n3. join("It is $1.")'
    result = ask(agent({"planner": planner}, join=join))
    assert (result.status, result.answer, result.timing.total_s) == ("succeeded", "It is <a>.", 1)


@pytest.mark.parametrize("join", ["all", "quorum:2"])
def test_a_join_policy_that_is_not_met_gives_no_answer(join: str) -> None:
    limits = heddle.Limits(step_timeout_s=7)
    made = agent({"planner": THREE, "joiner": finish("x")}, join=join, limits=limits)
    result = ask(made)
    assert (result.answer, result.error.code) == (None, "join-policy")
    assert [request.role for request in model_of(made).requests] == ["planner"]


@pytest.mark.parametrize(
    "join",
    ["", "some", "quorum", "quorum:0", "quorum:x", "quorum:-1", "all:1", "any:2", "best-effort:x"],
)
def test_an_unknown_join_policy_is_refused(join: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agent("x", join=join)
    assert caught.value.code == "unknown-join-policy"


# -- the outside ---------------------------------------------------------------------------------


def test_stream_gives_every_event_and_the_end_last() -> None:
    made = agent({"planner": '1. look("a")\n2. join()', "joiner": finish("x")})

    async def main() -> list[Any]:
        return [event async for event in made.stream("q")]

    events = run_virtual(main())
    assert isinstance(events[-1], RunFinished)
    assert [event.answer for event in events if isinstance(event, RunFinished)] == ["x"]


def test_a_stream_whose_run_breaks_says_so_and_does_not_hang() -> None:
    def breaks(plan: Any, steps: Any) -> bool:
        raise ZeroDivisionError("the approver is broken")

    replies = {"planner": '1. send("a")\n2. join()', "joiner": finish("x")}
    made = agent(replies, Outbox().tool, approve=breaks)

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async for _ in made.stream("q"):
                pass

    run_virtual(main())


def test_leaving_the_stream_early_stops_the_run() -> None:
    made = agent({"planner": '1. hangs("a")\n2. join()', "joiner": finish("x")})

    async def main() -> None:
        stream = made.stream("q")
        async for event in stream:
            if isinstance(event, StepStarted):
                break
        await stream.aclose()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_cancelling_a_run_leaves_nothing_behind() -> None:
    made = agent({"planner": ['1. hangs("a")\n', STALL]})

    async def main() -> None:
        run = asyncio.create_task(made.run("q"))
        await asyncio.sleep(5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_plan_stops_after_planning_and_nothing_runs() -> None:
    made = agent({"planner": '1. look("a")\n2. lok($1)\n3. join()'})
    plan = run_virtual(made.plan("q"))
    assert [step.id for step in plan.steps] == ["1", "2"]
    assert [finding.code for finding in plan.findings] == ["unknown-tool"]


def test_inputs_reach_tools_by_name_and_no_model_sees_them() -> None:
    made = agent(
        {"planner": "1. look($input.mail)\n2. join()", "joiner": finish("x")},
    )
    result = ask(made, inputs={"mail": "SECRET-77"})
    assert result.steps[0].value == "<SECRET-77>"
    planner = model_of(made).requests[0]
    assert "SECRET-77" not in "".join(message.content for message in planner.messages)


def test_an_empty_question_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError):
        ask(agent("x"), "  ")


def test_a_question_in_another_encoding_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        ask(agent("x"), "na\udcefve?")  # what an argument in Latin-1 looks like in Python
    assert caught.value.code == "bad-text"


def test_aclose_closes_each_model_once() -> None:
    model = ScriptedModel("x")
    made = heddle.Agent({"planner": model, "joiner": model, "": model}, [look])
    run_virtual(made.aclose())
    assert model.closed == 1


def test_a_reply_without_a_plan_is_shown() -> None:
    made = agent({"planner": "I would rather not.\nSorry.", "joiner": finish("x")})
    result = ask(made)
    assert result.status == "rejected"
    assert "I would rather not." in result.findings[0].message
    assert {finding.code for finding in result.findings} == {"empty-plan"}


def test_an_agent_closes_its_models_when_its_block_is_left() -> None:
    made = agent({"planner": "1. look('x')\n2. join()", "joiner": finish("x")})

    async def use() -> None:
        async with made as same:
            assert same is made

    run_virtual(use())
    assert model_of(made).closed == 1
