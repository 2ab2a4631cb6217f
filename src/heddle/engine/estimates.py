"""How long a tool is expected to take: the mean of what was seen."""

from __future__ import annotations

__all__ = ["Estimates"]


class Estimates:
    """Mean durations by tool, in seconds; shared by runs that should learn from each other.

    A tool that was never seen is expected to take as long as the mean of all calls, or 1 second.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = {}  # calls and seconds, by tool

    def mean(self, tool: str) -> float:
        """The expected seconds of one call. Cost: O(1), O(tools) for one that was never seen."""
        seen = self._seen.get(tool)
        if seen is None:
            calls = sum(calls for calls, _ in self._seen.values())
            return sum(seconds for _, seconds in self._seen.values()) / calls if calls else 1.0
        return seen[1] / seen[0]

    def learn(self, tool: str, seconds: float) -> float:
        """Take one call into the mean, and give the new mean."""
        seen = self._seen.get(tool)
        if seen is None:
            seen = self._seen[tool] = [0, 0.0]
        seen[0] += 1
        seen[1] += seconds
        return seen[1] / seen[0]
