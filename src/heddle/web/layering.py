"""A layered layout: columns by longest path, few crossings, straight long edges.

Nodes are numbers in an order in which a node only depends on smaller ones. An edge that skips
columns passes through bends, which take a place in each column on its way; the edges of one node
share their bends, so that a result that many use leaves as one thread.

Source: Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of Hierarchical System
Structures" (1981): layers, barycentres; positions by pool-adjacent-violators instead of priorities.

>>> plan = layered([(), (0,), (0,), (1, 2)])
>>> plan.columns
[[0], [1, 2], [3]]
>>> plan.y
[0.5, 0.0, 1.0, 0.5]
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Layout", "depths", "layered"]

SWEEPS = 6
BEND = 0.45  # the room of a bend, where a node takes 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where nodes and bends lie. Numbers from `nodes` on are bends.

    Attributes:
        columns: nodes and bends from top to bottom, for each column from left to right.
        y: the middle of each node and bend; neighbours in a column are a node's height apart.
        links: the pieces of edges, each once, from one column to the next.
        routes: for each edge (from, to) the nodes and bends on its way, both ends included.
    """

    nodes: int
    columns: list[list[int]]
    y: list[float]
    links: dict[tuple[int, int], None]
    routes: dict[tuple[int, int], list[int]]


def depths(before: Sequence[Iterable[int]]) -> list[int]:
    """The number of edges on the longest path to each node. Cost: linear."""
    depth: list[int] = []
    for sources in before:
        depth.append(max((depth[source] + 1 for source in sources), default=0))
    return depth


def layered(before: Sequence[Sequence[int]]) -> Layout:
    """Lay out a graph.

    Args:
        before: for each node the smaller numbers that it depends on.

    Cost: SWEEPS × (nodes + bends + edges) × log; bends are at most nodes × columns.
    """
    columns, routes = _routes(before)
    pairs = [pair for route in routes.values() for pair in pairwise(route)]
    links = dict.fromkeys(pairs)
    size = sum(map(len, columns))
    left: list[list[int]] = [[] for _ in range(size)]
    right: list[list[int]] = [[] for _ in range(size)]
    for source, target in links:
        left[target].append(source)
        right[source].append(target)
    _order(columns, left, right)
    y = _place(columns, left, right, len(before))
    return Layout(len(before), columns, y, links, routes)


def _routes(
    before: Sequence[Sequence[int]],
) -> tuple[list[list[int]], dict[tuple[int, int], list[int]]]:
    depth = depths(before)
    columns: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for node, column in enumerate(depth):
        columns[column].append(node)
    bends: list[list[int]] = [[] for _ in before]
    routes: dict[tuple[int, int], list[int]] = {}
    size = len(before)
    for target, sources in enumerate(before):
        for source in sources:
            chain = bends[source]
            needed = depth[target] - depth[source] - 1
            while len(chain) < needed:
                columns[depth[source] + 1 + len(chain)].append(size)
                chain.append(size)
                size += 1
            routes[source, target] = [source, *chain[:needed], target]
    return columns, routes


def _order(columns: list[list[int]], left: list[list[int]], right: list[list[int]]) -> None:
    """Sort each column by the mean position of its neighbours, to and fro."""
    rank: dict[int, float] = {}
    for column in columns:
        _renumber(column, rank)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        near = left if forward else right
        for column in columns if forward else reversed(columns):
            column.sort(key=lambda node: _mean(near[node], rank, rank[node]))
            _renumber(column, rank)


def _renumber(column: list[int], rank: dict[int, float]) -> None:
    """Ranks run from 0 to 1, so that short and long columns compare."""
    for place, node in enumerate(column):
        rank[node] = (place + 0.5) / len(column)


def _mean(nodes: list[int], at: dict[int, float] | list[float], otherwise: float) -> float:
    return sum(at[node] for node in nodes) / len(nodes) if nodes else otherwise


def _place(
    columns: list[list[int]], left: list[list[int]], right: list[list[int]], nodes: int
) -> list[float]:
    """Heights near the neighbours' mean, in order and apart."""
    y = [0.0] * len(left)
    for column in columns:
        for place, node in enumerate(column):
            y[node] = place - len(column) / 2
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        near = left if forward else right
        for column in columns if forward else reversed(columns):
            wanted = [_mean(near[node], y, y[node]) for node in column]
            for node, height in zip(column, _apart(column, wanted, nodes), strict=True):
                y[node] = height
    top = min(y, default=0.0)
    return [height - top for height in y]


def _apart(column: list[int], wanted: list[float], nodes: int) -> list[float]:
    """The heights nearest to the wanted ones (least squares) that keep order and distance."""
    room = [1.0 if node < nodes else BEND for node in column]
    offset = [0.0] * len(column)
    for place in range(1, len(column)):
        offset[place] = offset[place - 1] + (room[place - 1] + room[place]) / 2
    blocks: list[tuple[float, int]] = []  # (mean, size), rising
    for height, shift in zip(wanted, offset, strict=True):
        mean, size = height - shift, 1
        while blocks and blocks[-1][0] >= mean:
            other, others = blocks.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    return [mean + shift for mean, shift in zip(means, offset, strict=True)]
