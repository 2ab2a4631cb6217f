"""The same graphs through what people use today, where it is installed (extra `bench`).

LLMCompiler's published scheduling rule is re-stated here in its own few lines: every 10 ms, look at
every remaining task, and start those whose inputs are all there; no cap.
Source: SqueezeAILab/LLMCompiler, src/llm_compiler/task_fetching_unit.py.
"""

from __future__ import annotations

import asyncio
import importlib.util
import statistics
from typing import TYPE_CHECKING, Any

from bench.engine import CAP, cpu_s, run_heddle
from bench.shapes import Parents, shape, steps

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S = 0.01


async def _noop(xs: list[Any]) -> int:
    return len(xs)


async def poller(parents: Parents) -> list[Any]:
    """The published rule: poll, scan all, start what is ready."""
    values: dict[int, Any] = {}
    remaining = dict(enumerate(parents))
    tasks: set[asyncio.Task[None]] = set()

    async def run(i: int, needs: list[int]) -> None:
        values[i] = await _noop([values[parent] for parent in needs])

    while len(values) < len(parents):
        ready = [i for i, needs in remaining.items() if all(p in values for p in needs)]
        for i in ready:
            tasks.add(asyncio.create_task(run(i, remaining.pop(i))))
        await asyncio.sleep(INTERVAL_S)
    return [values[i] for i in range(len(parents))]


async def langgraph(parents: Parents) -> Any:
    """One node a step; state merges by key."""
    import operator
    from typing import Annotated, TypedDict

    from langgraph.graph import START, StateGraph

    # In this form, because LangGraph evaluates annotations that are written as text.
    state = TypedDict("state", {"values": Annotated[dict[int, Any], operator.or_]})  # noqa: UP013
    graph = StateGraph(state)
    for i, needs in enumerate(parents):
        graph.add_node(str(i), _langgraph_node(i, needs))
        if needs:
            graph.add_edge([str(parent) for parent in needs], str(i))
        else:
            graph.add_edge(START, str(i))
    compiled = graph.compile()
    config = {"recursion_limit": len(parents) + 5, "max_concurrency": CAP}
    return await compiled.ainvoke({"values": {}}, config)  # type: ignore[arg-type]


def _langgraph_node(i: int, needs: list[int]) -> Callable[[Any], Any]:
    async def node(state):  # noqa: ANN001, ANN202  # annotations would be evaluated
        return {"values": {i: await _noop([state["values"][p] for p in needs])}}

    return node


async def hamilton(parents: Parents) -> Any:
    """One function a step, in a module made for the occasion."""
    import sys
    import types

    from hamilton import async_driver

    module = types.ModuleType("hamilton_steps")
    sys.modules[module.__name__] = module  # it asks where a function comes from
    for i, needs in enumerate(parents):
        names = [f"s{parent}" for parent in needs]
        source = (
            f"async def s{i}({', '.join(f'{name}: int' for name in names)}) -> int:\n"
            f"    return len([{', '.join(names)}])\n"
        )
        exec(source, module.__dict__)  # our own text, made above
        module.__dict__[f"s{i}"].__module__ = module.__name__
    driver = await async_driver.Builder().with_modules(module).build()
    return await driver.execute([f"s{i}" for i in range(len(parents))])


def installed() -> dict[str, Callable[[Parents], Any]]:
    """The peers that can be measured here, by name."""
    found: dict[str, Callable[[Parents], Any]] = {"llmcompiler-rule": poller}
    if importlib.util.find_spec("langgraph"):
        found["langgraph"] = langgraph
    if importlib.util.find_spec("hamilton"):
        found["hamilton"] = hamilton
    return found


def compared(n: int = 1_000, repeats: int = 3) -> dict[str, dict[str, float | str]]:
    """By peer and shape: CPU seconds over heddle's on the same graph, in the same run."""
    out: dict[str, dict[str, float | str]] = {}
    for peer, run in installed().items():
        out[peer] = {}
        for name in ("fan-out", "layered", "chain", "fan-in"):
            size = 100 if peer == "llmcompiler-rule" and name == "chain" else n
            parents = shape(name, size)
            plan = steps(parents)
            found: list[float] = []
            try:
                for _ in range(repeats):
                    ours = cpu_s(lambda: [asyncio.run(run_heddle(plan)) for _ in range(10)]) / 10
                    theirs = cpu_s(lambda: asyncio.run(run(parents)))
                    found.append(theirs / ours)
            except (Exception, RecursionError) as error:  # a peer's failure is its figure
                out[peer][name] = f"{type(error).__name__}"
            else:
                out[peer][name] = statistics.median(found)
    return out
