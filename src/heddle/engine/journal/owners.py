"""Who holds a lease: a process on a machine, and whether it still lives.

    "machine process start"

A process id is given again to another process, so its start belongs to its name. A container has
ids of its own, so its namespace belongs to the machine's name. So does the boot: what ran before a
restart does not run any more, but its lease is waited for, since machines may share a name.

Our own, because the maintained library for it (psutil) is a dependency in C for two small files.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["dead", "elsewhere", "spoken", "this_boot", "this_process"]


@cache
def _machine() -> str:
    parts = [platform.node().replace(" ", "-") or "unnamed"]
    for read in (_boot, _namespace):
        try:
            parts.append(read())
        except OSError:  # another system than Linux
            continue
    return "/".join(parts)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


def this_boot() -> str:
    """The name of this machine since it was started; what it ran before is not in it."""
    return _machine()


def this_process() -> str:
    """The name of this process as an owner."""
    return _named(os.getpid())


@cache
def _named(process: int) -> str:
    """The name of a process of this machine that lives; by its id, since a fork is another."""
    return f"{_machine()} {process} {_start(process)}"


def spoken(owner: str) -> str:
    """An owner as people name it.

    >>> spoken("vm/05a19b3e/4026531836 1799 2805947")
    'process 1799 on vm'
    """
    parts = owner.rsplit(" ", 2)
    return f"process {parts[1]} on {parts[0].partition('/')[0]}" if len(parts) == 3 else owner


def dead(owner: str) -> bool:
    """Whether an owner surely lives no more; False also where nobody here can know."""
    parts = owner.rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != _machine() or not parts[1].isdigit():
        return False
    return _start(int(parts[1])) != parts[2]


def elsewhere(owner: str) -> bool:
    """Whether nobody here can know if an owner lives: it is no process of this machine."""
    return owner.rsplit(" ", 2)[0] != _machine()


def _start(process: int) -> str:
    """When a process began, as its system says it; "" if there is no such process."""
    try:
        # the name may hold spaces and brackets: fields are counted from the last bracket
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]  # killed, and not yet waited for: dead
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_by_ps(process)


def _start_by_ps(process: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # nobody to ask: a name that never changes, so that nobody is taken for dead
        return "unknown"
    return "-".join(found.stdout.split())
