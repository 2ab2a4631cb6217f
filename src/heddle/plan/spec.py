"""A tool as a plan sees it: its name, its schemas and its effect class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EFFECTS", "Effect", "Ruling", "Schema", "ToolSpec", "spec_from_json", "spec_to_json"]

Schema: TypeAlias = "Mapping[str, Any]"
Effect: TypeAlias = Literal["pure", "read", "idempotent", "write"]

EFFECTS: tuple[Effect, ...] = ("pure", "read", "idempotent", "write")


class Ruling(NamedTuple):
    """What a write counts as whose outcome nobody saw, where nobody says: its tool's policy.

    Attributes:
        outcome: "done" or "failed".
        value: what it has given, if it counts as done; JSON.
        reason: why it counts as failed.
        at_once: whether it holds as soon as the answer is lost; False where the tool has a probe,
            which is asked first, once the run is gone on with.
    """

    outcome: Literal["done", "failed"]
    value: Any = None
    reason: str = ""
    at_once: bool = True


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What the planner and the verifier know of a tool.

    Attributes:
        parameters: JSON schema of the arguments, an object; its `properties` are in the order in
            which positional arguments are named.
        result: JSON schema of the value, or None where the tool does not say.
        effect: `pure` (a function of its arguments), `read` (looks at the world), `idempotent`
            (may be repeated with one key) or `write` (at most once; what undeclared means).
        effect_declared: False when `effect` was assumed.
        provider: the name whose slots and allowance a call uses; "" for none.
        selectors: arguments that steer (who, where, how much); the rest is payload.
        concurrency: at most so many calls at once; None for no bound of its own.
        timeout_s: seconds for one attempt; None for the run's own.
        retry: further attempts after the first, whatever the fault; None to try again only after
            faults that may pass. A write is never repeated unless nothing was sent.
        asks_model: True for a tool that needs the worker model.
        cost_usd: what one call costs at most, models that it asks included; None if nobody says.
        implicit: part of the language: known to every plan, and not listed among the tools.
        fuse: whether equal calls of a run may be one call; False for a tool whose next answer may
            differ and is wanted, as that of a random generator.
        max_batch: calls that its batch form takes at once; 1 where it has none.
        batch_wait_s: seconds that a call may wait for others to be batched with.
        on_unknown: of a `write`, what it counts as where nobody knows; None to leave it unknown.
        effectful: whether a call may change the world: it then waits for a closed, clean plan.
        fuses: whether equal calls are one: `fuse`, for `pure` and `read`.
    """

    name: str
    description: str = ""
    parameters: Schema = field(default_factory=lambda: {"type": "object", "properties": {}})
    result: Schema | None = None
    effect: Effect = "write"
    effect_declared: bool = True
    provider: str = ""
    selectors: tuple[str, ...] = ()
    concurrency: int | None = None
    timeout_s: float | None = None
    retry: int | None = None
    asks_model: bool = False
    cost_usd: float | None = None
    implicit: bool = False
    fuse: bool = True
    max_batch: int = 1
    batch_wait_s: float = 0.0
    on_unknown: Ruling | None = None
    effectful: bool = field(init=False)
    fuses: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "effectful", self.effect in ("idempotent", "write"))
        object.__setattr__(self, "fuses", self.fuse and not self.effectful)


def spec_to_json(spec: ToolSpec) -> dict[str, Any]:
    """What a planner may know of a tool, as JSON."""
    found: dict[str, Any] = {
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
        "effect": spec.effect,
    }
    return found if spec.result is None else {**found, "result": dict(spec.result)}


def spec_from_json(value: object) -> ToolSpec:
    """A tool as `spec_to_json` gives it.

    Raises:
        ValueError: it is none; the message says which part.
    """
    row = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name, text, takes = row.get("name"), row.get("description", ""), row.get("parameters")
    if not (isinstance(name, str) and isinstance(text, str) and isinstance(takes, dict)):
        raise ValueError("a tool has a name, a description and parameters")
    result, effect = row.get("result"), row.get("effect", "write")
    if effect not in EFFECTS or not (result is None or isinstance(result, dict)):
        raise ValueError(f"the tool {name!r} has an effect or a result that is none")
    return ToolSpec(name, text, cast("Schema", takes), cast("Schema | None", result), effect)
