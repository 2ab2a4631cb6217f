"""Runs written down event by event, for the tests of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.engine import events as ev
from heddle.engine.result import RunError, RunResult, result_of
from heddle.engine.state import fold
from heddle.models.protocol import Usage
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Origin, Plan, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Sequence


class Diary:
    """Events of one run, put down by hand; `result` reads them as the engine would."""

    def __init__(self, run_id: str = "7d0c5b2a91ef") -> None:
        self.events: list[ev.Event] = []
        self.plans: list[Plan] = []
        self.calls = 0
        self.put(ev.RunCreated(0.0, run_id, "", {}, {}, {}, "", "0", 0))

    def put(self, *events: ev.Event) -> None:
        self.events += events

    def plan(self, at: float, *steps: Step, dialect: str = "llmcompiler") -> None:
        round = len(self.plans) + 1
        self.plans.append(Plan(steps, round=round, dialect=dialect))
        self.put(ev.PlanProposed(at, round, dialect))
        for n, step in enumerate(steps, 1):
            self.put(ev.StepAccepted(at, round, n, step))

    def accept(self, at: float) -> None:
        plan = self.plans[-1]
        self.put(ev.PlanAccepted(at, plan.round, "", len(plan), None, "", "", {}))

    def ran(self, id: str, ready: float, started: float, ended: float, value: Any = None) -> None:
        self.put(
            ev.StepReady(ready, id),
            ev.StepStarted(started, id, 1),
            ev.StepResult(ended, id, 1, value),
            ev.StepEnded(ended, id, "done"),
        )

    def failed(
        self, id: str, ready: float, started: float, ended: float, code: str, message: str
    ) -> None:
        self.put(
            ev.StepReady(ready, id),
            ev.StepStarted(started, id, 1),
            ev.StepError(ended, id, 1, code, message),
            ev.StepEnded(ended, id, "failed", code),
        )

    def ended(self, id: str, at: float, status: ev.Status, code: str) -> None:
        self.put(ev.StepEnded(at, id, status, code))

    def asked(
        self, role: str, started: float, first: float | None, ended: float, code: str = "",
        cost_usd: float | None = 0.0021,
    ) -> None:  # fmt: skip
        self.calls += 1
        round = max(len(self.plans), 1)
        model = "openai:gpt-5-mini"
        usage = Usage(1840, 1024, 212)
        self.put(
            ev.ModelStarted(started, self.calls, role, round, model, ""),
            ev.ModelCall(
                ended, self.calls, role, round, model, started, first, usage, cost_usd, code
            ),
        )

    def result(
        self, answer: Any = None, error: RunError | None = None, slots: int = 8, **options: Any
    ) -> RunResult:
        events = sorted(self.events, key=lambda event: event.at)
        state = fold(events)
        return result_of(
            state, self.plans, events, slots=(slots, {}), answer=answer, error=error, **options
        )


def portfolio() -> RunResult:
    """Nine quotes and nine holdings, looked up at once and added up; the showpiece."""
    diary = Diary()
    diary.put(ev.StrategyChosen(0.0, "llmcompiler", ("all steps are separable",)))
    tickers = ("AAPL", "MSFT", "NVDA", "ASML", "SAP", "TSM", "NOVO-B", "SHEL", "7203.T")
    steps = [Step(str(n), "price", {"ticker": name}) for n, name in enumerate(tickers, 1)]
    steps += [
        Step("10", "holdings", {"account": "main"}),
        *(
            Step(
                str(n + 10), "worth", {"price": Ref(str(n)), "count": Ref("10", (tickers[n - 1],))}
            )
            for n in range(1, 10)
        ),
        Step("20", "total", {"parts": [Ref(str(n)) for n in range(11, 20)]}),
        Step("21", "rate", {"pair": "EURUSD"}),
        Step("22", "calculate", {"text": Template((Ref("20"), " / ", Ref("21", ("mid",))))}),
    ]
    diary.plan(0.41, *steps)
    diary.accept(1.62)
    quoted = 0.0
    diary.ran("10", 0.95, 0.95, 1.35, {name: 10 * n for n, name in enumerate(tickers, 1)})
    for n in range(1, 10):
        ready = 0.41 + 0.05 * n
        started = ready + (0.0 if n < 8 else 0.21 * (n - 7))
        ended = started + 0.62 + (n * 37 % 11) * 0.055
        after = max(ended, 1.35)
        diary.ran(str(n), ready, started, ended, 150.25 + 31.5 * n)
        diary.ran(str(n + 10), after, after, after + 0.045, 1502.5 * n)
        quoted = max(quoted, after + 0.045)
    diary.ran("20", quoted, quoted, quoted + 0.04, 67612.5)
    diary.ran("21", 1.1, 1.1, 1.95, {"mid": 1.0842, "at": "2026-01-05T10:00:00Z"})
    diary.ran("22", quoted + 0.04, quoted + 0.04, quoted + 0.07, 62361.65)
    diary.asked("planner", 0.0, 0.36, 1.62)
    diary.put(ev.JoinStarted(2.4, 1, (), ()))
    diary.asked("joiner", 2.4, 2.72, 3.06)
    diary.put(ev.JoinResult(3.07, 1, "finish", "", ""))
    return diary.result("The nine holdings are worth €62,361.65 at today's prices.")


def troubled() -> RunResult:
    """Two rounds with a hole, a repair, a retry, failures, skips and every other ending."""
    diary = Diary("troubled-run")
    diary.plan(
        0.1,
        Step("1", "search", {"0": "who wrote Middlemarch?"}),
        Step("2", "search", {"query": "born in what year?"}, retry=2),
        Step("3", "fetch", {"url": Template(("https://example.org/", Ref("1", ("slug",))))}),
        Step("4", "summarise", {"texts": [Ref("2"), Ref("3")]}),
        Step("5", "save", {"text": Ref("4")}),
        Step("6", "send", {"to": "team@example.org", "body": Ref("1")}),
        Step("7", "charge", {"amount": 12}),
        Step("8", "search", {"query": "never mind"}),
    )
    finding = Finding(
        "bad-arguments", "error", "the argument list of step 9 cannot be read",
        hint="close the bracket", line=9, column=14, snippet="9. search(who[, 3)", step="9",
    )  # fmt: skip
    diary.put(
        ev.HoleOpened(0.5, 1, 9, Hole("9", "9. search(who[, 3)", (finding,), Origin(9, 14))),
        ev.FindingReported(0.5, 1, finding),
    )
    diary.plans[0].findings.append(finding)
    diary.put(ev.PlanRejected(0.8, 1, ("bad-arguments",)))
    diary.asked("planner", 0.0, 0.08, 0.8)
    diary.asked("repair", 0.8, None, 1.2, "stalled")
    diary.ran("1", 0.1, 0.1, 0.9, {"slug": "george-eliot", "titles": ["Middlemarch"] * 40})
    diary.put(
        ev.StepReady(0.12, "2"), ev.StepStarted(0.12, "2", 1),
        ev.StepError(0.5, "2", 1, "http-503", "try again"), ev.StepStarted(0.9, "2", 2),
        ev.StepResult(1.4, "2", 2, 1819), ev.StepEnded(1.4, "2", "done"),
    )  # fmt: skip
    diary.failed("3", 0.9, 0.95, 2.0, "timed-out", "no answer for 1 s from example.org")
    diary.ended("4", 2.0, "skipped", "upstream-failed")
    diary.ended("5", 2.0, "denied", "not-approved")
    diary.failed("6", 0.9, 0.95, 1.7, "connection-lost", "the line broke after sending")
    diary.events[-1] = ev.StepEnded(1.7, "6", "unknown", "connection-lost")
    diary.ended("7", 0.9, "skipped", "plan-unclean")
    diary.put(ev.StepReady(0.15, "8"), ev.StepStarted(0.3, "8", 1))
    diary.ended("8", 1.1, "cancelled", "not-needed")
    diary.ended("9", 1.2, "failed", "hole")
    diary.put(ev.JoinStarted(2.0, 1, (), ("4",)))
    diary.asked("joiner", 2.0, 2.2, 2.5, cost_usd=None)
    diary.put(ev.JoinResult(2.5, 1, "replan", None, "the page did not load; try another source"))
    diary.plan(2.6, Step("2.1", "search", {"query": Template(("life of ", Ref("1", ("slug",))))}))
    diary.accept(3.0)
    diary.asked("planner", 2.5, 2.58, 3.0)
    diary.ran("2.1", 2.6, 2.6, 3.3, "Mary Ann Evans, born 22 November 1819 in Nuneaton. " * 12)
    return diary.result("Partly known: born in 1819.")


def of_shape(
    before: Sequence[Sequence[int]], tools: Sequence[str] = ("work",), value: Any = "ok"
) -> RunResult:
    """A run of no-op steps with these dependencies; every 97th fails."""
    diary = Diary("large")
    steps = [
        Step(str(n), tools[n % len(tools)], {"parts": [Ref(str(at)) for at in sources]})
        for n, sources in enumerate(before)
    ]
    diary.plan(0.0, *steps)
    diary.accept(0.0)
    ends: list[float] = []
    for n, sources in enumerate(before):
        at = max((ends[source] for source in sources), default=0.001 * n)
        ends.append(at + 0.04 + n % 7 * 0.01)
        if n % 97 == 96:
            diary.failed(str(n), at, at + 0.01, ends[n], "tool-failed", "no luck")
        else:
            diary.ran(str(n), at, at + 0.01, ends[n], value)
    return diary.result("done", slots=10_000)


def rejected() -> RunResult:
    """A plan that was not run, as `execute` gives it back."""
    plan = Plan([Step("1", "price", {"ticker": "AAPL"}), Step("2", "double", {"x": Ref("7")})])
    finding = Finding(
        "unknown-reference", "error", "step 2 refers to step 7, which is not in the plan",
        hint="did you mean $1?", line=2, column=10, snippet="2. double($7)", step="2",
    )  # fmt: skip
    diary = Diary("rejected-run")
    diary.put(
        ev.PlanProposed(0.0, 1, ""),
        ev.FindingReported(0.0, 1, finding),
        ev.PlanRejected(0.0, 1, ("unknown-reference",)),
    )
    error = RunError("unknown-reference", "plan rejected: " + finding.message, finding.hint, 3)
    result = diary.result(None, error, status="rejected", findings=[finding])
    result.plans.append(plan)
    return result
