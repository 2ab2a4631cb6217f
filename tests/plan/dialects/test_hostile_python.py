"""Hostile programs: refused or inert. An audit hook sees that nothing happens because of the text.

`ast.parse` raises the audit event `compile`, by its nature: it asks the compiler for a tree and for
no code. It is allowed only with the file name that `ast.parse` gives; beside it, only our own use
of `id()` is. No code object is made, so none can be run: an `exec` event would show it.
"""

import json
import subprocess
import sys

import pytest

from heddle.plan.dialects import parse
from heddle.plan.ir import MISSING, Step

ATTRIBUTES = [
    "x = ().__class__", "x = ().__class__.__bases__[0].__subclasses__()", "x = ''.__class__.mro()",
    "x = (1).real", "x = [].append", "x = {}.__init__.__globals__", "y = f(1)\nx = y.secret",
    "y = f(1)\nx = y.__dict__", "y = f(1)\nx = y.a.b.c", "y = f(1)\nx = y.pop()",
    "y = f(1)\nx = y.__class__()", "x = f.__globals__['os']", "x = f.__call__(1)",
    "x = str.__subclasses__()", "x = type(1).__mro__", "x = (lambda: 1).__code__",
    "x = f(1).__class__.__base__", "x = [c for c in ().__class__.__base__.__subclasses__()]",
    "x = 'a'.join.__self__", "x = inputs.__class__", "x = inputs['a'].__class__",
    "f.x = 1", "y = f(1)\ny.x = 2", "y = f(1)\ny['a'] = 2", "del f.x", "x = max.__self__",
    "x = ''.encode('x')", "x = 'a'.translate({})", "x = 'a'.zfill(10**9)", "x = 'a'.ljust(10**9)",
]  # fmt: skip
FORMATS = [
    'x = "{0.__class__}".format(1)', 'x = "{0.__class__.__init__}".format(f(1))',
    'x = "{a.b}".format(a=f(1))', 'x = "{0[secret]}".format(f(1))', 'x = "{!r}".format(f(1))',
    'x = "{:{}}".format(1, 9)', 'x = "{:999999999}".format(1)', 'x = "%999999999d" % 1',
    'x = "%(a)s" % {"a": 1}', 'x = "%*d" % (99999999, 1)', 'x = "%c" % 65', 'x = "%r" % f(1)',
    "x = f'{1!r}'", "x = f'{1:{2}}'", "x = f'{().__class__}'", "x = f'{eval(1)}'",
    "x = f'{1:>99999999}'", "x = f'{__import__(\"os\")}'", "x = f'{(y := 1)}'",
    "x = f'{lambda: 1}'",
    "x = f'{[].__class__!s}'", "x = f'{f(1).__class__}'", "x = f'{*a}'", "x = f'{yield}'",
    "x = format(1, '99999999')", "x = format(f(1), '{}')", "x = 'a'.format_map({})",
    "x = f'{f'{f'{1}'}'}'", "x = '{' .format(1)", "x = '{0}{1}{2}'.format(1)", "x = f'{1:.99999f}'",
]  # fmt: skip
CALLS = [
    f"x = {name}('1')" for name in (
        "eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "delattr", "hasattr",
        "globals", "locals", "vars", "breakpoint", "builtins.eval", "os.__class__", "f.__call__",
        "__builtins__.eval", "__loader__.load_module", "x.__reduce__", "a.b.getattr",
    )
] + [
    "import os", "import os, sys", "from os import system", "from os import *", "import os as f",
    "from . import x", "from math import sqrt as f", "import math.os",
    "__import__('os').system('ls')",
    "eval = f", "x = [eval][0]('1')", "x = (f or eval)('1')", "x = {'a': eval}['a']('1')",
    "x = (eval)('1')", "x = f(eval)", "x = f(key=open)", "x = map(eval, ['1'])",
    "x = sorted(['1'], key=eval)", "x = sorted(['1'], key=f)", "x = max([1], key=print)",
    "x = f(*[1])", "x = f(**{'a': 1})", "x = f(f)(1)", "x = f(1)(2)", "x = (lambda: eval('1'))()",
    "x = [open][0]", "x = await eval('1')", "x = ｅｖａｌ('1')", "x = 𝐞𝐱𝐞𝐜('1')",
    "x = ｏｐｅｎ('a')",
    "x = __ｉmport__('os')", "еval = f(1)\nx = еval('1')", "x = inputs.get('a')", "inputs = f(1)",
]  # fmt: skip
STATEMENTS = [
    "while True: pass", "while 1:\n    x = f(1)", "for i in range(10**9): x = f(i)",
    "for i in xs:\n    f(i)", "def g(): return eval('1')", "async def g():\n    await f(1)",
    "class A:\n    x = f(1)", "@eval\ndef g(): pass", "with open('a') as b: x = b",
    "try:\n    x = f(1)\nexcept Exception:\n    pass", "lambda: 1", "x = lambda: f(1)",
    "(x := f(1))", "global x", "nonlocal x", "del x", "assert f(1)", "raise f(1)", "yield 1",
    "x = yield f(1)", "x = (yield)", "x = [f(i) async for i in y]",
    "match f(1):\n    case 1: x = 1",
    "x = *f(1),", "a, *b = f(1)", "*a, = f(1)", "x = y = z.q = f(1)", "x += f(1)", "f(1) = x",
    "x: eval('1') = f(1)", "x: __import__('os')", "if f(1): import os", "if 1:\n    while 1: pass",
    "x = {f(1) for i in [1]}", "x = {1, 2}", "x = f(1) and g(2)", "x = 1 or g(2)",
    "x = [[g(j) for j in [1]] for i in [1]]", "x = [g(i) if i else 1 for i in [1]]",
    "break", "continue", "return eval('1')", "xs = []\nxs.append(f(1))", "type X = int", "...",
]  # fmt: skip
BOMBS = [
    "x = 9 ** 9 ** 9", "x = 10 ** 10 ** 10", "x = 'a' * 10 ** 12", "x = [0] * 10 ** 12",
    "x = [i for i in range(10 ** 9)]", "x = sum(i * j for i in range(10**6) for j in range(10**6))",
    "x = 2 ** 99999999", "x = 1 << 99999999", "x = -(-(9 ** 9) ** 99999)", "x = pow(9, 99999999)",
    "x = list(range(10 ** 12))", "x = 'a'.replace('', 'b' * 10 ** 9)", "x = [[0] * 99999] * 99999",
    "x = " + "9" * 100_000, "x = 1e999999", "x = 1e308 * 1e308", "x = " + "(" * 5_000,
    "x = " + "[" * 90 + "]" * 90, "x = " + "-" * 50_000 + "1", "x = " + "not " * 10_000 + "1",
    "x = " + "~" * 50_000 + "1", "x = " + "1 + " * 15_000 + "1", "x = f" + "(1)" * 3_000,
    "x = f(1)" + "[0]" * 9_000, "x = f" + ".a" * 9_000 + "(1)", "x = " + "lambda: " * 5_000 + "1",
    "x = " + "1 if 1 else " * 3_000 + "1", "x = " + "f(" * 99 + ")" * 99, "x = " + "{1: " * 90,
    "x = '" + "a" * 1_000_000 + "'", "x = f('" + "b" * 1_000_000, "#" + "c" * 1_000_000,
    "x = " + "d" * 1_000_000, "x = 1" + " " * 1_000_000 + "+ 1", "if 1:\n" * 200,
    "".join(" " * n + "if 1:\n" for n in range(150)) + " " * 150 + "x = 1",
    "x = f(1)\n" * 2_000, "x = " + "f'{" * 150, "x = 2" + "**2" * 9_000,
    "x = " + "await " * 9_000 + "f(1)",
    "x = [" + "1," * 30_000 + "]", "\\\n" * 9_000 + "x = 1", ";" * 9_000, "x = 1;" * 9_000,
    "x = " + "yield " * 9_000, "x = 1\n" + "elif 1:\n    pass\n" * 999,
]  # fmt: skip
BYTES = [
    "x = f('\0')", "\0", "x = \0 1", "x = '\ud800'", "\udfff = f(1)", "x = f('a\ud83d')",
    "x = '\\N{BELL}'", "x = '\\ud800'", "x = '\\x00'", "x\u200b = f(1)",
    "x = f(1)\u2028y = eval('1')",
    "x = f(1)\x0cy = eval('1')", "x = f(1)\ry = eval('1')", "x = f(1) # \r eval('1')",
    "# -*- coding: utf-7 -*-\nx = f(1)", "x = b'\\xff'", "x = f(1)\x1a", "\ufeffx = eval('1')",
    "x = '''\n```\neval('1')", "```python\nx = eval('1')\n```", "x = '\\q'", "x = 0777",
    "x = 1_0__0",
    "x = 0b2", "x = 1j", "ℯval = f(1)", "x = \u202eeval('1')", "x = f('\u202e')",
]  # fmt: skip
INGENIOUS = [
    "x = _＿import__('os')", "x = ﹍﹍import__('os')", "x = f(ｅｖａｌ)", "ｇlobals()",
    "x = 𝒈𝒆𝒕𝒂𝒕𝒕𝒓(1, 'a')",
    "x = f'{1:{10**9}}'", "x = f'{1:>{99999}}'", "x = f'{5:c}'", "x = f'{10**500:f}'",
    "x = 1 << 10**9", "x = (2**3000) * (2**3000)", "x = [[0] * 1000] * 1000 * 1000",
    "x = sum(range(10**12))", "x = [i for i in range(10**6) for j in range(10**6)]",
    "x = " + "not " * 5000 + "1", "x = a" + ".b" * 3000, "x = a" + "[0]" * 3000,
    "x = " + "lambda:" * 500 + "1", "x = " + "1 if 1 else " * 300 + "1",
    "x = sorted(['b'], key=str.__len__)", "x = sorted([1], key=lambda a, b=eval: a)",
    "x = sorted([1], key=lambda *a: a)", "x = max([1], key=(lambda a: eval('1')))",
    "x = [eval for eval in [1]]", "x = [y := 5 for _ in [1]]", "x = [sum([1]) for sum in [2]]",
    "x = [f(len) for len in ['a']]", "@eval\ndef f(): pass", "type X = eval", "type X[T] = list[T]",
    "match f():\n    case 1:\n        x = eval('1')", "global x; x = eval",
    "x = f(1)\x00", "\x0cx = eval('1')\n\x0cy = f(x)", "\ufeffx = eval('1')", "x = f('\\ud800')",
    "x\u202e = eval('1')", "x = f('\u202e)1(lave')", "x\u200b = f(1)",
    "x = f(1)\u2028y = eval('1')",
    "x = f(1)\x85y = eval(2)", "x = f(1)\x0by = eval(2)", "x = f(1)\ry = eval(2)",
    "import math as eval\nx = eval('1')", "from math import sqrt as open",
    "from __future__ import braces",
    "x = math.sqrt.__self__", "x = math.comb(10**6, 10**5)", "x = (yield)", "x = yield from f()",
    "f = lambda: eval('1')\nf()", "f(1)(2)", "x = inputs['a']['__class__']", "x = inputs[f(1)]",
    "print = eval\nprint('1')", "print(eval('1'))", "print(1, file=open('x'))",
    "print(*[1], sep=eval)",
    "x = compute(expression='__import__(1)')", "x = compute('a', values={'a': eval})",
    "x: eval('1') = 5", "def f(a=eval('1')): pass", "class A(eval('1')): pass",
    "x = 1 if f(1) else eval('2')", "x = '\\N{NOT A NAME}'", "x = 0x" + "f" * 5000,
    "x = 0b" + "1" * 100000, "x = int('9' * 5000)", "x = ''.join(['a' * 900000] * 100)",
    "x = 'a'.replace('a', 'b' * 999999).replace('b', 'c' * 999999)", "x = round(10**500, -10**9)",
    "x = pow(2, 10**9)", "x = 'abc'[::0]", "x = enumerate([1], 10**400)",
    "x = sum([[1]] * 10**5, [])",
    "x = 1\n" + "".join(" " * i + "if x:\n" for i in range(90)) + " " * 90 + "x = 2",
]  # fmt: skip

