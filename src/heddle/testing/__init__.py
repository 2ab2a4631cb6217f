"""For tests of your own: virtual time, scripted models, and runs with all that can go wrong."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heddle.testing.clock import VirtualClockLoop, run_virtual
    from heddle.testing.provider import Fault, Reply, SimulatedProvider
    from heddle.testing.scripted import STALL, ScriptedModel
    from heddle.testing.simulation.enumeration import crashes_of
    from heddle.testing.simulation.loop import SeededLoop, run_seeded
    from heddle.testing.simulation.run import run_scenario, simulate
    from heddle.testing.simulation.scenario import Scenario

__all__ = [
    "STALL",
    "Fault",
    "Reply",
    "Scenario",
    "ScriptedModel",
    "SeededLoop",
    "SimulatedProvider",
    "VirtualClockLoop",
    "crashes_of",
    "run_scenario",
    "run_seeded",
    "run_virtual",
    "simulate",
]

_HOMES = {
    "STALL": "scripted",
    "Fault": "provider",
    "Reply": "provider",
    "Scenario": "simulation.scenario",
    "SeededLoop": "simulation.loop",
    "crashes_of": "simulation.enumeration",
    "run_scenario": "simulation.run",
    "run_seeded": "simulation.loop",
    "simulate": "simulation.run",
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
