r"""The Python dialect: a restricted Python program, read statement by statement, never executed.

    pages = [search(name) for name in ["Mars", "Venus"]]        a map
    mass  = float(extract(pages[0], "mass in kg"))              a call, and a conversion
    if mass > 1e24:                                             a guard
        note = look_up("heavy planets", topic=pages[0]["title"])
    f"It weighs {mass} kg"                                      the last line is the answer

Statements are assignments, calls, `if`, and a last line that is the plan's output (an expression,
`print(x)` or `return x`); without one, a variable called `answer`, `result` or `final…` is. How
expressions become steps is written in `python_steps`; pure ones are the language of `compute`
(`heddle.plan.expression`). `inputs["mail"]` is what the caller passed. Everything else is refused
with its line, column and a remedy; where it would have given a name a value, it leaves a hole.

A statement is final when its line ends; an `if`, when a line begins that is not part of it. The
text is parsed with `ast.parse`, which executes nothing, one statement at a time.

>>> reader = PythonReader()
>>> [step.id for step in reader.feed('x = search("a")\ny = extract(search("b"), x)\n')]
['x', '_1', 'y']
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING, cast

from heddle.plan.dialects.python.lines import Statement, Statements
from heddle.plan.dialects.python.names import fits, id_for
from heddle.plan.dialects.python.scope import Scope
from heddle.plan.dialects.python.statements import Block, assigned_names
from heddle.plan.dialects.python.trees import Refused, split_number
from heddle.plan.dialects.python.writing import Writer
from heddle.plan.dialects.reading.cursor import SNIPPET, Cursor, Reading
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Origin, Ref, Step, Template

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from heddle.plan.dialects import Piece
    from heddle.plan.ir import Plan

__all__ = ["PythonReader", "fits", "id_for", "likely", "reader", "write"]

MAX_STATEMENT = 65_536
"""Characters of one statement."""

MAX_BRACKETS = 60
MAX_DEPTH = 80
"""How deep the tree of a statement may nest."""

_TARGETS = re.compile(
    r"(?P<names>[^\W\d]\w*+(?:\s*+,\s*+[^\W\d]\w*+)*+)\s*+(?::[^=\n]{1,60})?=(?!=)"
)
_COUNTED = re.compile(
    r"(?:([^\W\d]\w*+)\s*+(?:\+\+|--)|(?:\+\+|--)([^\W\d]\w*+))[\s;]*+(?:#.*)?\n?"
)
_ANSWER = re.compile(r"(?:final_?)?(?:answer|result)|final(?:_\w+)?")
_HINT = "write assignments of calls, such as x = search(y), one on each line"


class PythonReader(Reading):
    """One reading of one text.

    Args:
        round: the round of the plan.
        earlier: ids of earlier rounds, by the variable's name.
    """

    def __init__(self, *, round: int = 1, earlier: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.scope = Scope(round, earlier)
        self._steps: list[tuple[Step, ast.AST]] = []
        self._block = Block(self.scope, lambda step, node: self._steps.append((step, node)))
        self._statement: Statement | None = None
        self._any = False  # steps were given
        self._named: str | None = None  # the variable that is the answer if no line says so

    def _read(self) -> Generator[None, None, None]:
        yield from Statements(self._cursor, self._take).read()

    def read_on(self, text: str) -> list[Piece]:
        """Take whole statements, as if each was known to be final; for whoever writes programs."""
        cursor = Cursor()
        cursor.feed(text)
        cursor.end()
        for _ in Statements(cursor, self._take, fenced=True).read():
            pass
        pieces, self._pieces = self._pieces, []
        return pieces

    # -- one statement

    def _take(self, statement: Statement) -> None:
        """Lower a statement, or say why not."""
        self._statement = statement
        try:
            body = self._parsed(statement)
        except Refused as refused:
            if statement.sure or self._is_counted(statement.text):
                self._refuse(refused, None)
            return
        for node in body:
            if statement.sure or self._is_meant(node):
                self._lower(node)

    def _parsed(self, statement: Statement) -> list[ast.stmt]:
        """The trees of a statement's text: more than one with `;`.

        Raises:
            Refused: it cannot be read.
        """
        place = ast.Pass(lineno=1, col_offset=0)
        text = statement.text.replace("\r", " ").rstrip("\n") + "\n\n"
        if len(text) > MAX_STATEMENT:
            message = f"a statement is longer than {MAX_STATEMENT} characters"
            raise Refused(place, message, "split it", "text-too-large")
        if statement.depth > MAX_BRACKETS:
            raise Refused(place, "brackets nest too deeply", "split it", "nesting-too-deep")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "invalid escape sequence", and the like
                # "single": for a whole file, CPython opens the file's name to show a bad line
                body = ast.parse(text, mode="single").body
        except SyntaxError as error:
            place = ast.Pass(lineno=error.lineno or 1, col_offset=max(0, (error.offset or 1) - 1))
            if not statement.whole:
                message = "a bracket or a text was never closed"
                raise Refused(place, message, "close it on its own line", "unclosed-call") from None
            said = (error.msg or "").partition("\n")[0] or "it is no Python"
            raise Refused(place, f"it cannot be read: {said}", _HINT, "bad-python") from None
        except (ValueError, MemoryError, RecursionError) as error:
            if isinstance(error, ValueError):
                message = "it holds a null byte, half a character or a huge number"
                raise Refused(place, message, "remove it", "bad-text") from None
            raise Refused(place, "it nests too deeply", "split it", "nesting-too-deep") from None
        _check_depth(body)
        _check_numbers(body)
        return body

    def _is_meant(self, node: ast.stmt) -> bool:
        """Whether a line that could be prose is part of the program."""
        if isinstance(node, ast.AnnAssign):
            return node.value is not None  # not "Note: done"
        if not isinstance(node, ast.Expr):
            return not isinstance(node, (ast.Break, ast.Continue))
        value = node.value
        if isinstance(value, ast.Name):
            return self.scope.get(value.id) is not None
        if isinstance(value, ast.Constant):
            return isinstance(value.value, str) or self._any
        parts = list(ast.walk(value))
        if isinstance(value, (ast.IfExp, ast.ListComp)) and any(_is_call(each) for each in parts):
            return True
        names = [each for each in parts if isinstance(each, ast.Name)]
        return isinstance(value, ast.JoinedStr) or any(
            self.scope.get(each.id) is not None for each in names
        )

    def _is_counted(self, text: str) -> bool:
        """Whether a line is `x++`, which changes a variable in other languages."""
        found = _COUNTED.fullmatch(text)
        return found is not None and self.scope.get(found[1] or found[2]) is not None

    def _lower(self, node: ast.stmt) -> None:
        """Give back the steps of one tree, or a hole for each name that it would have given."""
        self._steps.clear()
        self.scope.begin()
        try:
            self._block.take(node)
        except Refused as refused:
            self._take_back()
            self._refuse(refused, node)
            return
        self.scope.keep()
        self._give(node)
        self._remember(node)

    def _take_back(self) -> None:
        """Forget what a statement did before it was refused."""
        self.scope.undo()
        for step, _ in reversed(self._steps):
            self.scope.release(step.id)
        self._steps.clear()

    def _give(self, node: ast.stmt) -> None:
        note = self._statement.note if self._statement else ""
        self._any = self._any or bool(self._steps)
        for step, at in self._steps:
            origin = self._place(at if hasattr(at, "lineno") else node)
            last = step is self._steps[-1][0]
            self._emit(
                Step(
                    step.id, step.tool, step.args, over=step.over, when=step.when,
                    note=note if last else "", origin=origin,
                )
            )  # fmt: skip
        self._steps.clear()
        if self._block.needless:
            message, self._block.needless = self._block.needless, ""
            self._emit(self._finding(node, "needless-python", message, "leave it out"))

    def _remember(self, node: ast.stmt) -> None:
        """Keep the name of a variable that can be the answer."""
        for name in assigned_names(node):
            if _ANSWER.fullmatch(name):
                self._named = name

    # -- faults

    def _refuse(self, refused: Refused, node: ast.stmt | None) -> None:
        statement = cast("Statement", self._statement)
        names = assigned_names(node) if node is not None else _names_in(statement.text)
        self._block.last = None
        finding = self._finding(refused.node, refused.code, refused.message, refused.hint)
        if not names and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            names = [""]
        if not names:
            self._emit(finding)
        for name in names:
            id = self.scope.id(name)
            origin = self._place(node) if node is not None else statement.origin
            own = self._finding(refused.node, refused.code, refused.message, refused.hint, id)
            self._emit(Hole(id, statement.text.rstrip(), (own,), origin))
            if name:
                self.scope.put(name, Ref(id))
                if _ANSWER.fullmatch(name):
                    self._named = name

    def _finding(
        self, node: ast.AST, code: str, message: str, hint: str, step: str = ""
    ) -> Finding:
        origin = self._place(node)
        lines = cast("Statement", self._statement).text.split("\n")
        line = min(max(0, origin.line - cast("Statement", self._statement).origin.line), len(lines))
        snippet = lines[min(line, len(lines) - 1)].strip()[:SNIPPET]
        return Finding.at(origin, code, message, hint=hint, snippet=snippet, step=step)

    def _place(self, node: ast.AST) -> Origin:
        """Where a node stands; `ast` counts columns in bytes of UTF-8."""
        statement = cast("Statement", self._statement)
        number, offset = int(getattr(node, "lineno", 1)), int(getattr(node, "col_offset", 0))
        lines = statement.text.split("\n", number)
        line = lines[min(number, len(lines)) - 1]
        before = line.encode("utf-8", "replace")[:offset].decode("utf-8", "ignore")
        column = len(before) + 1 + (statement.indent if number > 1 else statement.origin.column - 1)
        return Origin(statement.origin.line + number - 1, column)

    # -- the end

    @property
    def has_answer(self) -> bool:
        """Whether a variable is called as an answer is."""
        return self._named is not None

    def _finish(self) -> None:
        """Say what the answer is: the last line's value, or a variable that is called so."""
        output = self._block.last
        if output is None and self._named is not None and not self._block.silent:
            output = self.scope.get(self._named)
        if output is not None and not isinstance(output, (Ref, Template, str)):
            output = self._block.settled(output)
            self._give(ast.Pass(lineno=1, col_offset=0))
        is_text = isinstance(output, str) and not self._any  # a lone text is no program
        self.output = None if is_text else output


