"""What commands have in common: their options, and how those become tools, models and limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heddle.errors import ConfigError
from heddle.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heddle.models.protocol import Model
    from heddle.plan.limits import Limits
    from heddle.tools.function import Tool

    Command = TypeVar("Command", bound=Callable[..., Any])

__all__ = [
    "as_json",
    "input_values",
    "limits",
    "models",
    "planning",
    "quiet",
    "report_file",
    "run_limits",
    "time_and_rates",
    "tools",
    "toolset",
    "yes",
]


class _Named(click.ParamType[Any]):
    """NAME=N with a positive number, whole or not."""

    def __init__(self, number: type[int] | type[float]) -> None:
        self.name = "NAME=N"
        self._number = number

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        name, _, text = str(value).partition("=")
        try:
            number = self._number(text)
        except ValueError:
            number = 0
        if not name or not 0 < number < math.inf:
            self.fail(f"{value!r} is not NAME=N with N above 0", param, ctx)
        return name, number


class _Positive(click.ParamType[float]):
    """A positive number."""

    name = "NUMBER"
    what = ""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a positive number{self.what}", param, ctx)
        return number


class _Seconds(_Positive):
    """A positive number of seconds."""

    name = "SECONDS"
    what = " of seconds"


# -- the options ---------------------------------------------------------------------------------

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else."
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress; errors only.")
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask before effects.")
tools = click.option(
    "--tools",
    "tool_specs",
    metavar="SPEC",
    multiple=True,
    help="A Python file or module with tools; may be given more than once.",
)
inputs = click.option(
    "--input",
    "input_specs",
    metavar="NAME=VALUE|@FILE",
    multiple=True,
    help="Data for the tools: JSON where VALUE reads as JSON, else text. "
    "@FILE is the file's text, or its JSON if its name ends in .json.",
)
report_file = click.option(
    "--report",
    type=click.Path(),
    metavar="FILE.html",
    help="Write a page that shows the run.",
)


def planning(command: Command) -> Command:
    """The options of commands that ask a planner."""
    for option in (
        click.option(
            "--strategy",
            default="auto",
            show_default=True,
            help=f"When to plan: {', '.join(STRATEGIES)}.",
        ),
        click.option("--joiner-model", metavar="P:M", help="Another model to join the results."),
        click.option("--planner-model", metavar="P:M", help="Another model to write plans."),
        click.option("--model", metavar="P:M", help="PROVIDER:MODEL, as in openai:gpt-5-mini."),
        tools,
        inputs,
    ):
        command = option(command)
    return command


def run_limits(command: Command) -> Command:
    """The options that bound a run."""
    concurrency = click.option(
        "--concurrency", type=click.IntRange(1), metavar="N", help="Steps in flight at once."
    )
    deaths = click.option(
        "--max-deaths",
        type=click.IntRange(1),
        metavar="N",
        help="Processes in a row that may die with a step before it counts as failed.",
    )
    return concurrency(_budgets(time_and_rates(deaths(command))))


def _budgets(command: Command) -> Command:
    """The options that bound what a run uses up in all."""
    for option in (
        click.option(
            "--max-cost",
            type=_Positive(),
            metavar="USD",
            help="What the run may cost: models by their price, tools as they say.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(1),
            metavar="N",
            help="Tokens that the run may use, prompts and replies.",
        ),
        click.option(
            "--max-calls",
            type=click.IntRange(0),
            metavar="N",
            help="Calls of tools that the run may make.",
        ),
    ):
        command = option(command)
    return command


def time_and_rates(command: Command) -> Command:
    """The options that bound a run's time and what it asks of providers."""
    for option in (
        click.option(
            "--rpm",
            type=_Named(float),
            metavar="NAME=N",
            multiple=True,
            help="Requests that a provider grants in a minute.",
        ),
        click.option(
            "--per-provider",
            type=_Named(int),
            metavar="NAME=N",
            multiple=True,
            help="Calls to a provider at once.",
        ),
        click.option("--timeout", type=_Seconds(), help="Seconds for the whole run."),
    ):
        command = option(command)
    return command


# -- what they mean ------------------------------------------------------------------------------


def limits(
    concurrency: int | None,
    timeout: float | None,
    per_provider: Sequence[tuple[str, int]],
    rpm: Sequence[tuple[str, float]],
    max_calls: int | None = None,
    max_tokens: int | None = None,
    max_cost: float | None = None,
    max_deaths: int | None = None,
) -> Limits:
    """Limits with what was given; the library's defaults for the rest."""
    from heddle.plan.limits import Limits

    given: dict[str, Any] = {"per_provider": dict(per_provider), "requests_per_minute": dict(rpm)}
    given |= {"budget_calls": max_calls, "budget_tokens": max_tokens, "budget_usd": max_cost}
    if max_deaths is not None:
        given["max_deaths"] = max_deaths
    if concurrency is not None:
        given["concurrency"] = concurrency
    if timeout is not None:
        given["run_timeout_s"] = timeout
    return Limits(**given)


def toolset(specs: Sequence[str]) -> list[Tool]:
    """The tools of all SPECs.

    Raises:
        ConfigError: one cannot be loaded, or two tools have one name.
    """
    from heddle.tools.loading import load_tools
    from heddle.tools.toolbox import toolbox

    return list(toolbox(tool for spec in specs for tool in load_tools(spec)).values())


def models(
    model: str | None, planner_model: str | None = None, joiner_model: str | None = None
) -> dict[str, Model]:
    """Models by role, not yet connected; the role "" stands for all others.

    Raises:
        ConfigError: one cannot be had: no such provider, no key, no such file.
    """
    from heddle.models import model_named

    named = {"": model, "planner": planner_model, "joiner": joiner_model}
    made = {name: model_named(name) for name in dict.fromkeys(filter(None, named.values()))}
    return {role: made[name] for role, name in named.items() if name}


def input_values(specs: Sequence[str]) -> dict[str, Any]:
    """The inputs of a run by name.

    Raises:
        ConfigError: no name, a name twice, or a file that cannot be read.
    """
    found: dict[str, Any] = {}
    for spec in specs:
        name, equals, text = spec.partition("=")
        if not name or not equals:
            raise ConfigError(
                f"--input {spec!r} has no name",
                code="bad-input",
                hint="write --input NAME=VALUE or --input NAME=@FILE",
            )
        if name in found:
            raise ConfigError(f"--input {name} is given twice", code="bad-input", hint="give one")
        found[name] = _from_file(name, text[1:]) if text.startswith("@") else _json_or_text(text)
    return found


def _from_file(name: str, path: str) -> Any:
    from heddle.cli.reading import read_text

    text = read_text(path, f"--input {name}", code="bad-input")
    return _json(text, path) if path.endswith(".json") else text


def _json(text: str, path: str) -> Any:
    import json

    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(
            f"{path} is not JSON: {reason}",
            code="bad-input",
            hint="correct it, or give it a name that does not end in .json to pass its text",
        ) from None


def _json_or_text(text: str) -> Any:
    import json

    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
