"""`heddle compare`: the same questions with several strategies, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heddle.cli import options
from heddle.cli.ask import refuse_without_planner
from heddle.cli.comparison_setup import (
    about_tools,
    questions_of,
    refuse_effects,
    results_path,
    settings_of,
    strategies_of,
    tools_of,
)
from heddle.cli.faults import INTERRUPTED, say_error
from heddle.cli.reading import writable
from heddle.cli.screen import give_json, say
from heddle.errors import HeddleError
from heddle.strategies import STRATEGIES

if TYPE_CHECKING:
    from pathlib import Path

    from heddle.comparison.campaign import Campaign
    from heddle.comparison.outcome import Outcome

__all__ = ["compare"]


class _Positive(click.ParamType[float]):
    """A number that is not negative."""

    name = "NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            self.fail(f"{value!r} is not a number, or below 0", param, ctx)
        return number


@click.command(
    epilog="""\b
Examples:
  heddle compare questions.jsonl --strategies react,llmcompiler \\
      --model openai:gpt-5-mini --tools tools.py
  heddle compare hotpotqa.jsonl --strategies direct,react,rewoo --paragraphs \\
      --model openai:gpt-5-mini --tolerance 0 --limit 50 --report hotpotqa.html
  heddle compare questions.jsonl --strategies direct,auto --repeats 3 --json \\
      --model python:my_models:local > figures.json

\b
A line of QUESTIONS is {"question": "…", "answer": "…"}, with "id" and "inputs" where they help.
"""
)
@click.argument("questions_file", metavar="QUESTIONS")
@click.option(
    "--strategies",
    "strategy_list",
    metavar="A,B,C",
    required=True,
    help=f"What to compare, the first one being what the others are held against: "
    f"{', '.join(STRATEGIES)}.",
)
@click.option("--model", metavar="P:M", help="PROVIDER:MODEL, as in openai:gpt-5-mini.")
@click.option("--planner-model", metavar="P:M", help="Another model to write plans.")
@click.option("--joiner-model", metavar="P:M", help="Another model to join the results.")
@options.tools
@click.option(
    "--paragraphs",
    is_flag=True,
    help="Tools `search` and `lookup` over the paragraphs that the questions bring (`context`).",
)
@click.option(
    "--instruction", default="", metavar="TEXT", help="Put after each question, for all alike."
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Runs of each question with each strategy.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N questions only.")
@click.option(
    "--tolerance",
    type=_Positive(),
    default=0.01,
    show_default=True,
    help="How far a number may be off, as a share of the gold one; 0 for years.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Runs at once; with more than one, latencies are no longer each run's own.",
)
@options.time_and_rates
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Make the runs again that have failed, besides those that are left.",
)
@click.option(
    "--output",
    type=click.Path(),
    metavar="DIR|FILE.jsonl",
    help="Where finished runs are kept, and gone on from. By default a file here, named by the "
    "questions and the settings.",
)
@options.yes
@options.report_file
@options.quiet
@options.as_json
def compare(
    questions_file: str,
    strategy_list: str,
    model: str | None,
    planner_model: str | None,
    joiner_model: str | None,
    tool_specs: tuple[str, ...],
    paragraphs: bool,
    instruction: str,
    repeats: int,
    limit: int | None,
    tolerance: float,
    concurrency: int,
    timeout: float | None,
    per_provider: tuple[tuple[str, int], ...],
    rpm: tuple[tuple[str, float], ...],
    retry_failed: bool,
    output: str | None,
    yes: bool,
    report: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Answer QUESTIONS (JSONL, - for stdin) with several strategies, and compare them.

    Every finished run is kept at once: after Ctrl-C the same command goes on from there. More
    strategies, repeats or questions of the same file may be asked for later; another model, other
    tools or other bounds begin another results file.
    """
    from heddle.comparison.campaign import Campaign, agents_of
    from heddle.comparison.outcome import Outcome
    from heddle.comparison.results import ResultsFile

    strategies = strategies_of(strategy_list)
    questions = questions_of(questions_file)
    refuse_without_planner(model, planner_model)
    writable(report)
    tools = tools_of(tool_specs, questions, paragraphs=paragraphs)
    refuse_effects(tools, yes=yes)
    limits = options.limits(None, timeout, per_provider, rpm)
    models = {"model": model, "planner_model": planner_model, "joiner_model": joiner_model}
    settings = settings_of(questions, models, tools, limits, instruction, concurrency)
    results = ResultsFile(
        results_path(output, questions.name, settings), settings, about_tools(tools)
    )
    asked = options.models(model, planner_model, joiner_model)
    agents = agents_of(strategies, asked, tools, limits)
    with results.claimed():
        campaign = Campaign(
            questions.questions[:limit], agents, results, repeats=repeats,
            instruction=instruction, retry_failed=retry_failed,
        )  # fmt: skip
        stopped = _carry_out(campaign, concurrency, tolerance, quiet=quiet or as_json)
    outcome = Outcome(campaign, strategies, questions.name, tolerance, interrupted=stopped)
    return _give(outcome, results.path, report, as_json=as_json, quiet=quiet)


