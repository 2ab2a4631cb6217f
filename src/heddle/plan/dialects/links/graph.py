"""Nodes and links as a graph: which nodes a link means, in what order they come, from 0 or from 1.

Everything here counts nodes from 0, in the order of the text.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["circle_of", "first_node", "nearest", "order_of"]

_ENDING = re.compile(r"(?:\s*+\([^()]*+\)|[\s_-]?[0-9]++)\Z")


def first_node(uses: Collection[tuple[int, int]], links: Collection[tuple[int, int]]) -> int | None:
    """Whether `<node-k>` counts from 0 or from 1; None if what there is does not say.

    A 0 settles it. Otherwise two witnesses are asked: the links (whether one leads from the node
    that is meant to the one that uses it) and the order (whether every use is of an earlier
    node). What one says and the other does not deny is taken.

    Args:
        uses: (node, k) of every `<node-k>`.
        links: (source, target) of every link that means two nodes.
    """
    if not uses or min(k for _, k in uses) == 0:
        return 0
    linked = [sum((k - first, node) in links for node, k in uses) for first in (0, 1)]
    earlier = [all(k - first < node for node, k in uses) for first in (0, 1)]
    said = {
        values.index(max(values))
        for values in (linked, list(map(int, earlier)))
        if len({*values}) > 1
    }
    return said.pop() if len(said) == 1 else None


def order_of(count: int, links: Iterable[tuple[int, int]]) -> list[int] | None:
    """The nodes, each after those that lead to it, else as in the text; None for a circle.

    Cost: O((nodes + links) log nodes).
    """
    targets: dict[int, list[int]] = {}
    missing = Counter[int]()
    for source, target in links:
        targets.setdefault(source, []).append(target)
        missing[target] += 1
    ready = [node for node in range(count) if not missing[node]]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for target in targets.get(node, ()):
            missing[target] -= 1
            if not missing[target]:
                heapq.heappush(ready, target)
    return order if len(order) == count else None


def circle_of(links: Mapping[str, Sequence[str]]) -> list[str]:
    """Names that lead from one to the next and back to the first, which ends it; [] for none.

    Args:
        links: the names that each name leads to.

    Cost: linear, without recursion.
    """
    done: set[str] = set()
    for start in links:
        path: dict[str, None] = {}
        stack = [(start, False)]
        while stack:
            name, left = stack.pop()
            if left:
                path.popitem()
                done.add(name)
            elif name in path:
                names = list(path)
                return [*names[names.index(name) :], name]
            elif name not in done:
                path[name] = None
                stack.append((name, True))
                stack.extend((target, False) for target in reversed(links.get(name, ())))
    return []


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of some names that is meant, but for an ending ("-1", "(French)") and spelling."""
    meant = _plain(name)
    bare = _plain(_ENDING.sub("", name))
    return next((known for known in names if _plain(known) in (meant, bare)), None)


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().lower()
