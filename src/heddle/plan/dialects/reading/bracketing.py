"""Writes the calls that `bracketed` reads: `Tool[text]` where it can, else `tool("text", k=3)`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import NODE_KEYS
from heddle.plan.dialects.llmcompiler.writing import path_text
from heddle.plan.dialects.reading.bracketed import GIVEN, TOOL, arguments_in, with_inputs
from heddle.plan.dialects.reading.closing import closes
from heddle.plan.dialects.reading.literal import NESTING, Fault, number_text
from heddle.plan.dialects.reading.names import INPUT
from heddle.plan.ir import Input, Ref, Template, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heddle.plan.ir import Value

__all__ = ["Inputs", "Spoken", "call_written"]

_NAME = re.compile(TOOL)
_INPUT = re.compile(INPUT)
_KEYWORD = re.compile(r"[^\W\d][\w-]*+")
_UNSAFE = re.compile(r"""[\\"()\[\]{}$#\x00-\x1f\x7f-\x9f\u2028\u2029]""")
_EXTENDS = re.compile(r"[\w.\[]")


class Spoken:
    """What a dialect says of references; one that has none says nothing.

    Args:
        name: of the dialect.
    """

    mention: re.Pattern[str] | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    def said(self, node: Ref | Input) -> str:
        """A reference, as text.

        Raises:
            ValueError: the dialect cannot say it.
        """
        raise ValueError(f"the {self.name} dialect has no references to steps here")

    def render(self, raw: str, read: Callable[[str], str]) -> Value:
        """What a text means when it is read."""
        return read(raw)


class Inputs(Spoken):
    """A dialect that can name the caller's data."""

    mention = GIVEN

    def said(self, node: Ref | Input) -> str:
        """An input, as text.

        Raises:
            ValueError: it is a step, or its name cannot be said.
        """
        if isinstance(node, Ref):
            return super().said(node)
        if not _INPUT.fullmatch(node.name):
            raise ValueError(f"the {self.name} dialect cannot name the input {node.name!r}")
        return f"${{input.{node.name}{path_text(node.path, chr(39))}}}"

    def render(self, raw: str, read: Callable[[str], str]) -> Value:
        """What a text means when it is read, with the inputs in it."""
        return with_inputs(raw, read)


def call_written(tool: str, args: Mapping[str, Value], spoken: Spoken) -> str:
    """A call, so that reading it gives the same tool and arguments.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    if not _NAME.fullmatch(tool):
        raise ValueError(f"{tool!r} cannot be the name of a tool")
    bare = _bare(args["0"], spoken) if set(args) == {"0"} else None
    return f"{tool}[{bare}]" if bare is not None else f"{tool}({', '.join(_items(args, spoken))})"


def _bare(value: Value, spoken: Spoken) -> str | None:
    """One text without quotes, if it would be read back as what it is."""
    pieces: list[str] = []
    for part in value.parts if isinstance(value, Template) else (value,):
        if isinstance(part, (Ref, Input)):
            pieces.append(spoken.said(part))
        elif isinstance(part, str):
            pieces.append(part)
        else:
            return None
    text = "".join(pieces)
    if "\n" in text or text != text.strip() or closes(text + "]", "[") != len(text):
        return None
    try:
        read = arguments_in(text, spoken.render, mention=spoken.mention)
    except Fault:
        return None
    return text if read == {"0": value} and type(read["0"]) is type(value) else None


def _items(args: Mapping[str, Value], spoken: Spoken) -> list[str]:
    positional: list[str] = []
    while str(len(positional)) in args:
        positional.append(_value(args[str(len(positional))], spoken, 0))
    if len(args) == 1 and positional and isinstance(args["0"], dict):
        return [f"{positional[0]},"]  # an object alone would be read as the arguments' names
    named: list[str] = []
    for name, value in args.items():
        if _KEYWORD.fullmatch(name):
            named.append(f"{name}={_value(value, spoken, 0)}")
        elif not (name.isdecimal() and int(name) < len(positional) and str(int(name)) == name):
            raise ValueError(f"{name!r} cannot be the name of an argument")
    return positional + named


def _value(value: Value, spoken: Spoken, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, (Ref, Input)):
        return spoken.said(value)
    if isinstance(value, Template):
        return _template(value, spoken)
    if not isinstance(value, (list, dict)):
        raise ValueError(f"the {spoken.name} dialect has no {type(value).__name__}")
    if depth >= NESTING:
        raise ValueError(f"a value nests deeper than {NESTING}")
    if isinstance(value, dict):
        return _object(cast("dict[str, Any]", value), spoken, depth)
    items = cast("list[Any]", value)
    return f"[{', '.join(_value(item, spoken, depth + 1) for item in items)}]"


def _object(value: dict[str, Any], spoken: Spoken, depth: int) -> str:
    if not NODE_KEYS.isdisjoint(value) and next(nodes_of(value), None):
        raise ValueError("a literal that looks like a node cannot hold a reference")
    items = [f'"{_escaped(key)}": {_value(item, spoken, depth + 1)}' for key, item in value.items()]
    return f"{{{', '.join(items)}}}"


def _template(template: Template, spoken: Spoken) -> str:
    """A text with references; one that would be read back as another value is refused."""
    parts = template.parts
    texts = [isinstance(part, str) for part in parts]
    side_by_side = any(map(bool.__and__, texts, texts[1:]))
    if "" in parts or len(parts) < 2 or all(texts) or side_by_side:
        raise ValueError("a template that is no text with references in it")
    out: list[str] = []
    for place, part in enumerate(parts):
        if isinstance(part, str):
            extends = place > 0 and _EXTENDS.match(part)
            out.append(f"\\U{ord(part[0]):08x}{_escaped(part[1:])}" if extends else _escaped(part))
        elif isinstance(part, (Ref, Input)):
            out.append(spoken.said(part))
        else:
            raise ValueError(f"the {spoken.name} dialect has no {type(part).__name__}")
    return f'"{"".join(out)}"'


def _escaped(text: str) -> str:
    """A text's content, with everything escaped that would be read as something else."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return "\\n" if char == "\n" else f"\\{char}" if char in '\\"' else f"\\u{ord(char):04x}"
