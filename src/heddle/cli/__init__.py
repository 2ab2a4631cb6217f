"""The command line: one command a file, each imported when it is used.

Results go to stdout, everything else to stderr. A command is a function that gives its exit
status or raises; `main` is the only place where a fault becomes a message and a status.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from heddle.cli import faults
from heddle.cli.dotenv import load_env_file
from heddle.cli.loop import leave

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("heddle.cli.demo.command", "See it work: recorded model, real tools, no key."),
    "ask": ("heddle.cli.ask", "Plan a question, run the plan, answer."),
    "plan": ("heddle.cli.plan", "Print the plan for a question and stop."),
    "check": ("heddle.cli.check", "Verify a plan; run nothing."),
    "run": ("heddle.cli.run", "Run a plan; no planner."),
    "convert": ("heddle.cli.convert", "Write a plan in another dialect."),
    "compare": ("heddle.cli.compare", "Strategies side by side on questions with answers."),
    "export": ("heddle.cli.export", "Data made of plans and answers: chains, training rows."),
    "runs": ("heddle.cli.runs", "List runs: what became of them, and how to go on."),
    "show": ("heddle.cli.show", "Show a run by its journal."),
    "resume": ("heddle.cli.resume", "Go on with a run that was stopped."),
    "audit": ("heddle.cli.audit", "Hold a run's journal against its promises."),
    "tools": ("heddle.cli.tools", "Show tools as plans see them."),
    "doctor": ("heddle.cli.doctor", "Say what is there, what is missing, and what that means."),
}
"""Every command by name: the module that holds a click command of that name, and its help."""


class _Commands(click.Group):
    """A group whose commands are imported when they are used; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from heddle.cli.doctor import heddle_version

        click.echo(f"heddle {heddle_version()}")
        ctx.exit()


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.pass_context
def _heddle(ctx: click.Context) -> int | None:
    """A compiler and a runtime for LLM plans.

    Results go to stdout, progress and logs to stderr; every command has --json.

    Exit status: 0 succeeded, 1 partly or failed, 2 wrong usage, 3 plan rejected, 4 no answer from a
    model, 5 out of budget or time, 6 denied, 7 a write whose outcome nobody saw, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return 2
    return None


def main(args: Sequence[str] | None = None) -> None:
    """Run the program; never returns.

    Args:
        args: the arguments after the program's name; None for the process's own.

    Raises:
        SystemExit: always, with the exit status of the outside contract.
    """
    words = list(sys.argv[1:] if args is None else args)
    leave(_status(words))


def _status(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        load_env_file(os.environ)
        status: Any = _heddle.main(words, prog_name="heddle", standalone_mode=False)
    except BaseException as error:  # whatever it is, the user gets a message and a status
        return faults.report(error, words)
    return status if isinstance(status, int) else 0
