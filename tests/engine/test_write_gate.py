"""Effects: only after the plan is closed, clean and approved, and never without a word before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rig import Functions, Loom, origins

from heddle.engine.events import Approval, PlanAccepted, PlanRejected, StepIntent, StepStarted
from heddle.engine.log import EventLog
from heddle.engine.round import Round
from heddle.plan.canonical import prefix_hash
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Plan, Ref, Step
from heddle.plan.spec import ToolSpec
from heddle.plan.verify import Verifier
from heddle.testing.clock import run_virtual

EFFECTFUL = ["idempotent", "write"]
SPECS = [
    ToolSpec("look", parameters={"type": "object", "properties": {"x": {}}}, effect="read"),
    ToolSpec("send", parameters={"type": "object", "properties": {"x": {}}}, effect="write"),
]


async def echo(x: Any = None) -> Any:
    return x


def loom(**options: Any) -> Loom:
    tools = Functions(look=echo, send=echo)
    return Loom(tools, specs=SPECS, released=False, **options)


def begin(woven: Loom, plan: Plan) -> Round:
    def verifier() -> Verifier:
        return Verifier(woven.specs, limits=None, inputs=(), earlier=None)

    return Round(plan, verifier, woven.scheduler, woven.log, max_holes=3)


@pytest.mark.parametrize("effect", EFFECTFUL)
def test_an_effect_starts_only_after_release_and_other_steps_at_once(effect: Any) -> None:
    async def main() -> None:
        specs = [ToolSpec("look", effect="pure"), ToolSpec("send", effect=effect)]
        tools = Functions(look=echo, send=echo)
        async with Loom(tools, specs=specs, released=False) as woven:
            woven.add(Step("1", "look"), Step("2", "send"), Step("3", "look", {"x": Ref("2")}))
            await asyncio.sleep(10)
            assert woven.statuses() == {"1": ("done", "")}
            assert woven.scheduler.status("2") == "ready"
            woven.scheduler.release(origins)
            await woven.scheduler.wait()
            assert woven.started() == ["1", "2", "3"]
            assert woven.state().steps["2"].started_s == 10

    run_virtual(main())


def test_after_hold_the_effects_of_the_next_plan_wait_again() -> None:
    async def main() -> None:
        async with loom() as woven:
            woven.add(Step("1", "send"))
            woven.scheduler.release(origins)
            await woven.scheduler.wait()
            woven.scheduler.hold()
            woven.add(Step("2.1", "send"))
            await asyncio.sleep(5)
            assert woven.started() == ["1"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("status", "code"), [("skipped", "plan-unclean"), ("denied", "not-approved")]
)
def test_withheld_effects_end_without_having_started(status: Any, code: str) -> None:
    async def main() -> None:
        async with loom() as woven:
            woven.add(
                Step("1", "look"),
                Step("2", "send"),
                Step("3", "send", {"x": Ref("1")}, writes=("disk",)),
                Step("4", "look", {"x": Ref("2")}),
                Step("5", "look", reads=("disk",)),
            )
            woven.scheduler.withhold(status, code)
            await woven.scheduler.wait()
            assert woven.statuses() == {
                "1": ("done", ""),
                "2": (status, code),
                "3": (status, code),
                "4": ("skipped", "upstream-" + status),
                "5": ("done", ""),
            }
            assert "send" not in [woven.state().steps[id].step.tool for id in woven.started()]

    run_virtual(main())


class SlowLog(EventLog):
    """A log that lets nobody go on before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.safe = asyncio.Event()

    async def durable(self, seq: int) -> None:
        self.asked.append(seq)
        await self.safe.wait()


def test_an_intent_is_durable_before_its_effect_starts_and_reads_wait_for_no_disk() -> None:
    async def main() -> None:
        log = SlowLog()
        async with loom(log=log) as woven:
            woven.add(Step("1", "look"), Step("2", "send", {"x": "a"}))
            woven.scheduler.release(origins)
            await asyncio.sleep(100)
            assert woven.started() == ["1"]
            (intent,) = woven.events(StepIntent)
            assert log.events[log.asked[0]] is intent
            log.safe.set()
            await woven.scheduler.wait()
            assert woven.started() == ["1", "2"]
            assert woven.statuses()["2"] == ("done", "")

    run_virtual(main())


