"""A round: one plan on its way from the reader, through the verifier, to the scheduler.

The same few steps serve a plan that streams in from a model and one that a person hands over.
A faulty step never reaches the scheduler: its place is reserved as a hole, its dependents wait,
and whoever owns the round may fill it until the round is closed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from heddle.engine.events import (
    Approval,
    FindingReported,
    HoleFilled,
    HoleOpened,
    PlanAccepted,
    PlanProposed,
    PlanRejected,
    StepAccepted,
)
from heddle.plan.canonical import encode, plan_hash, prefix_hash
from heddle.plan.findings import Finding
from heddle.plan.ir import MISSING, Hole, Plan, Ref, Step, dependencies, nodes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from heddle.engine.events import Event
    from heddle.engine.log import EventLog
    from heddle.engine.past import Past
    from heddle.engine.scheduler import Scheduler
    from heddle.plan.dialects import Piece
    from heddle.plan.verify import Verifier

__all__ = ["Approve", "Round", "cone", "output_ids", "sinks"]

Approve: TypeAlias = "Callable[[Plan, Sequence[Step]], bool | Awaitable[bool]]"
"""Asked once for the whole plan, with the steps that would change the world."""


class Round:
    """One plan being taken in and run.

    Args:
        plan: an empty plan, to be filled.
        verifier: makes a verifier that knows nothing of this plan yet.
        scheduler: runs the steps.
        log: takes the events.
        max_holes: bad lines that a plan may have.
        max_width: elements that any of its maps may have when it runs; None for no bound.
        parent: the step that expands it; "" for a plan of the run itself.
        element: the element of that step, where it is a map.
        past: what the journal remembers, if the run is gone on with: that is not said again.

    Attributes:
        plan: the plan so far; its steps are in the form before naming, as hashes want it.
        clean: whether no error was found up to now, holes that were filled not counted.
        gate: the write gate of its steps.
    """

    def __init__(
        self,
        plan: Plan,
        verifier: Callable[[], Verifier],
        scheduler: Scheduler,
        log: EventLog,
        max_holes: int,
        max_width: int | None = None,
        parent: str = "",
        element: int | None = None,
        past: Past | None = None,
    ) -> None:
        self._past = past
        self.plan = plan
        self._new_verifier = verifier
        self._verifier = verifier()
        self._scheduler = scheduler
        self._log = log
        self._max_holes = max_holes
        self._max_width = max_width
        self._accepted: bool | None = None  # of a plan that was closed before the run was resumed
        self._contradicted: set[str] = set()  # ids that were accepted, and then taken back
        self.gate = scheduler.nest(parent) if parent else scheduler.hold()
        self._say(PlanProposed(log.now(), plan.round, plan.dialect, parent, element))

    def _say(self, event: Event) -> None:
        if self._past is None or not self._past.said(event):
            self._log.emit(event)

    @property
    def clean(self) -> bool:
        """No error, no hole, nothing that was contradicted after it had been accepted."""
        if self._accepted is not None:
            return self._accepted
        errors = any(finding.severity == "error" for finding in self.plan.findings)
        return not (errors or self.plan.holes or self._contradicted)

    @property
    def repairable(self) -> list[Hole]:
        """The holes that nothing has been started for."""
        return [hole for hole in self.plan.holes if hole.id not in self._contradicted]

    @property
    def failed(self) -> bool:
        """Whether there are more bad lines than a plan may have."""
        return len(self.plan.holes) > self._max_holes

    def take(self, piece: Piece) -> None:
        """Take in what the reader gave; a step without fault is dispatched at once."""
        if isinstance(piece, Finding):
            self._report([piece])
        elif isinstance(piece, Hole):
            self._dig(piece)
        else:
            self._take_step(piece)

    def _take_step(self, step: Step) -> None:
        restated = step.id in self.plan and isinstance(self.plan[step.id], Hole)
        if restated:
            self.fill(step)
            return
        findings = self._verifier.step(step)
        if not any(finding.severity == "error" for finding in findings):
            self._report(findings)
            self._accept(step)
        elif step.id in self.plan:  # a second step of one id: the first has been started
            self._contradicted.add(step.id)
            self._report(findings)
        else:
            self._dig(Hole(step.id, _line(step, findings), tuple(findings), step.origin))

    def take_checked(self, step: Step, remarks: Sequence[Finding]) -> None:
        """Take in a step without fault of a plan that the verifier has seen the whole of."""
        self._report(remarks)
        self._accept(step)

    def _accept(self, step: Step) -> None:
        self.plan.add(step)
        self._say(StepAccepted(self._log.now(), self.plan.round, len(self.plan), step))
        self._hand_over(step)

    def _hand_over(self, step: Step) -> None:
        """Give a step to the scheduler, its arguments named and its map bounded."""
        named = self._verifier.named(step)
        most = self._max_width
        if step.over is not MISSING and most is not None:
            bound = most if step.bound is None else min(most, step.bound)
            named = replace(named, bound=bound)
        self._scheduler.add(named, self.gate)

    def _dig(self, hole: Hole) -> None:
        if hole.id in self.plan:
            self._contradicted.add(hole.id)
            self.plan.dig(hole)
        else:
            self.plan.add(hole)
            self._verifier.hole(hole)
            self._scheduler.reserve(hole.id, self.gate)
        place = self.plan.place(hole.id) + 1
        self._say(HoleOpened(self._log.now(), self.plan.round, place, hole))
        self._report(hole.findings)

    def fill(self, step: Step) -> Sequence[Finding]:
        """Put a step in the place of the hole of its id; the findings if it is faulty too.

        Later lines are checked again, now that the type of its result is known.

        Raises:
            KeyError: there is no such place.
        """
        if step.id in self._contradicted:  # something of that id has run: nothing takes its place
            return ()
        findings = self._verifier.step(step)
        if any(finding.severity == "error" for finding in findings):
            return findings
        self.plan.fill(step)
        self._say(HoleFilled(self._log.now(), self.plan.round, step))
        self._check_again(step.id)
        self._hand_over(step)
        return ()

    def _check_again(self, id: str) -> None:
        """Fail the dependents that do not fit what has taken the hole's place."""
        fresh = self._new_verifier()
        for entry in self.plan.entries:
            if isinstance(entry, Hole):
                fresh.hole(entry)
                continue
            findings = fresh.step(entry)
            if id in dependencies(entry) and any(f.severity == "error" for f in findings):
                self._report(findings)
                self._scheduler.fail_hole(entry.id, findings[0].code, findings[0].message)
        self._verifier = fresh

    def _report(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.plan.findings.append(finding)
            self._say(FindingReported(self._log.now(), self.plan.round, finding))

    def close(self) -> bool:
        """No more steps will come: judge the whole plan, and give up the holes that are left.

        Effects stay shut until `release`.

        Returns:
            Whether the plan is clean.
        """
        self.plan.close()
        self._report(self._verifier.close(self.plan))
        self._scheduler.rank(self.gate)
        if self.clean:
            self._say(
                PlanAccepted(
                    self._log.now(), self.plan.round, plan_hash(self.plan), len(self.plan),
                    encode(self.plan.output), "", "", self._verifier.bounds(self.plan).to_json(),
                )
            )  # fmt: skip
            return True
        codes = tuple(dict.fromkeys(item.code for item in self.plan.findings))
        self._say(PlanRejected(self._log.now(), self.plan.round, codes))
        self._give_up()
        return False

    def _give_up(self) -> None:
        """The plan is not clean: its effects will not start, and nothing fills its holes."""
        self._scheduler.withhold("skipped", "plan-unclean", self.gate)
        for hole in self.plan.holes:
            self._scheduler.fail_hole(hole.id, "hole", hole.findings[0].message)

    async def recall(self, recorded: Plan, *, accepted: bool) -> None:
        """Take in a plan that was closed before the run was resumed; it is not judged again.

        A long plan does not hold up what already runs.

        Args:
            recorded: the plan as the journal has it.
            accepted: whether it was clean.
        """
        self._accepted = accepted
        for place, entry in enumerate(recorded.entries, 1):
            self.plan.add(entry)
            if isinstance(entry, Hole):
                self._scheduler.reserve(entry.id, self.gate)
            else:
                self._hand_over(entry)
            if place % 1000 == 0:
                await asyncio.sleep(0)
        self.plan.findings.extend(recorded.findings)
        self.plan.close()
        self._scheduler.rank(self.gate)
        if not accepted:
            self._give_up()

    async def release(self, approve: Approve | None) -> None:
        """Let the effects of a clean, closed plan start, once they are approved."""
        effects = [step for step in self.plan.steps if self._scheduler.effectful(step.tool)]
        if effects and not await self._approved(approve, effects):
            self._scheduler.withhold("denied", "not-approved", self.gate)
            return
        self._scheduler.release(self._origin, self.gate)

    async def _approved(self, approve: Approve | None, effects: Sequence[Step]) -> bool:
        """What whoever approves says, or has said in the past of the run."""
        subject = plan_hash(self.plan)
        known = self._past.approved(subject) if self._past is not None else None
        if known is not None or approve is None:
            return known is not False
        answer = approve(self.plan, effects)
        granted = answer if isinstance(answer, bool) else await answer
        decision = "granted" if granted else "denied"
        self._log.emit(Approval(self._log.now(), subject, decision, "caller"))
        return granted

    def _origin(self, id: str) -> tuple[int, int, str]:
        n = self.plan.place(id) + 1
        return self.plan.round, n, prefix_hash(self.plan, n)


def _line(step: Step, findings: Sequence[Finding]) -> str:
    """The line that a faulty step stands in, as far as it is known."""
    return next((item.snippet for item in findings if item.snippet), f"{step.id}. {step.tool}(…)")


def sinks(plan: Plan) -> list[str]:
    """The steps whose results no other step uses, in plan order."""
    used = {id for step in plan.steps for id in dependencies(step)}
    return [step.id for step in plan.steps if step.id not in used]


def cone(plan: Plan, goals: Sequence[str]) -> set[str]:
    """The steps that can reach one of these, themselves included. Cost: linear."""
    known = {step.id: step for step in plan.steps}
    found: set[str] = set()
    stack = [id for id in goals if id in known]
    while stack:
        id = stack.pop()
        if id not in found:
            found.add(id)
            stack.extend(other for other in dependencies(known[id]) if other in known)
    return found


def output_ids(plan: Plan) -> list[str]:
    """The steps that the plan's output refers to, in reading order."""
    refs = (node.step for node in nodes_of(plan.output) if isinstance(node, Ref))
    return list(dict.fromkeys(refs))
