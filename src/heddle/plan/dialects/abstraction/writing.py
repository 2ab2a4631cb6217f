"""Plans as abstract chains: the output's prose, with a bracket where each result first stands.

Steps that the prose does not name in their order stand before it, one on a line. Each step takes
the plainest bracket that reads back as the same step; the `FUNC` form can say any call. Reading
what is written here gives the same plan; what cannot be read back is refused.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import canonical_bytes, canonical_text, encode, sound
from heddle.plan.dialects import parse
from heddle.plan.dialects.abstraction.brackets import bracket_of, call_of
from heddle.plan.dialects.reading.literal import Fault
from heddle.plan.dialects.reading.names import INPUT, Names, Place
from heddle.plan.dialects.reading.unsaid import refuse_unsaid
from heddle.plan.ir import Input, Origin, Plan, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heddle.plan.ir import Path, Value

__all__ = ["fits", "id_for", "write"]

_ID = re.compile(r"[a-z]{1,8}[0-9]{1,4}")
_TOOL = re.compile(r"[^\W\d][\w.\-]*+")
_KEYWORD = re.compile(r"[^\W\d][\w-]*+")
_FIELD = re.compile(r"[^\W\d]\w*+")
_KEY = re.compile(r"""[^"'\\\]\[.\x00-\x1f\ud800-\udfff]++""")
_UNSAFE = re.compile(r"\\.|[\[\]\x7f-\x9f\u2028\u2029]|[A-Za-z](?=_?\{?[0-9])|\$(?=\{?input\.)")


def fits(id: str) -> bool:
    """Whether the text can carry this step id: small letters and a number, as in `y1`."""
    return bool(_ID.fullmatch(id))


def id_for(n: int) -> str:
    """The dialect's own id of the n-th step, from 1."""
    return f"y{n}"


