"""An agent's run, cut off after any event, goes on as if nothing had been: under every strategy."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.record import event_of
from heddle.models.protocol import ToolCall
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel
from memory_store import MemoryStore, cut_after, entries_of

if TYPE_CHECKING:
    from heddle.engine.result import RunResult

FINISH = json.dumps({"action": "finish", "answer": "joined"})
GONE = heddle.ModelError("gone", code="lost", provider="scripted")
REPLAN = json.dumps({"action": "replan", "reason": "more is needed"})


class World:
    """Tools of each effect, and what was done with them."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.sent: list[str] = []
        self.paid: dict[str, str] = {}

    def tools(self) -> list[Any]:
        @heddle.tool(effect="read")
        async def look(what: str) -> str:
            """Look something up."""
            self.read.append(what)
            await asyncio.sleep(1)
            return f"<{what}>"

        @heddle.tool(effect="write")
        async def send(text: str) -> str:
            """Send a text."""
            self.sent.append(text)
            await asyncio.sleep(1)
            return f"sent {text}"

        @heddle.tool(effect="idempotent")
        async def pay(whom: str) -> str:
            """Pay somebody."""
            key = heddle.current_call().key
            assert self.paid.setdefault(key, whom) == whom
            await asyncio.sleep(1)
            return f"paid {whom}"

        return [look, send, pay]


@dataclass(frozen=True)
class Scenario:
    """A strategy, and what its models say."""

    strategy: str
    replies: dict[Any, Any]
    chains: int = 1

    def agent(self, world: World, journal: Any) -> heddle.Agent:
        return heddle.Agent(
            ScriptedModel(self.replies), world.tools(), strategy=self.strategy, journal=journal,
            chains=self.chains,
        )  # fmt: skip


def call(id: str, tool: str, **args: Any) -> ToolCall:
    return ToolCall(id, tool, json.dumps(args))


LOOKS = ["I look.", call("c1", "look", what="a"), (0.5, call("c2", "look", what="b"))]
PLAN = ['1. look("a")\n', (0.5, '2. send($1)\n3. look("b")\n'), (2.0, "4. join()")]

SCENARIOS = {
    "direct": Scenario("direct", {"joiner": ["forty", (1.0, "-two")]}),
    "react": Scenario(
        "react",
        {
            ("planner", 1): "Thought: look first.\nAction: look[a]",
            ("planner", 2): "Thought: tell.\nAction: send[hello]",
            ("planner", 3): "Thought: pay.\nAction: pay[ann]",
            ("planner", 4): "Thought: that is all.\nAction: finish[done]",
        },
    ),
    "parallel": Scenario(
        "parallel",
        {
            ("planner", 1): LOOKS,
            ("planner", 2): [call("c3", "send", text="hello"), call("c4", "pay", whom="ann")],
            ("planner", 3): "all is done",
        },
    ),
    "rewoo": Scenario(
        "rewoo",
        {
            "planner": "Plan: look it up.\n#E1 = look[a]\nPlan: tell.\n#E2 = send[#E1]",
            "joiner": "told",
        },
    ),
    "llmcompiler": Scenario(
        "llmcompiler",
        {
            ("planner", 1): PLAN,
            ("planner", 2): '5. pay($3)\n6. look("c")\n7. join()',
            ("joiner", 1): REPLAN,
            ("joiner", 2): FINISH,
        },
    ),
    "a replan that repeats": Scenario(
        "llmcompiler",
        {
            ("planner", 1): '1. look("a")\n2. send("x")\n3. send("x")\n4. join()',
            ("planner", 2): '5. send("x")\n6. send("x")\n7. send("x")\n8. join()',
            ("joiner", 1): REPLAN,
            ("joiner", 2): FINISH,
        },
    ),
    "repaired": Scenario(
        "llmcompiler",
        {
            "planner": '1. look("a")\n2. lok($1)\n3. send($2)\n4. join()',
            "repair": "2. look($1)",
            "joiner": FINISH,
        },
    ),
    "broken off": Scenario(
        "llmcompiler",
        {
            "planner": ['1. look("a")\n2. look("b")\n', GONE],
            "joiner": FINISH,
        },
    ),
    "rejected": Scenario(
        "llmcompiler",
        {
            ("planner", 1): '1. look("a")\n2. lok($1)\n3. send($1)\n4. join()',
            ("planner", 2): '5. send($1)\n6. join()',
            "repair": "no",
            ("joiner", 1): REPLAN,
            ("joiner", 2): FINISH,
        },
    ),
    "abstraction": Scenario(
        "abstraction",
        {
            ("planner", 1): "The place is [look(a) = y1].\nAnswer: y1",
            ("planner", 2): "It is [look(b) = y1].\nAnswer: y1",
            ("planner", 3): "Surely [look(a) = y1].\nAnswer: y1",
        },
        chains=3,
    ),
    "code": Scenario(
        "code", {"planner": 'a = look("a")\nb = send(a)\nc = pay("ann")\n[a, b, c]'}
    ),
    "auto, planned": Scenario(
        "auto",
        {"planner": '1. look("a")\n2. send($1)\n3. join()', "joiner": FINISH},
    ),
    "auto, step by step": Scenario(
        "auto",
        {
            ("planner", 1): '1. look("a")\n2. later("which next", $1)\n3. join()',
            ("planner", 2): [call("c1", "look", what="a")],
            ("planner", 3): [call("c2", "send", text="hello")],
            ("planner", 4): "found",
        },
    ),
}  # fmt: skip


