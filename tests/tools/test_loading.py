"""Tools from a file or a module, and what is said when there are none."""

import sys
from pathlib import Path

import pytest

from heddle.errors import ConfigError
from heddle.tools.loading import load_tools


@pytest.fixture(autouse=True)
def _clean_imports():
    path, modules = sys.path.copy(), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("heddle_tools_", "mine")):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(spec: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_tools(spec)
    return caught.value


def test_decorated_functions_are_the_tools_of_a_file(tmp_path: Path):
    spec = written(
        tmp_path,
        "from heddle.tools.function import tool\n"
        "@tool(effect='pure')\n"
        "def double(x: int) -> int: return 2 * x\n"
        "def not_a_tool(x): ...\n",
    )
    (found,) = load_tools(spec)
    assert found.spec.name == "double"
    assert found.invoke({"x": 2}) == 4


def test_else_the_public_typed_functions_defined_there(tmp_path: Path):
    spec = written(
        tmp_path,
        "from json import dumps\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class P:\n    x: int\n"
        "def second(p: 'P') -> 'P': return p\n"
        "def first(x: int) -> int: return x\n"
        "def _private(x): ...\n",
    )
    second, first = load_tools(spec)
    assert (second.spec.name, first.spec.name) == ("second", "first")
    assert second.invoke({"p": {"x": 1}}) == {"x": 1}


def test_a_file_may_import_its_neighbours_also_later(tmp_path: Path):
    written(tmp_path, "ANSWER = 42\n", "mine_neighbour.py")
    spec = written(
        tmp_path,
        "def ask() -> int:\n    import mine_neighbour\n    return mine_neighbour.ANSWER\n",
    )
    before = sys.path.copy()
    (found,) = load_tools(spec)
    assert found.invoke({}) == 42
    assert sys.path == [*before, str(tmp_path)]


def test_a_relative_path_and_a_module_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path, "def f(x: int) -> int: return x\n")
    monkeypatch.chdir(tmp_path)
    assert "did you mean mine.py?" in refused("mine").hint
    assert [item.spec.name for item in load_tools("mine.py")] == ["f"]
    monkeypatch.syspath_prepend(tmp_path)
    assert [item.spec.name for item in load_tools("mine")] == ["f"]


def test_a_built_in_module_is_a_spec_too():
    (found,) = load_tools("heddle.tools.builtin.calculator")
    assert (found.spec.name, found.spec.effect) == ("calculate", "pure")


def test_what_a_file_prints_does_not_reach_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    load_tools(written(tmp_path, "print('hello')\ndef f(x: int) -> int: return x\n"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("def f(:\n", ":1: invalid syntax", "correct the file"),
        ("x = '\0'\n", ":", "correct the file"),
        ("x = 1\nimport mine_no\n", ":2: ModuleNotFoundError: ", "install what holds 'mine_no'"),
        ("def go():\n    int('x')\ngo()\n", ":2: ValueError: invalid literal", "import cleanly"),
        ("import json\njson.loads('')\n", ":2: JSONDecodeError: ", "import cleanly"),
        ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3", "__main__"),
        ("raise BaseException\n", ":1: BaseException", "import cleanly"),
    ],
)
def test_a_file_that_does_not_import_says_which_line(
    tmp_path: Path, text: str, message: str, hint: str
):
    spec = written(tmp_path, text)
    error = refused(spec)
    assert error.code == "tools-not-loaded"
    assert spec + message in error.message
    assert "\n" not in error.message
    assert hint in error.hint
    assert not [name for name in sys.modules if name.startswith("heddle_tools_mine")]


@pytest.mark.parametrize("text", ["", "x = 1\n", "from json import dumps\n", "class A: ...\n"])
def test_a_file_without_tools_is_refused(tmp_path: Path, text: str):
    error = refused(written(tmp_path, text))
    assert (error.code, error.message) == ("no-tools", f"{tmp_path}/mine.py has no tools")


@pytest.mark.parametrize(
    "text",
    [
        "\n\ndef f(a: int, b): ...\n",
        "from heddle.tools.function import tool\n\n@tool\ndef f(b, a: int): ...\n",
    ],
)
def test_an_untyped_parameter_is_named_with_its_function_and_line(tmp_path: Path, text: str):
    spec = written(tmp_path, text)
    error = refused(spec)
    assert error.code == "bad-tool"
    assert error.message == f"{spec}:3: tool 'f': parameter 'b' has no type"


def test_a_missing_file_names_what_is_there(tmp_path: Path):
    written(tmp_path, "", "other.py")
    error = refused(str(tmp_path / "mine.py"))
    assert (error.code, error.hint) == ("no-such-file", "in that folder: other.py")
    assert "is a folder" in refused(f"{tmp_path}/").message
    assert refused(str(tmp_path / "no" / "mine.py")).code == "no-such-file"


@pytest.mark.parametrize("name", ["mine_nowhere", "mine.no.where", "json.nowhere", "", ".", "a b"])
def test_a_missing_module_is_named(name: str):
    assert refused(name).code == "no-such-module"


def test_a_module_of_factories_says_what_to_write():
    error = refused("heddle.tools.builtin.search")
    assert error.code == "no-tools"
    assert "search_tool(…)" in error.hint or "lookup_tool(…)" in error.hint


def test_mcp_is_not_in_this_version():
    assert refused("mcp:server --stdio").code == "not-in-this-version"
    assert refused("mcp:https://example.org/x.py").code == "not-in-this-version"
