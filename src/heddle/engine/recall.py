"""Recall: steps of the past in the scheduler of a run that is gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.engine.elements import HARMLESS
from heddle.engine.map_run import HAS, LACKS, SPARED, Fault, MapRun, streams_over
from heddle.plan.ir import MISSING

if TYPE_CHECKING:
    from heddle.engine.node import Node
    from heddle.engine.past import Past

__all__ = ["recall", "recall_elements"]


def recall(node: Node, past: Past) -> bool:
    """Whether a step has ended in the past; it is then as it was, and nothing is said of it.

    One that has not goes on with the number of its last attempt.
    """
    node.attempt = past.attempts.get((node.id, None), 0)
    before = past.ended(node.id)
    if before is None:
        return False
    step = node.step
    node.status, node.value = before.status, before.value
    if step is not None and step.over is not MISSING:
        source, at_once = streams_over(step)
        node.map = MapRun(node, source, at_once=at_once)
        if before.map is not None:
            node.map.open([None] * before.map.n, None)
            recall_elements(node.map, past)
            node.map.close()
            node.value = node.map.values
    return True


def recall_elements(run: MapRun, past: Past) -> bool:
    """Whether a map was opened in the past; what has ended of it is as it was.

    Cost: linear in the elements.
    """
    state = past.state.steps.get(run.node.id)
    if state is None or state.map is None:
        return False
    before, step = state.map, run.node.step
    assert step is not None
    for index in past.given.get(run.node.id, ()):
        run.values[index] = before.values[index]
        run.states[index] = HAS
        run.left -= 1
    for index, fault in before.faults.items():
        run.faults[index] = Fault(fault.status, fault.code, fault.message)
        run.left -= 1
        if fault.status == "failed" and step.default is not MISSING:
            run.values[index] = step.default
            run.states[index] = HAS
        else:
            run.states[index] = SPARED if fault.code in HARMLESS else LACKS
    return True
