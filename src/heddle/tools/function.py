"""Tools: typed functions that a plan may call.

>>> import asyncio
>>> @tool(effect="pure")
... async def double(x: float) -> float:
...     '''Twice a number.'''
...     return 2 * x
>>> asyncio.run(double.invoke({"x": 21.0}))
42.0
>>> double.spec.parameters["properties"]
{'x': {'type': 'number'}}
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from heddle.errors import ConfigError
from heddle.plan.spec import EFFECTS, Effect, ToolSpec
from heddle.tools.batch import Batch, batch_form
from heddle.tools.home import Home, home_of
from heddle.tools.probes import Done, Failed, Probe, Unsure, probe_form, ruling_of
from heddle.tools.signature import place_of, read_signature
from heddle.tools.values import Metered, binder, dumper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heddle.models.protocol import Model, Request

__all__ = ["Metered", "Tool", "assemble", "check_name", "check_spec", "tool"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,127}")


class Tool:
    """A function that a plan may call, with what a plan must know of it.

    It can be called like the function it was made from; plans call `invoke`.

    Attributes:
        spec: name, schemas and effect class.
        blocking: a synchronous function, which is to be run in a thread.
        invoke: named JSON arguments to a JSON value (blocking) or an awaitable of one, or to a
            `Metered` of one. Raises ToolFailed with code `bad-argument` or `bad-result` for
            values that do not fit, and whatever the function raises.
        probe: what may be asked about a write whose outcome nobody saw.
        batch: the form that takes many calls at once, if it has one.
        asks: of a tool that asks a model, which one, and its request for some arguments.
        home: of an isolated tool, where its process finds the function.
    """

    __slots__ = ("__wrapped__", "asks", "batch", "blocking", "home", "invoke", "probe", "spec")

    def __init__(
        self,
        spec: ToolSpec,
        function: Callable[..., Any],
        invoke: Callable[[dict[str, Any]], Any],
        *,
        blocking: bool,
    ) -> None:
        self.spec = spec
        self.blocking = blocking
        self.invoke = invoke
        self.batch: Batch | None = None
        self.probe: Probe | None = None
        self.asks: tuple[Model, Callable[[dict[str, Any]], Request]] | None = None
        self.home: Home | None = None
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function itself returns, without any check."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.spec.name!r}, effect={self.spec.effect!r})"


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    function: Callable[..., Any] | None = None,
    *,
    effect: Effect | None = None,
    provider: str = "",
    selectors: Sequence[str] = (),
    name: str | None = None,
    description: str | None = None,
    concurrency: int | None = None,
    timeout_s: float | None = None,
    retry: int | None = None,
    cost_usd: float | None = None,
    fuse: bool = True,
    batch: Callable[..., Any] | None = None,
    max_batch: int = 100,
    batch_wait_s: float = 0.0,
    isolate: bool = False,
    probe: Callable[..., Any] | None = None,
    on_unknown: Done | Failed | Unsure | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    effect: Effect | None = None,
    provider: str = "",
    selectors: Sequence[str] = (),
    name: str | None = None,
    description: str | None = None,
    concurrency: int | None = None,
    timeout_s: float | None = None,
    retry: int | None = None,
    cost_usd: float | None = None,
    fuse: bool = True,
    batch: Callable[..., Any] | None = None,
    max_batch: int = 100,
    batch_wait_s: float = 0.0,
    isolate: bool = False,
    probe: Callable[..., Any] | None = None,
    on_unknown: Done | Failed | Unsure | None = None,
) -> Any:
    """Make a typed function a tool; a decorator, with arguments or without.

    Args:
        function: the function; None when the decorator has arguments.
        effect: `pure`, `read`, `idempotent` or `write`; undeclared means `write`.
        provider: the name whose slots and allowance a call uses.
        selectors: parameters that steer (who, where, how much); the rest is payload.
        name: the tool's name in plans; the function's own by default.
        description: what the planner reads; the docstring's first paragraph by default.
        concurrency: at most so many calls at once.
        timeout_s: seconds for one attempt.
        retry: further attempts after the first, whatever the fault; a step's own `retry` counts
            more. A write is not repeated unless `heddle.NotSent` says that nothing was sent.
        cost_usd: what one call costs at most; a plan's cost is bounded by it before it runs.
        fuse: whether equal calls of a run are one call, where the effect allows it (`pure`,
            `read`); False where each call is to give its own answer.
        batch: a function that answers many calls at once; see `tools.batch` for its forms.
        max_batch: calls in one batch, at most; with 1, none are batched.
        batch_wait_s: seconds that a ready call waits for others; 0 for those of the same moment.
        isolate: whether calls are made in a process of their own, which is killed when they are
            cancelled or out of time; for a function at the top of a module.
        probe: of a `write`, a function of the same arguments that says what became of a call which
            was cut off: `heddle.Done(value)`, `heddle.NotDone()`, `heddle.Unsure()`; it may ask
            `heddle.current_call()` for the call's key.
        on_unknown: of a `write`, what a call counts as whose outcome nobody saw, where neither a
            person nor the probe can say: `heddle.Failed(reason)`, `heddle.Done(value)`; by default
            it is unknown until a person says. It is never repeated.

    Raises:
        ConfigError: the function cannot be a tool, or a setting cannot be used.
    """
    if isolate and batch is not None:
        raise ConfigError(
            "an isolated tool has no batch form",
            code="bad-tool",
            hint="drop batch= or isolate=",
        )
    if function is None:
        return functools.partial(
            tool,
            effect=effect,
            provider=provider,
            selectors=selectors,
            name=name,
            description=description,
            concurrency=concurrency,
            timeout_s=timeout_s,
            retry=retry,
            cost_usd=cost_usd,
            fuse=fuse,
            batch=batch,
            max_batch=max_batch,
            batch_wait_s=batch_wait_s,
            isolate=isolate,
            probe=probe,
            on_unknown=on_unknown,
        )
    named = name if name is not None else str(getattr(function, "__name__", ""))
    check_name(named, place_of(function))
    found = read_signature(function, named)
    spec = ToolSpec(
        name=named,
        description=found.description if description is None else description,
        parameters=found.parameters,
        result=found.result,
        effect=effect or "write",
        effect_declared=effect is not None,
        provider=provider,
        selectors=tuple(selectors),
        concurrency=concurrency,
        timeout_s=timeout_s,
        retry=retry,
        cost_usd=cost_usd,
        fuse=fuse,
        max_batch=max_batch if batch is not None else 1,
        batch_wait_s=batch_wait_s if batch is not None else 0.0,
    )
    check_spec(spec, place_of(function))
    bind, dump = binder(named, found.takes), dumper(named, found.gives)
    made = assemble(spec, function, bind, dump)
    if probe is not None:
        made.probe = probe_form(probe, spec, bind, dump)
    made.spec = replace(
        spec, on_unknown=ruling_of(on_unknown, spec, dump, probed=probe is not None)
    )
    if batch is not None:
        made.batch = batch_form(batch, named, found, bind, dump)
    if isolate:
        made.home = home_of(function, named)
    return made


def check_name(name: str, place: str = "") -> None:
    """Refuse a name that no plan could call.

    Raises:
        ConfigError: it is empty, too long, or has other characters than a plan may have.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{place}{name!r} cannot be a tool's name",
            code="bad-tool",
            hint='pass `name="…"`: a letter, then letters, digits, `_`, `.`, `/` or `-`',
        )