PROGRAMS = [*ATTRIBUTES, *FORMATS, *CALLS, *STATEMENTS, *BOMBS, *BYTES, *INGENIOUS]

WATCHED = r"""
import json, sys, warnings
from heddle.errors import ToolFailed
from heddle.plan.dialects import dialect_named, parse, recognise
from heddle.plan.ir import Ref
from heddle.tools.builtin.compute import evaluate
programs = json.load(sys.stdin)
dialect_named("python"), recognise("x"), parse("x = f(1 / 0.5, g['a']", "python")
parse("\u00e9 = f(1)", "python")  # at the first such name, CPython's parser loads unicodedata
seen, watching = [], False

def hook(event, args):
    if not watching or event == "builtins.id":  # the reader's own: trees are told apart by it
        return
    if event == "compile" and args[1] == "<unknown>" and isinstance(args[0], (str, bytes)):
        return
    seen.append(event)

def computed(step):
    values = step.args.get("values", {})
    try:
        evaluate(step.args["expression"], {name: "1" for name in values})
    except ToolFailed:
        pass

warnings.simplefilter("ignore")
sys.addaudithook(hook)
for place, program in enumerate(programs):
    watching = True
    plan = parse(program, "python")
    for step in plan.steps:
        if step.tool == "compute" and isinstance(step.args["expression"], str):
            computed(step)
    watching = False
    if seen:
        print(json.dumps([place, seen]))
        seen.clear()
watching = True
eval("1")
watching = False
print(json.dumps(["proof", sorted(set(seen))]))
"""


def test_there_are_many_of_them():
    assert len(set(PROGRAMS)) >= 150


def test_nothing_happens_because_of_any_of_them():
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(PROGRAMS),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [["proof", ["compile", "exec"]]]  # the hook does see what is executed


@pytest.mark.parametrize("place", range(len(PROGRAMS)))
def test_what_is_left_of_it_is_calls_and_expressions(place: int):
    """Whatever is read of a hostile program is a step with data for arguments, or is refused."""
    plan = parse(PROGRAMS[place], "python")
    for step in plan.steps:
        assert isinstance(step, Step)
        assert "__" not in step.tool
        last = step.tool.rpartition(".")[2]
        assert last not in {"eval", "exec", "compile", "open", "getattr", "globals", "vars"}
        assert step.over is MISSING or step.over is not None
    for finding in plan.findings:
        assert finding.message
        assert finding.line >= 1
        assert finding.hint or finding.severity == "warning"


REFUSED = [*ATTRIBUTES[:22], *CALLS[:20], *STATEMENTS[:12]]


@pytest.mark.parametrize("program", REFUSED)
def test_what_is_outside_of_the_language_is_an_error(program: str):
    assert [f for f in parse(program, "python").findings if f.severity == "error"]
