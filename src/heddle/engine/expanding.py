"""Expanding: a step whose value is the output of a plan that came out as a result.

The nested plan is a round of its own, with ids of its own, and sees no results but its own: what it
is to work on stands in it, or in the caller's inputs. Nobody vouches for whoever wrote it, so it is
judged as a whole before any of it runs: by the verifier under the run's limits, and by the ceiling.
An effectful tool may be called only if the run's first plan calls it itself, was accepted, and so
was the plan that expands. An approver is asked again, since the arguments are others.

Expansions in a run are counted, so that nesting ends.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from heddle.engine.events import FindingReported, PlanProposed, PlanRejected
from heddle.engine.round import cone, output_ids
from heddle.errors import ToolFailed
from heddle.plan import verify
from heddle.plan.dialects import DIALECTS, dialect_named, recognise, take
from heddle.plan.findings import Finding
from heddle.plan.ir import Plan

if TYPE_CHECKING:
    from heddle.engine.gate import Gate
    from heddle.engine.past import Place
    from heddle.engine.workshop import Workshop
    from heddle.plan.dialects import Reader

__all__ = ["Expander"]

_AT_ONCE = 16 * 1024
"""Characters of a nested plan that are read in one turn of the loop: some milliseconds."""


class Expander:
    """Runs the nested plans of one run.

    Args:
        workshop: the run's parts.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop
        self._past = workshop.past.nested if workshop.past is not None else {}
        self._count = len(self._past)

    async def expand(self, place: Place, gate: Gate, args: dict[str, Any]) -> Any:
        """The output of a nested plan.

        Args:
            place: the step that asks for it, and the element where it is a map.
            gate: the write gate of that step's round.
            args: its filled arguments.

        Raises:
            ToolFailed: too many expansions; a plan that cannot be read or is not clean
                (`expansion-rejected`), that goes above the ceiling (`ceiling`), or that came to
                nothing (`expansion-failed`).
        """
        known = self._past.get(place)
        if known is None:
            self._count_one()
        plan = await self._read(args, known)
        await self._judge(plan, place, gate)
        return await self._run(plan, place)

    def _count_one(self) -> None:
        """Another plan is expanded; those of the run's past have been counted.

        Raises:
            ToolFailed: `too-many-expansions`.
        """
        most = self._shop.limits.max_expansions
        if self._count >= most:
            raise ToolFailed(
                f"the run has expanded {most} plans already",
                code="too-many-expansions",
                hint="raise limits.max_expansions, if it would ever end",
            )
        self._count += 1

    # -- reading -------------------------------------------------------------------------------

    async def _read(self, args: dict[str, Any], known: int | None) -> Plan:
        given = args.get("plan")
        text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        most = self._shop.limits.max_text_bytes
        if len(text) > most:
            raise ToolFailed(f"the plan is larger than {most} bytes", code="text-too-large")
        name = self._dialect(args.get("dialect", "json"), text)
        number = known or self._shop.claim_round()
        plan = Plan(round=number, text=text, dialect=name)
        reader = dialect_named(name).reader(round=number)
        await self._take_in(plan, reader, text)
        plan.output = reader.output
        plan.close()
        return plan

    async def _take_in(self, plan: Plan, reader: Reader, text: str) -> None:
        """Read up to the first step too many, and give the loop its turns: it may be thousands."""
        for start in range(0, len(text), _AT_ONCE):
            for piece in reader.feed(text[start : start + _AT_ONCE]):
                take(plan, piece)
            if len(plan) > self._shop.limits.max_steps:
                return
            await asyncio.sleep(0)
        for piece in reader.close():
            take(plan, piece)

    def _dialect(self, wanted: Any, text: str) -> str:
        name = recognise(text) if wanted == "auto" else wanted
        if not isinstance(name, str) or name not in DIALECTS:
            raise ToolFailed(
                "no dialect recognises the plan" if name is None else f"no dialect {name!r:.60}",
                code="unknown-dialect",
                hint=f"known: auto, {', '.join(DIALECTS)}",
            )
        return name

    # -- judging -------------------------------------------------------------------------------

    async def _judge(self, plan: Plan, place: Place, gate: Gate) -> None:
        """Refuse a plan with an error, before anything of it runs."""
        shop = self._shop
        found = verify.check(plan, shop.specs, limits=shop.limits, inputs=shop.inputs.keys())
        if len(plan.holes) > shop.limits.max_holes:
            found = found[: shop.limits.max_holes + 1]
        found += await self._above_ceiling(plan, gate)
        errors = [finding for finding in found if finding.severity == "error"]
        if not errors:
            return
        plan.findings = found
        shop.expansions.append(plan)
        now = shop.log.now()
        shop.say(PlanProposed(now, plan.round, plan.dialect, *place))
        for finding in found:
            shop.say(FindingReported(now, plan.round, finding))
        codes = tuple(dict.fromkeys(finding.code for finding in found))
        shop.say(PlanRejected(now, plan.round, codes))
        ceiling = all(finding.code == "ceiling" for finding in errors)
        raise ToolFailed(
            f"the plan is not run: {errors[0].message}",
            code="ceiling" if ceiling else "expansion-rejected",
            hint=errors[0].hint,
        )

    async def _above_ceiling(self, plan: Plan, gate: Gate) -> list[Finding]:
        """The steps that would change the world by a tool that nobody who is trusted asked for."""
        specs, first = self._shop.specs, self._shop.plans[0]
        effects = [step for step in plan.steps if step.tool in specs and specs[step.tool].effectful]
        if not effects:
            return []
        ceiling = self._shop.ceiling
        accepted = await gate.decided() and ceiling is not None and await ceiling.decided()
        allowed = {step.tool for step in first.steps} if accepted else set[str]()
        why = "which the first plan does not call" if accepted else "since one before was refused"
        return [
            Finding.at(
                step.origin, "ceiling",
                f"step {step.id}: a nested plan may not call {step.tool}(), {why}",
                hint="let the plan itself call what changes the world", step=step.id,
            )
            for step in effects
            if step.tool not in allowed
        ]  # fmt: skip

    # -- running -------------------------------------------------------------------------------

    async def _run(self, plan: Plan, place: Place) -> Any:
        shop = self._shop
        running = Plan(output=plan.output, round=plan.round, text=plan.text, dialect=plan.dialect)
        round = shop.begin(running, bounded=True, parent=place[0], element=place[1])
        ids = [step.id for step in plan.steps]
        try:
            for step in plan.steps:
                round.take(step)
            for finding in dict.fromkeys(plan.findings):
                if finding not in running.findings:
                    round.take(finding)
            round.close()
            await shop.release(round, shop.approve)
            needed = self._needed(running)
            await shop.scheduler.wait(needed)
        finally:  # also where the step itself was given up
            shop.scheduler.stop([id for id in ids if id in running], "nobody needs it")
        for step_id in needed:
            if not shop.scheduler.excused(step_id):
                status = shop.scheduler.status(step_id)
                raise ToolFailed(f"step {step_id} {status}", code="expansion-failed")
        return shop.output(running)

    def _needed(self, plan: Plan) -> list[str]:
        """What its output needs, and its effects; all of it where it names no output."""
        goals = output_ids(plan)
        if plan.output is None or not goals:
            return [step.id for step in plan.steps]
        changing = [step.id for step in plan.steps if self._shop.may_change(step)]
        wanted = cone(plan, [*goals, *changing])
        return [step.id for step in plan.steps if step.id in wanted]