def test_the_origin_of_an_effect_is_its_place_in_the_accepted_plan() -> None:
    async def main() -> None:
        async with loom() as woven:
            plan = Plan()
            round = begin(woven, plan)
            round.take(Step("1", "look", {"x": 1}))
            round.take(Step("2", "send", {"0": Ref("1")}))
            round.take(Step("3", "send", {"x": "b"}))
            assert round.close()
            await round.release(None)
            await woven.scheduler.wait()
            intents = woven.events(StepIntent)
            assert {intent.origin.n for intent in intents} == {2, 3}
            for intent in intents:
                assert intent.origin.round == 1
                assert intent.origin.hash == prefix_hash(plan, intent.origin.n)
            assert len({intent.key for intent in intents}) == 2
            (accepted,) = woven.events(PlanAccepted)
            assert accepted.plan_hash == prefix_hash(plan, 3)
            kinds = [type(event) for event in woven.log.events]
            assert kinds.index(PlanAccepted) < kinds.index(StepIntent)

    run_virtual(main())


def test_a_hole_that_is_left_keeps_every_effect_back() -> None:
    async def main() -> None:
        async with loom() as woven:
            round = begin(woven, Plan())
            round.take(Step("1", "look", {"x": 1}))
            fault = Finding.at(None, "bad-call", "it cannot be read")
            round.take(Hole("2", "2. look(", (fault,)))
            round.take(Step("3", "send", {"x": Ref("1")}))
            round.take(Step("4", "look", {"x": Ref("2")}))
            assert not round.close()
            assert not round.clean
            await woven.scheduler.wait()
            assert woven.statuses() == {
                "1": ("done", ""),
                "2": ("failed", "hole"),
                "3": ("skipped", "plan-unclean"),
                "4": ("skipped", "upstream-failed"),
            }
            assert [event.codes for event in woven.events(PlanRejected)] == [("bad-call",)]
            assert not woven.events(PlanAccepted)

    run_virtual(main())


def test_a_filled_hole_lets_its_dependents_and_the_effects_go() -> None:
    async def main() -> None:
        async with loom() as woven:
            round = begin(woven, Plan())
            fault = Finding.at(None, "bad-call", "it cannot be read")
            round.take(Hole("1", "1. look(", (fault,)))
            round.take(Step("2", "send", {"x": Ref("1")}))
            await asyncio.sleep(1)
            assert woven.started() == []
            assert round.fill(Step("1", "look", {"x": 7})) == ()
            assert round.close()
            await round.release(None)
            await woven.scheduler.wait()
            assert woven.state().steps["2"].value == 7

    run_virtual(main())


@pytest.mark.parametrize("later", [True, False])
def test_a_hole_cannot_be_filled_with_a_step_that_refers_to_a_later_one(later: bool) -> None:
    async def main() -> None:
        async with loom() as woven:
            round = begin(woven, Plan())
            fault = Finding.at(None, "bad-call", "it cannot be read")
            round.take(Hole("1", "1. look(", (fault,)))
            round.take(Step("2", "look", {"x": Ref("1")} if later else {"x": 1}))
            findings = round.fill(Step("1", "look", {"x": Ref("2")}))
            assert findings
            assert not round.close()
            await woven.scheduler.wait()
            assert woven.statuses()["1"] == ("failed", "hole")

    run_virtual(main())


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("granted", [True, False])
def test_the_approver_is_asked_once_for_the_effects_of_a_plan(
    granted: bool, asynchronous: bool
) -> None:
    asked: list[list[str]] = []

    def decide(plan: Plan, effects: Any) -> bool:
        asked.append([step.id for step in effects])
        return granted

    async def ponder(plan: Plan, effects: Any) -> bool:
        await asyncio.sleep(3600)
        return decide(plan, effects)

    async def main() -> None:
        async with loom() as woven:
            round = begin(woven, Plan())
            for number in range(4):
                round.take(Step(str(number), "send" if number % 2 else "look", {"x": number}))
            round.close()
            await round.release(ponder if asynchronous else decide)
            await woven.scheduler.wait()
            (approval,) = woven.events(Approval)
            assert approval.decision == ("granted" if granted else "denied")
            begun = {event.step for event in woven.events(StepStarted)}
            assert begun == ({"0", "1", "2", "3"} if granted else {"0", "2"})
            if not granted:
                assert woven.statuses()["1"] == ("denied", "not-approved")

    run_virtual(main())
    assert asked == [["1", "3"]]


def test_nobody_is_asked_where_nothing_would_change_the_world() -> None:
    def refuse(*_: Any) -> bool:
        raise AssertionError("asked")

    async def main() -> None:
        async with loom() as woven:
            round = begin(woven, Plan())
            round.take(Step("1", "look", {"x": 1}))
            round.close()
            await round.release(refuse)
            await woven.scheduler.wait()

    run_virtual(main())
