"""Tools named on the command line: a Python file, or a module.

What is offered: the file's `Tool` objects, or, where there are none, its public functions, which
must be typed. What the file prints while it is loaded goes to stderr: stdout is for results.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heddle.errors import ConfigError, HeddleError
from heddle.tools.function import Tool
from heddle.tools.home import FILES
from heddle.tools.toolbox import as_tool

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

__all__ = ["load_tools", "module_of_file"]


def load_tools(spec: str) -> list[Tool]:
    """The tools of a Python file (`tools.py`, `dir/tools.py`) or of a module (`package.tools`).

    The file's folder is put at the end of `sys.path`, and stays there for imports that the tools
    make later; a file in it never hides a module of the standard library.

    Raises:
        ConfigError: no such file or module, it cannot be imported, or it has no usable tools.
    """
    if spec.startswith("mcp:"):
        raise ConfigError(
            f"{spec}: MCP servers are not in this version",
            code="not-in-this-version",
            hint="pass a Python file or a module",
        )
    named_file = spec.endswith(".py") or os.sep in spec
    return _tools_of(module_of_file(spec) if named_file else _from_module(spec), spec)


# -- finding tools -------------------------------------------------------------------------------


def _tools_of(module: ModuleType, spec: str) -> list[Tool]:
    members = vars(module)
    made = list({id(item): item for item in members.values() if isinstance(item, Tool)}.values())
    if made:
        return made
    public = [item for name, item in members.items() if _public(name, item, module)]
    factories = [item for item in public if _makes_tools(item)]
    if factories:
        first = factories[0].__name__
        raise ConfigError(
            f"{spec} makes tools, but has none: {first} needs arguments",
            code="no-tools",
            hint=f"in a file of your own: `from {spec} import {first}`, then `tool = {first}(…)`",
        )
    if not public:
        raise ConfigError(
            f"{spec} has no tools",
            code="no-tools",
            hint="put a typed function in it, or one with @heddle.tool",
        )
    return [as_tool(item) for item in public]


def _public(name: str, item: Any, module: ModuleType) -> bool:
    here = inspect.isfunction(item) and item.__module__ == module.__name__
    return here and not name.startswith("_")


def _makes_tools(function: Any) -> bool:
    return function.__annotations__.get("return") in (Tool, "Tool")


# -- importing -----------------------------------------------------------------------------------


def module_of_file(spec: str) -> ModuleType:
    """A Python file as a module, under a name that is made of its path.

    Raises:
        ConfigError: no such file, or it cannot be imported.
    """
    path = Path(spec).absolute()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(f"tools file {spec} {what}", code="no-such-file", hint=_near(path))
    name = f"{FILES}{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ConfigError(
            f"{spec} is no Python file", code="no-such-file", hint="its name should end in .py"
        )
    module = importlib.util.module_from_spec(found)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # dataclasses and pydantic look their module up here
    try:
        with _reported(spec, str(path)):
            found.loader.exec_module(module)
    except BaseException:  # half a module must not stay; raised again
        del sys.modules[name]
        raise
    return module


def _near(path: Path) -> str:
    there = sorted(item.name for item in path.parent.glob("*.py")) if path.parent.is_dir() else []
    return f"in that folder: {', '.join(there[:8])}" if there else "check the path"


def _from_module(name: str) -> ModuleType:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent that is missing, or a name that is no name
        found = None
    if found is None:
        beside = Path(f"{name}.py").is_file()
        raise ConfigError(
            f"there is no module {name!r}",
            code="no-such-module",
            hint=f"did you mean {name}.py?" if beside else "is it installed in this environment?",
        )
    with _reported(name, found.origin or ""):
        return importlib.import_module(name)


@contextlib.contextmanager
def _reported(spec: str, path: str) -> Generator[None]:
    """Turn whatever a file raises while it is loaded into a ConfigError that names its line."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (HeddleError, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        where = f"{error.filename or path}:{error.lineno}"
        raise _unusable(f"{where}: {error.msg}", "correct the file") from error
    except BaseException as error:  # SystemExit too: a script is no tools file
        said = str(error).splitlines()
        message = f"{_where(error, path)}: {type(error).__name__}: {said[0] if said else ''}"
        raise _unusable(message.rstrip(": "), _remedy(error, spec)) from error


def _unusable(message: str, hint: str) -> ConfigError:
    return ConfigError(message, code="tools-not-loaded", hint=hint)


def _where(error: BaseException, path: str) -> str:
    """The last line of the user's file that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _remedy(error: BaseException, spec: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install what holds {error.name!r} in this environment"
    if isinstance(error, SystemExit):
        return f'put what {spec} does as a script under `if __name__ == "__main__":`'
    return "the file must import cleanly: try `python` on it"