async def recorded(scenario: Scenario) -> tuple[RunResult, list[Any]]:
    """A run that nobody interrupted, and its journal."""
    store = MemoryStore()
    result = await scenario.agent(World(), store).run("what?", run_id="r", seed=1)
    return result, await entries_of(store, "r")


def in_doubt(events: list[Any]) -> dict[str, Any]:
    """What a person would say of the writes that were begun and have no outcome."""
    begun: dict[str, str] = {}
    steps = {event.step.id: event.step for event in events if isinstance(event, ev.StepAccepted)}
    for event in events:
        if isinstance(event, ev.StepIntent) and event.effect == "write":
            begun[event.step] = event.step
        elif isinstance(event, ev.StepResult):
            begun.pop(event.step, None)
    values = {event.step: event.value for event in events if isinstance(event, ev.StepResult)}
    found = {}
    for id in begun:
        (text,) = steps[id].args.values()
        found[id] = heddle.Done(f"sent {values[text.step] if hasattr(text, 'step') else text}")
    return found


def asked(events: Any) -> Counter[tuple[str, int]]:
    """Replies that came to their end, by role and round."""
    calls = (event for event in events if isinstance(event, ev.ModelCall))
    return Counter((call.role, call.round) for call in calls if not call.code)


def prompts(events: Any) -> dict[tuple[str, int], set[str]]:
    """What models read, as hashes, by role and round."""
    found: dict[tuple[str, int], set[str]] = {}
    for event in events:
        if isinstance(event, ev.ModelStarted):
            found.setdefault((event.role, event.round), set()).add(event.prompt_hash)
    return found


def outcome(result: RunResult) -> Any:
    """What must be the same."""
    steps = [(step.id, step.tool, step.status, step.value) for step in result.steps]
    texts = [plan.text for plan in result.plans]
    return result.status, result.answer, result.strategy, steps, texts


def sent_in(result: RunResult) -> set[str]:
    """The steps of a whole run that have sent something themselves."""
    reused = {event.step for event in result.events if isinstance(event, ev.EffectReused)}
    done = {step.id for step in result.steps if step.tool == "send" and step.status == "done"}
    return done - reused


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_that_was_cut_off_after_any_event_ends_as_if_it_had_not_been(name: str) -> None:
    scenario = SCENARIOS[name]

    async def main() -> None:
        whole, entries = await recorded(scenario)
        assert whole.status == "succeeded" or name in ("rejected", "broken off"), whole.error
        for n in range(2, len(entries)):
            events = [event_of(entry) for entry in entries[:n]]
            world = World()
            store = cut_after(entries, n)
            result = await scenario.agent(world, store).resume("r", resolve=in_doubt(events))
            why = f"after {n} events, the last being {events[-1]}"
            assert outcome(result) == outcome(whole), why
            assert asked(result.events) == asked(whole.events), why
            assert prompts(result.events) == prompts(whole.events), why
            begun = {event.step for event in events if isinstance(event, ev.StepIntent)}
            wanted = sent_in(whole) - begun
            assert len(world.sent) == len(wanted), why
            ended = {event.step for event in events if isinstance(event, ev.StepEnded)}
            again = {event.step for event in result.events[n:] if isinstance(event, ev.StepStarted)}
            closed = {
                event.round for event in events
                if isinstance(event, (ev.PlanAccepted, ev.PlanRejected))
            }  # fmt: skip
            rounds = {step.id: round_of(step.id) for step in whole.steps}
            assert not {id for id in ended & again if rounds[id] in closed}, why
            stored = await scenario.agent(World(), store).resume("r")
            assert outcome(stored) == outcome(whole), why

    run_virtual(main())


