"""`heddle audit RUN`: whether a run kept its promises, by its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heddle.cli import options
from heddle.cli.journals import find, in_journal, load, place_option, standing
from heddle.cli.screen import give_json, say

if TYPE_CHECKING:
    from heddle.cli.journals import KeptRun
    from heddle.engine.audit import Audit
    from heddle.engine.journal.store import Store

__all__ = ["audit"]


@click.command
@click.argument("name", metavar="RUN")
@place_option
@options.as_json
def audit(name: str, place: str | None, as_json: bool) -> int:
    """Audit RUN: is its journal whole, and has each effect one origin, one key and one outcome?

    Exit status 0 if so, 1 if a promise was broken, 2 if the journal is damaged.
    """
    from heddle.engine.audit import audit as audit_of

    async def work(store: Store) -> KeptRun:
        return await load(store, await find(store, name), strict=True)

    kept = in_journal(place, work)
    found = audit_of(kept.events)
    if as_json:
        give_json({**found.to_json(), "status": standing(kept.row)})
    else:
        _say(found, standing(kept.row))
    return 1 if found.violations else 0


def _say(found: Audit, status: str) -> None:
    say(
        f"run {found.run_id}, {status}: {found.events:,} events in an unbroken chain, "
        f"{found.processes} process{'es' if found.processes != 1 else ''}",
        stdout=True,
    )
    say(
        f"{_count(found.effects, 'effect')} in {_count(found.attempts, 'attempt')}, "
        f"{_count(found.orphans, 'orphan')}, {len(found.unresolved):,} unresolved"
        f"{_resolved(found)}",
        stdout=True,
    )
    for violation in found.violations:
        element = "" if violation.element is None else f"[{violation.element}]"
        where = f"step {violation.step}{element}: " if violation.step else ""
        say(f" event {violation.seq}: {where}{violation.message}", label=violation.rule, fg="red",
            stdout=True)  # fmt: skip
    if not found.violations:
        say("no promise was broken", stdout=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _resolved(found: Audit) -> str:
    by = ", ".join(
        f"{count:,} resolved by {_WHO.get(who, who)}"
        for who, count in sorted(found.resolved.items())
    )
    return f" ({by})" if by else ""


_WHO = {"human": "a person", "probe": "its probe", "policy": "policy"}
