"""Addresses of files and servers, as they may be shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from heddle.engine.journal.store import Store

__all__ = ["shown"]


def shown(place: str | os.PathLike[str] | Store) -> str:
    """A place as it may be shown: a URL without password and options, and nothing of an odd one.

    >>> shown("postgresql://weaver:secret@db:5432/runs?sslmode=require")
    'postgresql://weaver@db:5432/runs'
    """
    if not isinstance(place, (str, os.PathLike)):
        return repr(place)
    text = os.fspath(place)
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return f"{text.partition('://')[0]}://…"
    if "@" in parts.path + parts.query + parts.fragment:  # a password may have been cut in two
        return f"{parts.scheme}://…"
    who, at, hosts = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{who.partition(':')[0]}{at}{hosts}{parts.path}"
