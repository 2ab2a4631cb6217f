"""Keeps other processes from a file, by a lock that ends with the process that holds it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from heddle.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["claim"]


@contextmanager
def claim(path: Path) -> Generator[None]:
    """Hold a file, which need not be there yet, for this process alone.

    The lock is `NAME.lock` in the same folder, which is made where there is none. It is taken away
    at the end; what a killed process leaves behind holds nobody up.

    Raises:
        ConfigError: `results-in-use`, by another process or elsewhere in this one.
        OSError: the lock cannot be made there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f"{path.name}.lock")
    held = _take(place, path)
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be taken away there
            os.close(held)
        with suppress(OSError):
            place.unlink()
        if sys.platform != "win32":
            os.close(held)


def _take(place: Path, path: Path) -> int:
    """The open lock. One that was taken away just before it was locked is made anew."""
    while True:
        lock = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _locked(lock):
                raise _in_use(path, os.read(lock, 20))
            if _is_there(lock, place):
                os.truncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
                return lock
        except BaseException:  # no lock is left open; raised again
            os.close(lock)
            raise
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(lock, 1 << 30, os.SEEK_SET)  # far off, so that the number can be read
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
            os.lseek(lock, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_there(lock: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), os.stat(place))
    except FileNotFoundError:
        return False


def _in_use(path: Path, owner: bytes) -> ConfigError:
    number = owner.decode("ascii", "ignore").strip()
    process = f" (process {number})" if number.isdigit() else ""
    return ConfigError(
        f"another heddle compare{process} is writing its results to {path}",
        code="results-in-use",
        hint="wait until it has ended, or name another file with --output",
    )
