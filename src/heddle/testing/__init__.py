"""For tests of your own: virtual time, scripted and simulated models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heddle.testing.clock import VirtualClockLoop, run_virtual
    from heddle.testing.provider import Fault, Reply, SimulatedProvider
    from heddle.testing.scripted import STALL, ScriptedModel

__all__ = [
    "STALL",
    "Fault",
    "Reply",
    "ScriptedModel",
    "SimulatedProvider",
    "VirtualClockLoop",
    "run_virtual",
]

_HOMES = {
    "STALL": "scripted",
    "Fault": "provider",
    "Reply": "provider",
    "ScriptedModel": "scripted",
    "SimulatedProvider": "provider",
    "VirtualClockLoop": "clock",
    "run_virtual": "clock",
}


def __getattr__(name: str) -> object:
    """Import a name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
