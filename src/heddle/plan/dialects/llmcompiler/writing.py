"""Plans as text of the LLMCompiler dialect: `N. tool("text", name=$1)`, `join()` last.

Reading what is written here gives the same plan. What cannot be read back is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from heddle.plan.canonical import NODE_KEYS
from heddle.plan.dialects.reading.literal import NESTING, number_text
from heddle.plan.dialects.reading.names import INPUT
from heddle.plan.dialects.reading.unsaid import refuse_unsaid
from heddle.plan.ir import Choose, Input, Item, Ref, Step, Template, nodes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from heddle.plan.ir import Path, Plan, Value

__all__ = ["fits", "id_for", "path_text", "write"]

_ID = re.compile(r"0|[1-9][0-9]{0,8}")
_TOOL = re.compile(r"[^\W\d][\w.\-]*+")
_KEYWORD = re.compile(r"[^\W\d][\w-]*+")
_INPUT = re.compile(INPUT)
_FIELD = re.compile(r"[^\W\d]\w*+")
_KEY = re.compile(r"""[^"'\\\]\[.\x00-\x1f\ud800-\udfff]++""")
_NOTE = re.compile(r"[^(<>\s][^(<>\n\r]{0,200}")
_UNSAFE = re.compile(r"""[\\"\x00-\x1f\x7f-\x9f\u2028\u2029]|\$(?=[0-9{]|input\.)""")
_PATH_LIKE = re.compile(r"\.[^\W\d]|\[")
_NUMBER_LIKE = re.compile(r"[.,]?[0-9]")


def fits(id: str) -> bool:
    """Whether a step can have that id: a number without leading zeros, of at most nine digits."""
    return _ID.fullmatch(id) is not None


def id_for(n: int) -> str:
    """The id of the n-th step, counted from 1: its number."""
    return str(n)


def write(plan: Plan) -> str:
    """A plan as numbered calls and a `join()`.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    if plan.holes:
        raise ValueError(f"step {plan.holes[0].id} is a hole: repair it first")
    known: set[str] = set()
    lines: list[str] = []
    for step in plan.steps:
        if _NOTE.fullmatch(step.note):
            lines.append(f"Thought: {step.note.rstrip()}")
        lines.append(_call(step, known))
        known.add(step.id)
    last = max((int(name) for name in known), default=0)
    return "\n".join([*lines, f"{last + 1}. join({_output(plan.output, known)})", ""])


def _output(output: Value, known: Set[str]) -> str:
    """What the answer is: a text with references in it, or a lone reference in quotes."""
    if output is None:
        return ""
    if isinstance(output, Template):
        return _template(output, known)
    if isinstance(output, Ref) and output.step in known:
        return f'"${{{output.step}{path_text(output.path, chr(39))}}}"'
    raise ValueError("the llmcompiler dialect can only say a text with references as the output")


def _call(step: Step, known: Set[str]) -> str:
    if not fits(step.id):
        raise ValueError(f"step {step.id!r}: the llmcompiler dialect numbers its steps")
    if not _TOOL.fullmatch(step.tool) or step.tool.lower() == "join":
        raise ValueError(f"step {step.id}: {step.tool!r} cannot be the name of a tool")
    refuse_unsaid(step, "llmcompiler")
    try:
        return f"{step.id}. {step.tool}({', '.join(_arguments(step.args, known))})"
    except ValueError as error:
        raise ValueError(f"step {step.id}: {error}") from None


def _arguments(args: Mapping[str, Value], known: Set[str]) -> list[str]:
    positional: list[str] = []
    while str(len(positional)) in args:
        positional.append(_value(args[str(len(positional))], known, 0))
    named: list[str] = []
    for name, value in args.items():
        if _KEYWORD.fullmatch(name):
            named.append(f"{name}={_value(value, known, 0)}")
        elif not (_ID.fullmatch(name) and int(name) < len(positional)):
            raise ValueError(f"{name!r} cannot be the name of an argument")
    return positional + named


def _value(value: Value, known: Set[str], depth: int) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return f'"{_text(value)}"'
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, Ref):
        return _reference(value)
    if isinstance(value, Template):
        return _template(value, known)
    if isinstance(value, Input):
        return f"${_input(value)}"
    if isinstance(value, (Item, Choose)):
        raise ValueError(f"the llmcompiler dialect has no {type(value).__name__}")
    if depth >= NESTING:
        raise ValueError(f"a value nests deeper than {NESTING}")
    if isinstance(value, dict):
        return _object(cast("dict[str, Any]", value), known, depth)
    items = [_value(item, known, depth + 1) for item in value]
    return f"[{', '.join(items)}]"


def _object(value: dict[str, Any], known: Set[str], depth: int) -> str:
    if not NODE_KEYS.isdisjoint(value) and next(nodes_of(value), None):
        raise ValueError("a literal that looks like a node cannot hold a reference")
    items = [f'"{_text(key)}": {_value(item, known, depth + 1)}' for key, item in value.items()]
    return f"{{{', '.join(items)}}}"


def _text(text: str) -> str:
    """A text's content, with everything escaped that would be read as something else."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return "\\n" if char == "\n" else f"\\{char}" if char in '\\"' else f"\\u{ord(char):04x}"


def _input(value: Input) -> str:
    if not _INPUT.fullmatch(value.name):
        raise ValueError(f"the llmcompiler dialect cannot name the input {value.name!r}")
    return f"input.{value.name}{path_text(value.path, chr(34))}"


def _reference(ref: Ref) -> str:
    if not fits(ref.step):
        raise ValueError(f"a reference to step {ref.step!r}, which is no number")
    return f"${ref.step}{path_text(ref.path, chr(34))}"


def path_text(path: Path, quote: str) -> str:
    """A path as it stands after a reference, with that quote around its odd keys.

    Raises:
        ValueError: a key or an index that no text can say.
    """
    return "".join(_key(key, quote) for key in path)


def _key(key: str | int, quote: str) -> str:
    if isinstance(key, int):
        if abs(key) >= 10**9:
            raise ValueError(f"the index {key} of a path is too large")
        return f"[{key}]"
    if _FIELD.fullmatch(key):
        return f".{key}"
    if not _KEY.fullmatch(key):
        raise ValueError(f"the key {key!r} of a path has characters that it cannot have")
    return f"[{quote}{key}{quote}]"


def _template(template: Template, known: Set[str]) -> str:
    """A text with references; one that would be read back as another value is refused."""
    out: list[str] = []
    parts = template.parts
    texts = [isinstance(part, str) for part in parts]
    side_by_side = any(map(bool.__and__, texts, texts[1:]))
    if "" in parts or len(parts) < 2 or all(texts) or side_by_side:
        raise ValueError("a template that is no text with references in it")
    for place, part in enumerate(parts):
        if isinstance(part, str):
            text = _text(part)
            looks_like_path = place > 0 and _PATH_LIKE.match(text)
            out.append(f"\\u{ord(text[0]):04x}{text[1:]}" if looks_like_path else text)
        elif isinstance(part, Input):
            out.append(f"${{{_input(part)}}}")
        elif not isinstance(part, Ref):
            raise ValueError(f"the llmcompiler dialect has no {type(part).__name__}")
        elif part.step not in known:
            raise ValueError(f"a text refers to step {part.step!r}, which is no earlier step")
        else:
            after = parts[place + 1] if place + 1 < len(parts) else ""
            braced = part.path or (isinstance(after, str) and _NUMBER_LIKE.match(after))
            bare = f"{part.step}{path_text(part.path, chr(39))}"
            out.append(f"${{{bare}}}" if braced else f"${bare}")
    return f'"{"".join(out)}"'