def _names_in(text: str) -> list[str]:
    """The names that a statement that cannot be read would give values to."""
    found = _TARGETS.match(text)
    return [name.strip() for name in found["names"].split(",")] if found else []


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))


def _check_depth(body: list[ast.stmt]) -> None:
    """Refuse a tree that nests too deeply, without recursion.

    Raises:
        Refused: it does.
    """
    level: list[ast.AST] = list(body)
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            place = next((each for each in level if hasattr(each, "lineno")), body[0])
            raise Refused(place, "it nests too deeply", "split it", "nesting-too-deep")
        level = [child for each in level for child in ast.iter_child_nodes(each)]


def _check_numbers(body: list[ast.stmt]) -> None:
    """Refuse `12,500` where Python has two numbers, and whoever wrote it one.

    Raises:
        Refused: there is one.
    """
    split = split_number(body)
    if split is not None:
        hint = "write 12500 or 12_500; a list has blanks between its elements"
        raise Refused(split, "a comma makes two numbers of one", hint, "split-number")


def reader(*, round: int = 1, earlier: Mapping[str, str] | None = None) -> PythonReader:
    """Start a reading."""
    return PythonReader(round=round, earlier=earlier)


def write(plan: Plan) -> str:
    """A plan as a program, whose last line is the output.

    Raises:
        ValueError: a part that the dialect cannot express; the message says which.
    """
    strip = "" if plan.round == 1 else f"{plan.round}."
    return Writer(reader(round=plan.round), strip).write(plan)