def write(plan: Plan) -> str:
    """A plan as an abstract chain.

    A plan without an output is written as brackets alone, which read back as no output.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    if not plan.steps:
        raise ValueError("an abstract chain has at least one step")
    brackets = list(_brackets(plan.steps))
    if plan.output is None:
        return _checked(plan, ["\n".join([*brackets, ""])])
    parts = _output_parts(plan.output)
    ids = [step.id for step in plan.steps]
    first = _inline_from(ids, parts)
    texts = [_chain(ids, brackets, parts, from_) for from_ in dict.fromkeys((first, len(ids)))]
    return _checked(plan, texts)


def _checked(plan: Plan, texts: Sequence[str]) -> str:
    """The first text that reads back as the plan.

    Raises:
        ValueError: none does.
    """
    wanted = canonical_text(Plan(plan.steps, output=plan.output))
    for text in texts:
        found = parse(text, "abstraction")
        errors = [item for item in found.findings if item.severity == "error"]
        if not errors and canonical_text(found) == wanted:
            return text
    raise ValueError("the output holds words or brackets that an abstract chain would read as more")


# -- the prose -------------------------------------------------------------------------------------


def _output_parts(output: Value) -> tuple[str | Ref | Input, ...]:
    if isinstance(output, Ref):
        return (output,)
    if isinstance(output, Template) and not any(
        not isinstance(part, (str, Ref, Input)) for part in output.parts
    ):
        return cast("tuple[str | Ref | Input, ...]", output.parts)
    raise ValueError("an abstract chain can only say a text with references as the output")


def _inline_from(ids: Sequence[str], parts: Sequence[str | Ref | Input]) -> int:
    """From which step on all stand in the prose, in their order and as a whole."""
    places: dict[str, int] = {}
    for place, part in enumerate(parts):
        if isinstance(part, Ref):
            places.setdefault(part.step, -1 if part.path else place)
    following = len(parts)
    for number in range(len(ids) - 1, -1, -1):
        place = places.get(ids[number], -1)
        if not 0 <= place < following:
            return number + 1
        following = place
    return 0


def _chain(
    ids: Sequence[str], brackets: Sequence[str], parts: Sequence[str | Ref | Input], first: int
) -> str:
    """Brackets up to a step, one on a line; then the prose, with the others in their places."""
    waiting = dict(zip(ids[first:], brackets[first:], strict=True))
    out: list[str] = [f"{bracket}\n" for bracket in brackets[:first]]
    for place, part in enumerate(parts):
        if isinstance(part, Ref) and part.step in waiting:
            out.append(waiting.pop(part.step))
        else:
            out.append(part if isinstance(part, str) else _mention(part, *_around(parts, place)))
    return "".join([*out, "\n"])


def _around(parts: Sequence[Any], place: int) -> tuple[str, str]:
    """The characters before and after a part."""
    before = parts[place - 1] if place else ""
    after = parts[place + 1] if place + 1 < len(parts) else ""
    return (
        before[-1:] if isinstance(before, str) else "a",
        after[:1] if isinstance(after, str) else "a",
    )


def _mention(node: Ref | Input, before: str, after: str) -> str:
    """A reference in a text, in braces where it would not stand as a word."""
    if isinstance(node, Input):
        return f"${{{_input(node)}}}"
    if node.path or any(char == "_" or char.isalnum() for char in before + after):
        return f"{{{_reference(node)}}}"
    return _reference(node)


# -- brackets --------------------------------------------------------------------------------------


def _brackets(steps: Sequence[Step]) -> Iterator[str]:
    names = Names(1, None, "")
    for step in steps:
        if not fits(step.id):
            raise ValueError(f"step {step.id!r}: an abstract chain names its steps y1, y2, …")
        refuse_unsaid(step, "abstraction")
        try:
            yield _bracket(step, names)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"step {step.id}: {error}") from None
        names.add(step.id)


def _bracket(step: Step, names: Names) -> str:
    """The plainest bracket that reads back as the step."""
    wanted = canonical_bytes(encode(dict(step.args)))
    for form in (_maths, _operator, _function):
        content = form(step)
        if content is not None and _reads_back(content, step, wanted, names):
            return f"[{content}]"
    raise ValueError("the abstraction dialect cannot express its arguments")


def _reads_back(content: str, step: Step, wanted: bytes, names: Names) -> bool:
    bracket = bracket_of(content, names.__contains__)
    if bracket is None or bracket.name != step.id or bracket.stated:
        return False
    place = Place(step.id, step.id, Origin(1, 1), "")
    try:
        tool, args = call_of(bracket, names, place)
    except Fault:
        return False
    finally:
        names.findings.clear()
    return tool == step.tool and canonical_bytes(encode(args)) == wanted


def _maths(step: Step) -> str | None:
    """`[a * 2 = y2]` with symbols for the names of an expression."""
    values = step.args.get("values", {})
    expression = step.args.get("expression")
    if step.tool != "compute" or not isinstance(expression, str) or not isinstance(values, dict):
        return None
    nodes = cast("dict[str, Any]", values)
    if not all(isinstance(node, Ref) for node in nodes.values()):
        return None
    try:
        tree = _Naming(nodes).visit(ast.parse(expression, mode="eval"))
        return f"{ast.unparse(tree)} = {step.id}"
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


class _Naming(ast.NodeTransformer):
    """Puts references in the place of an expression's names."""

    def __init__(self, nodes: Mapping[str, Ref]) -> None:
        self._nodes = nodes

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The reference that a name stands for."""
        ref = self._nodes.get(node.id)
        if ref is None:
            return node
        found: ast.expr = ast.Name(ref.step, ast.Load())
        for key in ref.path:
            found = ast.Subscript(found, ast.Constant(key), ast.Load())
        return found


def _operator(step: Step) -> str | None:
    """`[text -Tool-> y1]` or `[text -Tool(own parameter)-> y1]`."""
    if not _TOOL.fullmatch(step.tool) or set(step.args) not in ({"0"}, {"0", "1"}):
        return None
    if "1" in step.args and not (
        isinstance(step.args["0"], str) and isinstance(step.args["1"], (Ref, Template))
    ):
        return None
    texts = [_text(step.args[key]) for key in sorted(step.args)]
    if any(text is None or "\n" in text for text in texts):
        return None
    own = f"({texts[0]})" if len(texts) == 2 else ""
    return f"{texts[-1]} -{step.tool}{own}-> {step.id}"


def _text(value: Value) -> str | None:
    """A text, a reference or a template as it stands in an operator's bracket."""
    parts: tuple[Any, ...] = value.parts if isinstance(value, Template) else (value,)
    if not all(isinstance(part, (str, Ref, Input)) for part in parts):
        return None
    text = "".join(
        part if isinstance(part, str) else _mention(part, *_around(parts, place))
        for place, part in enumerate(parts)
    )
    balanced = text.count("[") == text.count("]") == 0
    return text if balanced and text == text.strip() else None


