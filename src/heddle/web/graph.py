"""The plan as a drawing: steps as boxes, references as threads, from left to right.

A small plan is drawn step by step. A large one is drawn by groups: the steps of one tool in one
band of depths are one box, and only the thickest threads are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from heddle.web.figure import drawing, fitted, legend, status_words, tally
from heddle.web.layering import Layout, depths, layered
from heddle.web.markup import Markup, join, tag
from heddle.web.spelling import count, seconds
from heddle.web.view import ICONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heddle.web.view import StepView

__all__ = ["graph_figure"]

MAX_STEPS = 200
MAX_EDGES = 600
MAX_SIDE_BY_SIDE = 40
MAX_BANDS = 16
MAX_TOOLS = 8  # boxes in one band; the rest of its tools share the last one
MAX_THREADS = 120  # between groups

WIDTH, HEIGHT = 164, 46
GAP_X, PITCH = 58, 60
MARGIN = 10


@dataclass(frozen=True, slots=True)
class _Box:
    """One box: its two lines, its mark, the number of its steps by status, what hovering tells."""

    head: str
    name: str
    line: str
    status: str
    counts: dict[str, int]
    critical: bool
    hover: str


def graph_figure(steps: Sequence[StepView]) -> Markup:
    """The drawing of all steps, with its legend and, if it is not step by step, a word on that."""
    if _is_small(steps):
        boxes, before = [_step_box(step) for step in steps], [step.before for step in steps]
        group_of: Sequence[int] = range(len(steps))
        weights: dict[tuple[int, int], int] = {}
        note = ""
    else:
        boxes, before, group_of, weights, note = _grouped(steps)
    if all(step.begins_s is None for step in steps):
        note += " Nothing of this plan was run."
    path = [group_of[step.place] for step in steps if step.critical]
    return join(
        [
            tag("p", note, class_="note") if note else Markup(),
            _draw(boxes, layered(before), weights, set(pairwise(path)), _words(steps)),
            _legend(steps),
        ]
    )


def _is_small(steps: Sequence[StepView]) -> bool:
    if len(steps) > MAX_STEPS or sum(len(step.before) for step in steps) > MAX_EDGES:
        return False
    column = depths([step.before for step in steps])
    return max((column.count(depth) for depth in set(column)), default=0) <= MAX_SIDE_BY_SIDE


def _words(steps: Sequence[StepView]) -> str:
    edges = sum(len(step.before) for step in steps)
    critical = [step.id for step in steps if step.critical]
    path = f" The critical path has {count(len(critical), 'step')}." if critical else ""
    words = status_words(tally(step.status for step in steps))
    return f"{count(len(steps), 'step')} and {count(edges, 'edge')}: {words}.{path}"


def _legend(steps: Sequence[StepView]) -> Markup:
    counts = tally(step.status for step in steps)
    entries = [(f"box s-{status}", f"{ICONS[status]} {status}") for status in counts]
    if any(step.critical for step in steps):
        entries.append(("thread critical", "critical path"))
    return legend(entries)


# -- boxes ---------------------------------------------------------------------------------------


def _step_box(step: StepView) -> _Box:
    took = "" if step.ran_s is None else seconds(step.ran_s)
    line = took if step.status == "done" else step.code or step.status
    if step.width is not None:
        line = f"{line} · map of {step.width:,}"
    hover = f"{step.id}: {step.tool}\n{step.status} {step.code}".rstrip()
    if step.outcome.error:
        hover += f"\n{step.outcome.error.message[:300]}"
    return _Box(
        head=step.id,
        name=step.tool,
        line=line,
        status=step.status,
        counts={step.status: 1},
        critical=step.critical,
        hover=f"{hover}\nran {took}" if took else hover,
    )


def _grouped(
    steps: Sequence[StepView],
) -> tuple[list[_Box], list[list[int]], list[int], dict[tuple[int, int], int], str]:
    """Boxes for groups, their threads, the group of each step, the thickness of threads, a note."""
    group_of, members, per_band = _groups(steps)
    weights: dict[tuple[int, int], int] = {}
    bands = [band for band, _ in members]
    for step in steps:
        for source in step.before:
            pair = group_of[source], group_of[step.place]
            if bands[pair[0]] < bands[pair[1]]:
                weights[pair] = weights.get(pair, 0) + 1
    thick = sorted(weights, key=lambda pair: (-weights[pair], pair))[:MAX_THREADS]
    before: list[list[int]] = [[] for _ in members]
    for source, target in sorted(thick):
        before[target].append(source)
    boxes = [_group_box([steps[place] for place in places]) for places in members.values()]
    note = (
        f"{count(len(steps), 'step')} are too many to draw one by one: a box stands for the steps "
        "of one tool "
        + ("at one depth" if per_band == 1 else f"within {per_band:,} neighbouring depths")
        + ", a thicker thread for more references."
    )
    if len(weights) > len(thick):
        note += f" The {len(thick)} thickest of {len(weights):,} threads are shown."
    return boxes, before, group_of, {pair: weights[pair] for pair in thick}, note


def _groups(
    steps: Sequence[StepView],
) -> tuple[list[int], dict[tuple[int, str], list[int]], int]:
    """The group of each step; the groups by band, with their members; the depths in a band."""
    depth = depths([step.before for step in steps])
    per_band = max(depth) // MAX_BANDS + 1
    found: dict[tuple[int, str], list[int]] = {}
    for step in steps:
        found.setdefault((depth[step.place] // per_band, step.tool), []).append(step.place)
    members: dict[tuple[int, str], list[int]] = {}
    tools_of: dict[int, int] = {}
    for (band, tool), places in sorted(found.items(), key=lambda it: (it[0][0], -len(it[1]))):
        tools_of[band] = tools_of.get(band, 0) + 1
        name = tool if tools_of[band] < MAX_TOOLS else ""
        members.setdefault((band, name), []).extend(places)
    group_of = [0] * len(steps)
    for group, places in enumerate(members.values()):
        for place in places:
            group_of[place] = group
    return group_of, members, per_band


def _group_box(steps: list[StepView]) -> _Box:
    counts = tally(step.status for step in steps)
    tools = {step.tool for step in steps}
    worst = next((status for status in _WORST_FIRST if status in counts), "done")
    words = status_words(counts)
    name = steps[0].tool if len(tools) == 1 else f"{len(tools):,} tools"
    return _Box(
        head=f"×{len(steps):,}",
        name=name,
        line=words if len(counts) > 1 else next(iter(counts)),
        status=worst,
        counts=counts,
        critical=any(step.critical for step in steps),
        hover=f"{name}: {words}",
    )


_WORST_FIRST = ("failed", "unknown", "denied", "hole", "cancelled", "skipped", "running", "ready",
                "waiting", "done")  # fmt: skip


# -- drawing -------------------------------------------------------------------------------------


def _draw(
    boxes: Sequence[_Box],
    layout: Layout,
    weights: dict[tuple[int, int], int],
    path: set[tuple[int, int]],
    words: str,
) -> Markup:
    column_of = {node: x for x, column in enumerate(layout.columns) for node in column}
    at: dict[int, tuple[float, float]] = {
        node: (MARGIN + column * (WIDTH + GAP_X), MARGIN + layout.y[node] * PITCH + HEIGHT / 2)
        for node, column in column_of.items()
    }
    width = 2 * MARGIN + len(layout.columns) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max(layout.y, default=0.0) * PITCH + HEIGHT
    body = [*_threads(layout, weights, path, at)]
    body += [_box(box, *at[node]) for node, box in enumerate(boxes)]
    return drawing("graph", "The plan as a graph", words, width, height, join(body))


def _threads(
    layout: Layout,
    weights: dict[tuple[int, int], int],
    path: set[tuple[int, int]],
    at: dict[int, tuple[float, float]],
) -> list[Markup]:
    """The links; first all ordinary ones, then the thick ones, then those of the critical path."""
    marked: set[tuple[int, int]] = set()
    heavy: dict[tuple[int, int], int] = {}
    for (source, target), route in layout.routes.items():
        pairs = list(pairwise(route))
        if (source, target) in path:
            marked.update(pairs)
        for pair in pairs:
            heavy[pair] = heavy.get(pair, 0) + weights.get((source, target), 1)
    out: list[Markup] = []
    if weights:
        out += [
            _thread([pair], at, layout.nodes, "thread", 1 + 0.5 * heavy[pair].bit_length())
            for pair in layout.links
            if pair not in marked
        ]
    else:
        rest = [pair for pair in layout.links if pair not in marked]
        out += [_thread(rest, at, layout.nodes, "thread", None)] if rest else []
    if marked:
        out.append(_thread(sorted(marked), at, layout.nodes, "thread critical", None))
    return out


def _thread(
    pairs: Sequence[tuple[int, int]],
    at: dict[int, tuple[float, float]],
    nodes: int,
    kind: str,
    stroke: float | None,
) -> Markup:
    """A path through some links; a bend is crossed on the level."""
    parts: list[str] = []
    for source, target in pairs:
        (x, y), (to_x, to_y) = at[source], at[target]
        x += WIDTH
        half = (x + to_x) / 2
        parts.append(
            f"M{x:.0f} {y:.1f}C{half:.0f} {y:.1f} {half:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
        )
        if target >= nodes:
            parts.append(f"h{WIDTH}")
    return tag("path", d="".join(parts), class_=kind, stroke_width=stroke)


def _box(box: _Box, x: float, middle: float) -> Markup:
    y = middle - HEIGHT / 2
    head = fitted(box.head, 9)
    kind = f"node s-{box.status}" + (" critical" if box.critical else "")
    return tag(
        "g",
        tag("title", box.hover),
        tag("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=7, class_="face"),
        *_stripe(box.counts, x + 5, y + 9),
        tag(
            "text",
            tag("tspan", head, class_="head"),
            tag("tspan", fitted(box.name, 20 - len(head)), class_="name", dx=6),
            x=x + 14,
            y=y + 19,
        ),
        tag(
            "text",
            tag("tspan", ICONS[box.status], class_="icon"),
            tag("tspan", fitted(box.line, 22), dx=5),
            x=x + 14,
            y=y + 36,
            class_="small",
        ),
        class_=kind,
    )


def _stripe(counts: dict[str, int], x: float, y: float) -> list[Markup]:
    """The colours of the statuses, in proportion; each is tall enough to be seen."""
    tall = HEIGHT - 18.0
    least = 3.0
    spare = tall - least * len(counts)
    total = sum(counts.values())
    out: list[Markup] = []
    for status, number in counts.items():
        part = least + spare * number / total
        out.append(tag("path", d=f"M{x:.1f} {y:.1f}v{part:.1f}", class_=f"edge s-{status}"))
        y += part
    return out