_FENCED = re.compile(
    r"^[ \t]*+```[ \t]*+(?:python|py)\b[^\n]*\n((?:(?!```)[^\n]*+\n?)*+)",
    re.MULTILINE | re.IGNORECASE,
)
_ASSIGNED = re.compile(r"[^\W\d]\w*+(?:\s*+,\s*+[^\W\d]\w*+)*+(?:\s*+:\s*+\w++)?\s*+=(?!=)\s*+\S")
_CALLED = re.compile(r"(?:await\s++)?[^\W\d][\w.]*+\([^\n|]*\)\s*+(?:#.*)?")
_EQUATION = re.compile(
    r"\(?(?:[0-9][\w.]*+|[^\W\d]\w*+\s*+[-+*/](?![*/]?=))[^=\n\"'#<>!(]{0,80}=(?!=)"
    r"|[^\W\d]\w*+\s*+=[^=\n\"'#a-zA-Z]{0,80}(?:<<|[0-9]\s++(?!(?:if|and|or|in|is|not)\b)[a-zA-Z])"
)  # mathematics in prose: 2x = 8, x + 3 = 5, x = 4 cards
_BLOCK = re.compile(r"(?:if|elif|else|for)\b[^\n]*:\s*+$")
_INDENTED = (" ", "\t", "#", ")", "]", "}", "`")


def likely(text: str) -> float:
    """How much a text looks like this dialect: what share of its lines are assignments."""
    fenced = _FENCED.search(text)
    lines = [
        line
        for line in (fenced[1] if fenced else text).splitlines()
        if line.strip() and not line.startswith(_INDENTED)
    ]
    if not lines:
        return 0.0
    equations = sum(_EQUATION.match(line) is not None for line in lines)
    assigned = sum(_ASSIGNED.match(line) is not None for line in lines) - equations
    called = sum(_CALLED.fullmatch(line) is not None for line in lines)
    blocks = sum(_BLOCK.match(line) is not None for line in lines)
    share = (assigned + called + blocks) / len(lines)
    if assigned > 0:
        return 0.93 if fenced else 0.4 + 0.45 * share
    return 0.4 * share if called == len(lines) else 0.0
