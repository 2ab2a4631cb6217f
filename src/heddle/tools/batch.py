"""Batch forms: one function that answers many calls of a tool at once.

A tool of one parameter has the natural form, a list of values to a list of results:

    async def price(ticker: str) -> float
    async def prices(tickers: list[str]) -> list[float]

A tool of several gets a list of objects, one for each call, with its arguments by name:

    async def rates(calls: list[dict[str, Any]]) -> list[float]

Results stand in the order of the calls. An exception that is returned in the place of a result
(`list[float | Exception]`) is the failure of that call alone; one that is raised is that of all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Union, cast, get_args, get_origin

from heddle.errors import ConfigError, ToolFailed
from heddle.tools.signature import place_of
from heddle.tools.values import Metered, shown

if TYPE_CHECKING:
    from heddle.tools.signature import Signature

__all__ = ["Batch", "batch_form"]

_EMPTY = inspect.Parameter.empty
_OBJECTS = (dict, dict[str, Any], dict[str, object])

Args = dict[str, Any]
Outcomes = list[Any]
"""For each call its value, or the exception that is its failure."""


class Batch(NamedTuple):
    """A tool's batch form.

    Attributes:
        invoke: named JSON arguments of many calls to an outcome for each (blocking), or to an
            awaitable of that. Arguments and results that do not fit are failures of their own
            calls; it raises ToolFailed with code `bad-result` for a result that is no list of that
            length, and whatever the function raises.
        blocking: a synchronous function, which is to be run in a thread.
    """

    invoke: Callable[[list[Args]], Any]
    blocking: bool


def batch_form(
    function: Callable[..., Any],
    name: str,
    single: Signature,
    bind: Callable[[Args], Args],
    dump: Callable[[Any], Any],
) -> Batch:
    """A tool's batch form, checked against the tool itself.

    Args:
        function: takes a list, gives a list.
        name: the tool's name.
        single: what the tool takes and gives.
        bind: checks the arguments of one call.
        dump: checks the result of one call.

    Raises:
        ConfigError: its parameter or its return type does not fit the tool's.
    """
    by_value = _takes(function, name, single)

    def split(calls: list[Args]) -> tuple[list[Any], Outcomes]:
        """What the function is called with, and the failures of calls that do not fit."""
        outcomes: Outcomes = []
        bound: list[Any] = []
        for args in calls:
            try:
                found = bind(args)
                bound.append(found[by_value] if by_value else dict(found))
                outcomes.append(None)
            except ToolFailed as error:
                outcomes.append(error)
        return bound, outcomes

    def joined(outcomes: Outcomes, given: Any) -> Outcomes:
        results = iter(_results(name, given, outcomes.count(None)))
        return [_dumped(next(results), dump) if item is None else item for item in outcomes]

    async def invoke(calls: list[Args]) -> Outcomes:
        bound, outcomes = split(calls)
        return joined(outcomes, await function(bound)) if bound else outcomes

    def invoke_blocking(calls: list[Args]) -> Outcomes:
        bound, outcomes = split(calls)
        return joined(outcomes, function(bound)) if bound else outcomes

    waits = inspect.iscoroutinefunction(function)
    return Batch(invoke if waits else invoke_blocking, blocking=not waits)


def _results(name: str, given: Any, wanted: int) -> list[Any]:
    """The results as a list of the right length; what they cost in all stands at the first value.

    Raises:
        ToolFailed: it is none (code `bad-result`).
    """
    usage = cost = None
    if type(given) is Metered:
        given, usage, cost = given
    if not isinstance(given, (list, tuple)) or len(cast("list[Any]", given)) != wanted:
        raise ToolFailed(
            f"{name}: its batch form gave {shown(given)} for {wanted} calls",
            code="bad-result",
            hint="return a list with one result for each call, in their order",
        )
    results = list(cast("list[Any]", given))
    if usage is not None:
        values = (n for n, item in enumerate(results) if not isinstance(item, BaseException))
        if (first := next(values, None)) is not None:
            results[first] = Metered(results[first], usage, cost)
    return results


def _dumped(value: Any, dump: Callable[[Any], Any]) -> Any:
    if isinstance(value, BaseException):
        return value
    try:
        if type(value) is Metered:
            return value._replace(value=dump(value.value))
        return dump(value)
    except ToolFailed as error:
        return error


# -- checking the declaration ----------------------------------------------------------------------


def _takes(function: Callable[..., Any], name: str, single: Signature) -> str:
    """The parameter whose values the function takes; "" if it takes objects.

    Raises:
        ConfigError: it takes or gives something else.
    """
    if not callable(function):
        raise ConfigError(f"tool {name!r}: batch= must be a function", code="bad-tool")
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # hints are evaluated: anything may come
        raise _refused(function, name, f"its signature cannot be read: {error}", single) from error
    parameters = list(signature.parameters.values())
    element = _element(parameters[0].annotation) if len(parameters) == 1 else _EMPTY
    if element is _EMPTY:
        raise _refused(function, name, "it must take one list", single)
    gives = signature.return_annotation
    result = Any if gives is _EMPTY else _element(gives)
    if not _same(_without_exceptions(result), single.gives):
        raise _refused(function, name, f"it gives {_said(gives)}", single)
    takes = single.takes
    if len(takes) == 1 and takes[0].required and element == takes[0].hint:
        return takes[0].name
    if element in _OBJECTS:
        return ""
    raise _refused(function, name, f"it takes {_said(parameters[0].annotation)}", single)


def _element(hint: Any) -> Any:
    """The type of a list's elements; `Any` where a list does not say, `_EMPTY` for no list."""
    if hint is list or hint is Any:
        return Any
    found = get_args(hint) if get_origin(hint) in (list, Sequence) else ()
    return found[0] if found else _EMPTY


def _without_exceptions(hint: Any) -> Any:
    kinds = get_args(hint) if len(get_args(hint)) > 1 and get_origin(hint) not in (dict,) else ()
    rest = [kind for kind in kinds if not _is_exception(kind)]
    if not rest or len(rest) == len(kinds):
        return hint
    return Union[tuple(rest)]  # noqa: UP007  # made from a list


def _is_exception(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _same(result: Any, single: Any) -> bool:
    return result is Any or single is _EMPTY or single is Any or result == single


def _refused(function: Callable[..., Any], name: str, what: str, single: Signature) -> ConfigError:
    gives = "Any" if single.gives is _EMPTY else _said(single.gives)
    one = len(single.takes) == 1 and single.takes[0].required
    takes = _said(single.takes[0].hint) if one else "dict[str, Any]"
    return ConfigError(
        f"{place_of(function)}the batch form of tool {name!r} does not fit it: {what}",
        code="bad-tool",
        hint=f"write `async def many(calls: list[{takes}]) -> list[{gives}]`",
    )


def _said(hint: Any) -> str:
    if hint is _EMPTY:
        return "nothing that is declared"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