# -- running -------------------------------------------------------------------------------------


def _carry_out(campaign: Campaign, concurrency: int, tolerance: float, *, quiet: bool) -> bool:
    """Make the runs that are left; whether a person has stopped it."""
    from heddle.cli.comparison_progress import progress_of
    from heddle.cli.loop import results_only, run_loop

    async def work() -> None:
        try:
            await progress.watch(
                campaign.run(
                    concurrency=concurrency, started=progress.started, finished=progress.finished
                )
            )
        finally:
            await campaign.aclose()

    if not quiet:
        _say_beginning(campaign)
    if not campaign.left:
        return False
    with progress_of(campaign, tolerance, quiet=quiet) as progress:
        try:
            with results_only():
                run_loop(work())
        except KeyboardInterrupt:
            return True
    return False


def _say_beginning(campaign: Campaign) -> None:
    wanted, left = len(campaign.wanted), len(campaign.left)
    strategies = "1 strategy" if len(campaign.agents) == 1 else f"{len(campaign.agents)} strategies"
    done = f", {wanted - left:,} of them done before" if left < wanted else ""
    done += f", {campaign.again:,} of them failed and made again" if campaign.again else ""
    say(f" {campaign.results.path}", label="results:", fg="bold")
    say(
        f" {wanted:,} ({len(campaign.questions):,} question"
        f"{'' if len(campaign.questions) == 1 else 's'}, {strategies}){done}",
        label="runs:",
        fg="bold",
    )


# -- what came of it -----------------------------------------------------------------------------


def _give(outcome: Outcome, path: Path, report: str | None, *, as_json: bool, quiet: bool) -> int:
    """Write table or JSON, and the page; give the exit status."""
    from heddle.cli.comparison_table import give_table

    status = INTERRUPTED if outcome.interrupted else 1 if outcome.failed else 0
    if report is not None and outcome.runs and not _written(outcome, report):
        status = status if status == INTERRUPTED else 2
    if as_json:
        give_json(outcome.to_json(str(path)))
        return status
    if outcome.runs:
        give_table(outcome)
    if outcome.interrupted:
        say_error(
            f"interrupted: {len(outcome.runs):,} of {outcome.wanted:,} runs are kept in {path}",
            "the same command goes on from there",
            label="",
        )
    elif outcome.failed and not quiet:
        say(
            f"{outcome.failed:,} failed; the same command with --retry-failed makes them again",
            label="note: ",
        )
    return status


def _written(outcome: Outcome, report: str) -> bool:
    from heddle.web.comparison import write_comparison

    try:
        write_comparison(outcome, report)
    except HeddleError as error:
        say_error(error.message, error.hint)
        return False
    return True
