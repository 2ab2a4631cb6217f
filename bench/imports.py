"""What `import heddle` costs, in a fresh process, against `import asyncio`."""

from __future__ import annotations

import statistics
import subprocess
import sys

_PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str, repeats: int) -> list[float]:
    """Seconds of the import alone, in fresh processes."""
    command = [sys.executable, "-c", _PROGRAM.format(module)]
    return [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]


def ratios(repeats: int = 9) -> dict[str, float]:
    """`import heddle`, and all that an agent loads, over `import asyncio`; medians."""
    asyncio_s = statistics.median(seconds("asyncio", repeats))
    return {
        "heddle": statistics.median(seconds("heddle", repeats)) / asyncio_s,
        "heddle.agent": statistics.median(seconds("heddle.agent", repeats)) / asyncio_s,
        "asyncio_ms": asyncio_s * 1e3,
    }
