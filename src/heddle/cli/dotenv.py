"""The `.env` file of the working directory: settings for the command line, not for the library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["env_file", "load_env_file", "read_env"]

FILE = ".env"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_env_file(environment: MutableMapping[str, str], path: Path | None = None) -> None:
    """Add the file's settings to an environment; what is set there already stands.

    Raises:
        ConfigError: the file is there and cannot be read.
    """
    for name, value in env_file(path).items():
        environment.setdefault(name, value)


def env_file(path: Path | None = None) -> dict[str, str]:
    """The settings in the file; {} where there is none.

    Raises:
        ConfigError: the file is there and cannot be read.
    """
    path = Path(FILE) if path is None else path
    if not path.is_file():
        return {}
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read {path}: {reason}",
            code="unreadable-env-file",
            hint="correct it, or run heddle in another folder",
        ) from None
    return read_env(text)


def read_env(text: str) -> dict[str, str]:
    r"""Settings of the form KEY=VALUE, one a line; other lines mean nothing.

    A value may stand in quotes, which are taken off; without them a comment may follow it. Nothing
    is substituted in it.

    >>> read_env("# keys\nexport A='x y'\nB=1 # one")
    {'A': 'x y', 'B': '1'}
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and _NAME.fullmatch(name.strip()) and "\0" not in value:
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote in ("'", '"') and (end := value.find(quote, 1)) > 0:
        return value[1:end]
    return "" if value.startswith("#") else value.partition(" #")[0].rstrip()
