"""`heddle export`: data made of plans and answers; one command a file, imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["EXPORTS", "export"]

EXPORTS: dict[str, tuple[str, str]] = {
    "chains": ("heddle.cli.export_chains", "Annotated answers as abstract chains that compute."),
    "plans": ("heddle.cli.export_plans", "Plans and answers of runs as rows to train on."),
}
"""Every export by name: the module that holds a click command of that name, and its help."""


class _Exports(click.Group):
    """A group whose commands are imported when they are used; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(EXPORTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in EXPORTS:
            return None
        command = getattr(import_module(EXPORTS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exports"):
            formatter.write_dl([(name, text) for name, (_, text) in EXPORTS.items()])


@click.group(cls=_Exports, invoke_without_command=True)
@click.pass_context
def export(ctx: click.Context) -> int | None:
    """Data for others: JSON lines on stdout, a summary on stderr; each has --json."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return 2
    return None