def check_spec(spec: ToolSpec, place: str = "") -> None:
    """Refuse settings that can never be met.

    Raises:
        ConfigError: an unknown effect, a selector that is no parameter, a bound below its least.
    """
    known = list(spec.parameters.get("properties", {}))
    strange = [name for name in spec.selectors if name not in known]
    what = hint = ""
    if spec.effect not in EFFECTS:
        what, hint = f"there is no effect {spec.effect!r}", f"it is one of {', '.join(EFFECTS)}"
    elif strange:
        what = f"selector {strange[0]!r} is no parameter"
        hint = f"a list of names out of {', '.join(known) or 'none'}"
    elif spec.concurrency is not None and spec.concurrency < 1:
        what = f"concurrency must be at least 1, not {spec.concurrency}"
    elif spec.max_batch > 1 and spec.effectful:
        what = f"its effect is {spec.effect}, and only pure and read calls can be batched"
        hint = 'declare effect="read", if it only reads; drop batch=, if it does not'
    elif spec.max_batch < 1 or not 0 <= spec.batch_wait_s < math.inf:
        what = "max_batch must be at least 1, and batch_wait_s a number of seconds"
    elif spec.timeout_s is not None and not spec.timeout_s > 0:
        what = f"timeout_s must be a positive number of seconds, not {spec.timeout_s}"
    elif spec.retry is not None and spec.retry < 0:
        what = f"retry must be a number of further attempts, not {spec.retry}"
    elif spec.cost_usd is not None and not 0 <= spec.cost_usd < math.inf:
        what = f"cost_usd must be what one call costs in US dollars, not {spec.cost_usd}"
    if what:
        raise ConfigError(f"{place}tool {spec.name!r}: {what}", code="bad-tool", hint=hint)


def assemble(
    spec: ToolSpec,
    function: Callable[..., Any],
    bind: Callable[[dict[str, Any]], dict[str, Any]],
    dump: Callable[[Any], Any],
) -> Tool:
    """A tool of its parts: arguments are bound, the function is called, the value is dumped."""

    async def invoke(args: dict[str, Any]) -> Any:
        value = await function(**bind(args))
        return dump(value) if type(value) is not Metered else _metered(value, dump)

    def invoke_blocking(args: dict[str, Any]) -> Any:
        value = function(**bind(args))
        return dump(value) if type(value) is not Metered else _metered(value, dump)

    blocking = not _asynchronous(function)
    return Tool(spec, function, invoke_blocking if blocking else invoke, blocking=blocking)


def _metered(value: Metered, dump: Callable[[Any], Any]) -> Metered:
    return value._replace(value=dump(value.value))


def _asynchronous(function: Callable[..., Any]) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004  # the function behind an object
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
