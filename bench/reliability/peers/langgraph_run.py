"""A run of LangGraph that can be killed: `langgraph_run.py chain|fan-out`, in a folder of its own.

It does what LangGraph's authors advise for runs that must survive: a checkpointer in SQLite,
`durability="sync"`, and `invoke(None)` to go on. Whether a run is over is not asked of
`get_state().next`, which may be empty although nodes are left.
"""

from __future__ import annotations

import operator
import sys
from functools import partial
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from bench.reliability.world import act_now

CONFIG: Any = {"configurable": {"thread_id": "run"}, "recursion_limit": 100}


class State(TypedDict):
    """What the nodes have given."""

    done: Annotated[list[str], operator.add]


def node(label: str, _: State) -> dict[str, list[str]]:
    act_now(label)
    return {"done": [label]}


def graph(shape: str, labels: list[str]) -> StateGraph[Any]:
    builder = StateGraph(State)
    for label in labels:
        builder.add_node(label, partial(node, label))
    before = [START, *labels[:-1]] if shape == "chain" else [START] * len(labels)
    for first, second in zip(before, labels, strict=True):
        builder.add_edge(first, second)
    for last in labels[-1:] if shape == "chain" else labels:
        builder.add_edge(last, END)
    return builder


def main(shape: str, *labels: str) -> None:
    config = {**CONFIG, "max_concurrency": 2} if shape == "fan-out" else CONFIG
    with SqliteSaver.from_conn_string("langgraph.sqlite") as saver:
        compiled = graph(shape, list(labels)).compile(checkpointer=saver)
        begun = compiled.get_state(config).created_at is not None
        compiled.invoke(None if begun else {"done": []}, config, durability="sync")


if __name__ == "__main__":
    main(*sys.argv[1:])