def _function(step: Step) -> str:
    """`[FUNC tool(3, "text", name=y1) = y2]`."""
    if not _TOOL.fullmatch(step.tool):
        raise ValueError(f"{step.tool!r} cannot be the name of a tool")
    given: list[str] = []
    while str(len(given)) in step.args:
        given.append(_value(step.args[str(len(given))]))
    for name, value in step.args.items():
        if _KEYWORD.fullmatch(name):
            given.append(f"{name}={_value(value)}")
        elif not (name.isdecimal() and name == str(int(name)) and name in step.args):
            raise ValueError(f"{name!r} cannot be the name of an argument")
    return f"FUNC {step.tool}({', '.join(given)}) = {step.id}"


def _value(value: Value) -> str:
    if isinstance(value, Ref):
        return _reference(value)
    if isinstance(value, Input):
        return f"${_input(value)}"
    if isinstance(value, Template):
        return f'"{"".join(_piece(part) for part in value.parts)}"'
    if isinstance(value, str):
        return f'"{_piece(value)}"'
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return f"{{{', '.join(f'{_value(key)}: {_value(item)}' for key, item in pairs)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, cast('list[Any]', value)))}]"
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value, allow_nan=False)
    raise ValueError(f"the abstraction dialect has no {type(value).__name__}")


def _piece(part: Any) -> str:
    """A part of a quoted text, with everything escaped that would be read as something else."""
    if isinstance(part, str):
        return _UNSAFE.sub(_escaped, json.dumps(sound(part), ensure_ascii=False)[1:-1])
    if isinstance(part, (Ref, Input)):
        return _mention(part, "a", "a")
    raise ValueError(f"the abstraction dialect has no {type(part).__name__}")


def _escaped(found: re.Match[str]) -> str:
    """A character as its code; what JSON has escaped stays as it is."""
    return found[0] if found[0][0] == "\\" else f"\\u{ord(found[0]):04x}"


def _input(node: Input) -> str:
    if not re.fullmatch(INPUT, node.name):
        raise ValueError(f"the abstraction dialect cannot name the input {node.name!r}")
    return f"input.{node.name}{_path(node.path)}"


def _reference(ref: Ref) -> str:
    if not fits(ref.step):
        raise ValueError(f"a reference to step {ref.step!r}, which is no symbol")
    return f"{ref.step}{_path(ref.path)}"


def _path(path: Path) -> str:
    return "".join(_key(key) for key in path)


def _key(key: str | int) -> str:
    if isinstance(key, int):
        if abs(key) >= 10**9:
            raise ValueError(f"the index {key} of a path is too large")
        return f"[{key}]"
    if _FIELD.fullmatch(key):
        return f".{key}"
    if not _KEY.fullmatch(key):
        raise ValueError(f"the key {key!r} of a path has characters that it cannot have")
    return f"['{key}']"
