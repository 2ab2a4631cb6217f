"""The layout of graphs: columns, order, distances."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

from hypothesis import given
from hypothesis import strategies as st

from heddle.web.layering import BEND, depths, layered


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[int, ...]]:
    size = draw(st.integers(0, 24))
    return [
        tuple(sorted(draw(st.sets(st.integers(0, node - 1), max_size=4)))) if node else ()
        for node in range(size)
    ]


def test_a_diamond_has_three_columns_and_is_symmetric() -> None:
    layout = layered([(), (0,), (0,), (1, 2)])
    assert layout.columns == [[0], [1, 2], [3]]
    assert layout.y == [0.5, 0.0, 1.0, 0.5]


def test_nothing_has_no_columns() -> None:
    layout = layered([])
    assert (layout.columns, layout.y, layout.links) == ([], [], {})


_SOURCES = [(), (), (), (2,), (1,), (0,)]


def test_crossings_that_can_be_avoided_are_avoided() -> None:
    layout = layered(_SOURCES)
    left, right = layout.columns
    assert [before for node in right for before in _SOURCES[node]] == left


def test_a_long_edge_bends_once_in_each_column_between() -> None:
    layout = layered([(), (0,), (1,), (0, 2)])
    assert layout.routes[0, 3] == [0, 4, 5, 3]


def test_long_edges_of_one_node_share_their_bends() -> None:
    layout = layered([(), (0,), (1,), (0, 2), (0, 3)])
    assert layout.routes[0, 4][:3] == layout.routes[0, 3][:3]


@given(graphs())
def test_every_edge_points_to_the_right(before: list[tuple[int, ...]]) -> None:
    depth = depths(before)
    for node, sources in enumerate(before):
        assert depth[node] == max((depth[source] + 1 for source in sources), default=0)


@given(graphs())
def test_every_node_and_bend_has_one_place(before: list[tuple[int, ...]]) -> None:
    layout = layered(before)
    placed = [node for column in layout.columns for node in column]
    assert sorted(placed) == list(range(len(layout.y)))
    assert min(layout.y, default=0.0) == 0.0


@given(graphs())
def test_routes_go_from_column_to_column_along_links(before: list[tuple[int, ...]]) -> None:
    layout = layered(before)
    column_of = {node: x for x, column in enumerate(layout.columns) for node in column}
    assert set(layout.routes) == {(s, t) for t, sources in enumerate(before) for s in sources}
    for route in layout.routes.values():
        for pair in pairwise(route):
            assert pair in layout.links
            assert column_of[pair[1]] == column_of[pair[0]] + 1


@given(graphs())
def test_neighbours_keep_their_distance(before: list[tuple[int, ...]]) -> None:
    layout = layered(before)
    for column in layout.columns:
        for upper, lower in pairwise(column):
            room = sum(1.0 if node < layout.nodes else BEND for node in (upper, lower)) / 2
            assert layout.y[lower] - layout.y[upper] >= room - 1e-6


def test_the_largest_graph_that_is_drawn_step_by_step_is_quick() -> None:
    before = [
        tuple({node - 1, node // 2, node // 3} - {node}) if node else () for node in range(200)
    ]
    started = perf_counter()
    layered(before)
    assert perf_counter() - started < 5  # it takes a fraction of a second