@pytest.mark.parametrize("name", ["repaired", "rewoo", "llmcompiler"])
def test_a_run_that_was_cut_off_twice_ends_as_if_it_had_not_been(name: str) -> None:
    """First where its first plan was said and not closed; then after any event of what followed."""
    scenario = SCENARIOS[name]

    async def main() -> None:
        whole, entries = await recorded(scenario)
        said = next(
            n for n, entry in enumerate(entries) if isinstance(event_of(entry), ev.ModelCall)
        )
        store = cut_after(entries, said + 1)
        await scenario.agent(World(), store).resume("r")
        entries = await entries_of(store, "r")
        for n in range(said + 2, len(entries)):
            events = [event_of(entry) for entry in entries[:n]]
            agent = scenario.agent(World(), cut_after(entries, n, token=2))
            result = await agent.resume("r", resolve=in_doubt(events))
            why = f"after {n} events, the last being {events[-1]}"
            assert outcome(result) == outcome(whole), why
            assert asked(result.events) == asked(whole.events), why

    run_virtual(main())


def test_a_replan_does_not_do_again_what_was_done_and_each_effect_stands_in_once() -> None:
    world = World()
    scenario = SCENARIOS["a replan that repeats"]
    result = run_virtual(scenario.agent(world, None).run("what?"))
    assert world.sent == ["x", "x", "x"]
    assert [step.value for step in result.steps if step.tool == "send"] == ["sent x"] * 5
    reused = [event for event in result.events if isinstance(event, ev.EffectReused)]
    assert [(event.step, event.source) for event in reused] == [("2.5", "2"), ("2.6", "3")]


def test_turns_are_no_replans_and_repeat_what_they_are_told_to() -> None:
    world = World()
    turn = [call("c", "send", text="x")]
    replies = {("planner", 1): turn, ("planner", 2): turn, ("planner", 3): "done"}
    run_virtual(Scenario("parallel", replies).agent(world, None).run("what?"))
    assert world.sent == ["x", "x"]


def test_a_write_that_is_unknown_is_not_repeated_by_a_replan() -> None:
    sent: list[str] = []

    @heddle.tool(effect="write", timeout_s=1)
    async def send(text: str) -> str:
        sent.append(text)
        await asyncio.sleep(5)
        return text

    replies = {
        ("planner", 1): '1. send("x")\n2. join()',
        ("planner", 2): '3. send("x")\n4. join()',
        ("joiner", 1): REPLAN,
        ("joiner", 2): FINISH,
    }
    agent = heddle.Agent(ScriptedModel(replies), [send], strategy="llmcompiler")
    result = run_virtual(agent.run("what?"))
    assert sent == ["x"]
    assert (result.status, result.steps[1].error.code) == ("unresolved", "repeats-unknown")


@pytest.mark.parametrize(
    ("says", "late", "second"),
    [
        (heddle.Failed("nobody saw it"), False, ("failed", "resolved-failed")),
        (heddle.Failed("nobody saw it"), True, ("done", "x")),
        (None, True, ("done", "x")),
    ],
)
def test_neither_is_one_that_its_policy_counts_as_failed_or_whose_answer_comes_late(
    says: Any, late: bool, second: tuple[str, str]
) -> None:
    sent: list[str] = []

    @heddle.tool(effect="write", timeout_s=1, on_unknown=says)
    async def send(text: str) -> str:
        sent.append(text)
        if not late:
            raise ConnectionResetError
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return text

    @heddle.tool(effect="read")
    async def look(text: str) -> str:
        await asyncio.sleep(9)
        return text

    replies = {
        ("planner", 1): '1. send("x")\n2. look("a")\n3. join()',
        ("planner", 2): '4. send("x")\n5. join()',
        ("joiner", 1): REPLAN,
        ("joiner", 2): FINISH,
    }
    agent = heddle.Agent(ScriptedModel(replies), [send, look], strategy="llmcompiler")
    result = run_virtual(agent.run("what?"))
    assert sent == ["x"]
    step = result.steps[2]
    assert (step.status, step.error.code if step.error else step.value) == second
    assert result.status != "unresolved"


def round_of(id: str) -> int:
    round, dot, _ = id.partition(".")
    return int(round) if dot else 1


def test_a_run_that_is_not_over_is_gone_on_with_as_what_it_was_begun_as() -> None:
    async def main() -> None:
        world, scenario = World(), SCENARIOS["direct"]
        _, answering = await recorded(scenario)
        with pytest.raises(heddle.HeddleError, match="answers a question") as caught:
            await heddle.resume("r", world.tools(), journal=cut_after(answering, 2))
        assert (caught.value.code, caught.value.hint) == ("run-other", "use Agent.resume")
        store, plan = MemoryStore(), heddle.parse('1. look("a")', dialect="llmcompiler")
        await heddle.execute(plan, world.tools(), journal=store, run_id="r")
        planned = cut_after(await entries_of(store, "r"), 2)
        with pytest.raises(heddle.HeddleError, match="was handed a plan") as caught:
            await scenario.agent(world, planned).resume("r")
        assert (caught.value.code, caught.value.hint) == ("run-other", "use heddle.resume")

    run_virtual(main())
