"""Looking up what the nodes of a plan stand for, while the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from heddle.engine.fill import ATOMS, fill, fresh, part
from heddle.engine.node import has_value
from heddle.errors import ToolFailed
from heddle.plan.ir import Choose, Input, Item, Ref, nodes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.map_run import Element
    from heddle.engine.node import Node
    from heddle.plan.ir import Step, Value

__all__ = ["Lookup", "NothingChosen"]


class NothingChosen(Exception):
    """All options of a choice were skipped, or the first that was not has no value.

    Attributes:
        code: the code of the step that is skipped for it.
    """

    def __init__(self, source: Node | None) -> None:
        super().__init__()
        self.code = "upstream-" + source.status if source else "nothing-to-choose"


class Lookup:
    """The values of a run: results by step, and the caller's inputs.

    Args:
        nodes: the scheduler's nodes, by id.
        inputs: the caller's data, by name.
    """

    def __init__(self, nodes: Mapping[str, Node], inputs: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._inputs = inputs

    def fill(self, step: Step) -> dict[str, Any]:
        """A step's arguments with values in the place of references.

        Raises:
            ToolFailed: a path leads nowhere, or an input is not there.
            NothingChosen: a choice has no option with a value.
        """
        look = self.look
        filled: dict[str, Any] = {}
        for name, value in step.args.items():
            kind = value.__class__
            if kind in ATOMS:
                filled[name] = value
            elif kind is Ref:
                filled[name] = look(value)
            elif kind is list:
                filled[name] = [
                    look(item) if item.__class__ is Ref else fill(item, look, 1) for item in value
                ]
            else:
                filled[name] = fill(value, look)
        return filled

    def fill_element(self, step: Step, item: Any) -> dict[str, Any]:
        """The arguments of a map's element; see `fill` for what it raises."""

        def look(node: Ref | Input | Item | Choose) -> Any:
            return self.item_part(item, node) if type(node) is Item else self.look(node)

        return {name: fill(value, look) for name, value in step.args.items()}

    def args_of(self, node: Node) -> dict[str, Any]:
        """The filled arguments of a node, be it a step or an element; see `fill`."""
        assert node.step is not None
        if node.element is None:
            return self.fill(node.step)
        return self.fill_element(node.step, cast("Element", node).item)

    def item_part(self, item: Any, node: Ref | Input | Item) -> Any:
        """What `$item` stands for, as a fresh copy.

        Raises:
            ToolFailed: the path leads nowhere.
        """
        return fresh(part(item, node.path, "the element"))

    def items(self, over: Value) -> list[Any]:
        """The list that a map runs over. It may be shared: do not change it.

        Raises:
            ToolFailed: it is no list (code `not-a-list`), or a path leads nowhere.
            NothingChosen: a choice has no option with a value.
        """
        if isinstance(over, Choose):
            over = self._chosen(over)
        if type(over) is Ref:
            found = part(self._nodes[over.step].value, over.path, f"the result of step {over.step}")
        else:
            found = fill(over, self.look)
        if type(found) is not list:
            raise ToolFailed(f"`over` must be a list, got {found!r:.60}", code="not-a-list")
        return cast("list[Any]", found)

    def settle_choices(self, step: Step) -> None:
        """Look whether each choice in a map's arguments has an option with a value.

        Raises:
            NothingChosen: one has none: the map as a whole is skipped.
        """
        for node in nodes_of(step.args):
            if isinstance(node, Choose):
                self._chosen(node)

    def look(self, node: Ref | Input | Item | Choose) -> Any:
        """What a node of the plan stands for, as a fresh copy; see `fill` for what it raises."""
        if node.__class__ is Ref and not node.path:  # type: ignore[union-attr]
            value = self._nodes[node.step].value  # type: ignore[union-attr]
        else:
            value = self.peek(node)
        return value if value.__class__ in ATOMS else fresh(value)

    def peek(self, node: Ref | Input | Item | Choose) -> Any:
        """What a node of the plan stands for. It may be shared: do not change it."""
        if type(node) is Ref:
            value = self._nodes[node.step].value
            if node.path:
                value = part(value, node.path, f"the result of step {node.step}")
            return value
        if isinstance(node, Input):
            if node.name not in self._inputs:
                raise ToolFailed(f"no input {node.name!r} was passed", code="unknown-input")
            return part(self._inputs[node.name], node.path, f"input {node.name}")
        if isinstance(node, Choose):
            return self.peek(self._chosen(node))
        raise ToolFailed("$item outside a map", code="item-outside-map")

    def _chosen(self, choice: Choose) -> Ref:
        for option in choice.options:
            source = self._nodes[option.step]
            if has_value(source):
                return option
            if source.status != "skipped":
                raise NothingChosen(source)
        raise NothingChosen(None)

    def render(self, value: Value) -> Any:
        """A value with its references replaced, when the run is over, as a fresh copy.

        A map that failed stands for what it has, null where an element has no value, where it is
        the whole of what is asked for.

        Raises:
            KeyError: a step it refers to does not exist, or has no value.
            ToolFailed: a path that leads nowhere.
        """

        def look(node: Ref | Input | Item | Choose) -> Any:
            if isinstance(node, Choose):
                try:
                    node = self._chosen(node)
                except NothingChosen as error:
                    raise KeyError(error.code) from None
            if isinstance(node, Ref) and not has_value(self._nodes[node.step]):
                raise KeyError(node.step)
            return self.look(node)

        if type(value) is Ref and (run := self._nodes[value.step].map) is not None and run.ended:
            return self._part_of_map(value)
        return fill(value, look)

    def _part_of_map(self, ref: Ref) -> Any:
        try:
            return self.look(ref)
        except ToolFailed:
            if has_value(self._nodes[ref.step]):
                raise
            raise KeyError(ref.step) from None  # the map has failed, and says why
