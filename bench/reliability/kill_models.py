"""A planner that wants two rounds, and a joiner that is content after the second.

What they say follows from what they are asked, as with a model whose temperature is 0.
"""

from __future__ import annotations

import json
from typing import Any

EACH = 6
"""Effects in each round."""


async def pay(messages: list[dict[str, Any]], **asked: Any) -> str:
    """Plans payments that nobody can be asked about."""
    return _says("pay", **asked)


async def pay_known(messages: list[dict[str, Any]], **asked: Any) -> str:
    """Plans payments that the world can be asked about."""
    return _says("pay_known", **asked)


def _says(tool: str, *, role: str, round: int, **_: Any) -> str:
    if role == "joiner":
        if round == 1:
            return json.dumps({"action": "replan", "reason": "the other half is missing"})
        return json.dumps({"action": "finish", "answer": "all is paid"})
    lines = [f'{n + 1}. {tool}("round{round}-{n}")' for n in range(EACH - 1)]
    lines.append(f'{EACH}. put("round{round}-{EACH - 1}", $1)')
    return "\n".join([*lines, f"{EACH + 1}. join()", ""])
