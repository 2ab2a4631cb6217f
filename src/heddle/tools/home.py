"""Where a tool's function lives, so that another process can find it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.errors import ConfigError
from heddle.tools.signature import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.tools.function import Tool

__all__ = ["FILES", "Home", "home_of"]

FILES = "heddle_tools_"
"""How the modules begin that are made of tools files."""


class Home(NamedTuple):
    """A module, a name in it, and the file of a module that is in no package."""

    module: str
    name: str
    file: str | None = None

    def tool(self) -> Tool:
        """The tool, imported if need be.

        Raises:
            ConfigError: nothing of that name is there, or it is no tool.
        """
        from heddle.tools.loading import module_of_file
        from heddle.tools.toolbox import as_tool

        found: Any
        if self.file is None:
            found = importlib.import_module(self.module)
        else:
            found = sys.modules.get(self.module) or module_of_file(self.file)
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise ConfigError(
                f"{self.module} has no {self.name!r} in a process of its own",
                code="bad-tool",
                hint="an isolated tool stands at the top of its module, under its own name",
            )
        return as_tool(found)


def home_of(function: Callable[..., Any], tool: str) -> Home:
    """Where another process finds a function.

    Raises:
        ConfigError: it cannot: a lambda, a function inside another one, or one of a script.
    """
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", "")
    if module in ("", "__main__") or not name or "<" in name:
        raise ConfigError(
            f"{place_of(function)}tool {tool!r}: no other process could find its function, so that "
            "it cannot be isolated",
            code="bad-tool",
            hint="put it at the top of a module that can be imported, or of a tools file",
        )
    file = getattr(sys.modules.get(module), "__file__", None)
    return Home(module, name, file if module.startswith(FILES) else None)
