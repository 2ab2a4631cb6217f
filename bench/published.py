"""LLMCompiler's published sizes, simulated: what our strategies read, write and take at them.

A task is a `World` whose texts are as long as what was published says, four characters a token;
everything runs in virtual time through the whole library. Prefixes are padded in the tools'
descriptions, where the published prompts had their examples.

What was published are totals: they leave open how much of an input is prefix and how much is
observation, and how much of a second is waiting and how much is writing. Both are chosen here, so
that ReAct's row comes out (and the second row of seconds); everything else is what follows.

Source: LLMCompiler (arXiv 2312.04511), Tables 1 and 2 and the latencies of Section 5.

    python -m bench.published [--json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any, NamedTuple

from bench.formulas import in_memory
from heddle.testing.world import Pace, Sizes, World

__all__ = ["REGION", "ROWS", "Row", "published", "region", "two_levels"]

_TOKEN = 4  # characters
_END = 2.5  # tokens of a plan's last line
_STRATEGIES = ("react", "parallel", "llmcompiler")


class Row(NamedTuple):
    """A published benchmark: shape, and by strategy tokens in and out and seconds."""

    name: str
    width: int
    depth: int
    tokens: dict[str, tuple[int, int]]
    seconds: dict[str, float]


ROWS = (
    Row(
        "Movie", 8, 1,
        {"react": (20_000, 230), "parallel": (5_800, 160), "llmcompiler": (2_800, 115)},
        {"react": 20.47, "parallel": 7.42, "llmcompiler": 5.47},
    ),
    Row(
        "HotpotQA", 2, 1,
        {"react": (2_900, 120), "parallel": (2_500, 63), "llmcompiler": (1_300, 80)},
        {"react": 7.12, "parallel": 4.42, "llmcompiler": 3.95},
    ),
    Row(
        "ParallelQA", 3, 2,
        {"react": (46_000, 470), "parallel": (25_000, 370), "llmcompiler": (9_200, 340)},
        {"react": 35.90, "parallel": 19.29, "llmcompiler": 16.69},
    ),
)  # fmt: skip


def sizes_of(row: Row, observation: int, answer: int) -> tuple[int, Sizes]:
    """ReAct's prefix in characters, and texts with which its row of tokens comes out.

    From out = Na + z and in = (N + 1) F + (a + o) N (N + 1) / 2.
    """
    n = row.width * row.depth
    read, written = row.tokens["react"]
    action = (written - answer) / n
    prefix = (read - (action + observation) * n * (n + 1) / 2) / (n + 1)
    step = (row.tokens["llmcompiler"][1] - answer - _END) / n
    call = (row.tokens["parallel"][1] - answer) / n
    sizes = Sizes(
        action=round(_TOKEN * action), step=round(_TOKEN * step), answer=_TOKEN * answer,
        observation=_TOKEN * observation - len("Observation: "), call=round(_TOKEN * call),
    )  # fmt: skip
    return round(_TOKEN * prefix), sizes


def padded(world: World, strategy: str, prefix: int) -> World:
    """The same world with descriptions so long that what is read first is as long as wanted.

    Raises:
        ValueError: it is longer without any padding.
    """
    _, _, requests = in_memory(strategy, world)
    missing = prefix - requests[0].characters
    if missing < 0:
        raise ValueError(f"{strategy}'s own prompt is {-missing} characters longer than {prefix}")
    tool = world.tools[0]
    lines = tool.spec.description + "." * missing
    tool.spec = replace(tool.spec, description=lines)
    return world


def _run(
    row: Row, strategy: str, prefix: int, sizes: Sizes, tool_s: float, pace: Pace
) -> dict[str, float]:
    def world() -> World:
        return World(row.width, row.depth, sizes=sizes, tool_s=tool_s)

    made = padded(world(), strategy, prefix) if prefix else world()
    result, seconds, _ = in_memory(strategy, made, pace)
    if not made.is_right(result.answer):
        raise AssertionError(f"{strategy} came to a wrong answer: {result.answer!r}")
    usage = result.usage
    return {
        "input": usage.input_tokens / _TOKEN,
        "output": usage.output_tokens / _TOKEN,
        "seconds": seconds,
    }


def pace_of(row: Row, tokens_per_s: float) -> tuple[float, float] | None:
    """Seconds to the first token and of a tool with which two rows of seconds come out.

    None if one of them would be negative. From react = (N + 1) L + out/r + N t and
    parallel = (D + 1) L + out/r + D t.
    """
    n, d = row.width * row.depth, row.depth
    react = row.seconds["react"] - row.tokens["react"][1] / tokens_per_s
    parallel = row.seconds["parallel"] - row.tokens["parallel"][1] / tokens_per_s
    first_s = (react * d - parallel * n) / ((n + 1) * d - (d + 1) * n)
    tool_s = (parallel - (d + 1) * first_s) / d
    return (first_s, tool_s) if first_s >= 0 and tool_s >= 0 else None


def paces(row: Row) -> list[tuple[float, float, float]]:
    """Token rates from 5 to 200 a second with which both can be, with the seconds they imply."""
    found = [(rate, pace_of(row, rate)) for rate in range(5, 201)]
    return [(rate, *pace) for rate, pace in found if pace is not None]


def published(row: Row, observation: int, answer: int = 20) -> dict[str, Any]:
    """A row with its sizes: tokens and seconds of each strategy, beside what was published."""
    prefix, sizes = sizes_of(row, observation, answer)
    possible = paces(row)
    rate, first_s, tool_s = possible[len(possible) // 2] if possible else (50.0, 0.5, 1.0)
    pace = Pace(first_s, _TOKEN * rate)
    ran = {name: _run(row, name, prefix, sizes, tool_s, pace) for name in _STRATEGIES}
    ours = [
        _run(row, "llmcompiler", prefix, sizes, tool_s, Pace(first_s, _TOKEN * rate))["seconds"]
        for rate, first_s, tool_s in possible
    ]
    return {
        "name": row.name, "observation": observation, "prefix": prefix / _TOKEN,
        "paces": possible, "pace": (rate, first_s, tool_s), "ran": ran,
        "llmcompiler_s": (min(ours), max(ours)) if ours else None,
    }  # fmt: skip


# -- against parallel


class Region(NamedTuple):
    """What is swept against parallel; tokens, seconds, and tokens a second.

    A native call of 17.5 tokens and a step of 12 are those of the published Movie row.
    """

    width: int
    depth: int
    first_s: tuple[float, ...]
    tokens_per_s: tuple[float, ...]
    tool_s: tuple[float, ...]
    answer: int = 20
    call: float = 17.5
    step: float = 12.0
    observation: int = 60
    uneven: float = 0.0


REGION = Region(4, 2, (0.3, 0.6, 1.2), (30, 60, 120, 240), (0.1, 0.3, 1.0, 3.0, 10.0))


def two_levels(
    area: Region, first_s: float, tokens_per_s: float, tool_s: float
) -> dict[str, float]:
    """Seconds of `parallel` over those of `llmcompiler` for one task, and the written tokens."""
    sizes = Sizes(
        step=round(_TOKEN * area.step), call=round(_TOKEN * area.call), answer=_TOKEN * area.answer,
        observation=_TOKEN * area.observation,
    )  # fmt: skip
    pace = Pace(first_s, _TOKEN * tokens_per_s)
    found: dict[str, float] = {}
    for strategy in ("parallel", "llmcompiler"):
        world = World(area.width, area.depth, sizes=sizes, tool_s=tool_s, uneven=area.uneven)
        result, found[strategy], _ = in_memory(strategy, world, pace)
        assert world.is_right(result.answer)
        found[f"{strategy}_output"] = result.usage.output_tokens / _TOKEN
    return {**found, "ratio": found["parallel"] / found["llmcompiler"]}


def region(area: Region = REGION) -> list[dict[str, float]]:
    """The sweep: a row for each pace and tool time."""
    return [
        {"first_s": first_s, "tokens_per_s": rate, "tool_s": tool_s,
         **two_levels(area, first_s, rate, tool_s)}
        for first_s in area.first_s for rate in area.tokens_per_s for tool_s in area.tool_s
    ]  # fmt: skip


def _say_published(found: dict[str, Any], row: Row) -> None:
    rate, first_s, tool_s = found["pace"]
    print(
        f"\n{row.name}: {row.width} wide, {row.depth} deep; observations of "
        f"{found['observation']} tokens, so a prefix of {found['prefix']:.0f}"
    )
    if found["paces"]:
        low, high = found["paces"][0][0], found["paces"][-1][0]
        least, most = found["llmcompiler_s"]
        print(
            f"  ReAct's and parallel's seconds come out at {low} to {high} tokens a second; here "
            f"{rate}, first token after {first_s:.2f} s, tools {tool_s:.2f} s\n"
            f"  at all of them llmcompiler takes {least:.2f} to {most:.2f} s"
        )
    else:
        print("  no pace gives ReAct's and parallel's seconds; here 50 tokens/s, 0.5 s, 1 s")
    print("  strategy      tokens in      published   out   published   seconds   published")
    for name, ran in found["ran"].items():
        read, written = row.tokens[name]
        print(
            f"  {name:12}  {ran['input']:9.0f}  {read:13}  {ran['output']:4.0f}  {written:10}"
            f"  {ran['seconds']:8.2f}  {row.seconds[name]:10.2f}"
        )
    for other in ("react", "parallel"):
        ours = [found["ran"][other][what] / found["ran"]["llmcompiler"][what]
                for what in ("input", "seconds")]  # fmt: skip
        theirs = (
            row.tokens[other][0] / row.tokens["llmcompiler"][0],
            row.seconds[other] / row.seconds["llmcompiler"],
        )
        print(
            f"  {other} over llmcompiler: input {ours[0]:.2f}x (published {theirs[0]:.2f}x), "
            f"seconds {ours[1]:.2f}x (published {theirs[1]:.2f}x)"
        )


def _say_region(area: Region) -> None:
    print(
        f"\nparallel over llmcompiler, seconds; {area.width} wide, {area.depth} deep; calls of "
        f"{area.call:g} tokens, steps of {area.step:g}; tools uneven by {area.uneven:.0%}; "
        "* at 1.3 or more"
    )
    rows = region(area)
    print("  first s  tokens/s   " + "".join(f"tool {tool_s:<5g}" for tool_s in area.tool_s))
    for first_s in area.first_s:
        for rate in area.tokens_per_s:
            of = [r["ratio"] for r in rows if (r["first_s"], r["tokens_per_s"]) == (first_s, rate)]
            cells = "".join(f"{ratio:7.2f}{'*' if ratio >= 1.3 else ' '}  " for ratio in of)
            print(f"  {first_s:7g}  {rate:8g}  {cells}")
    met = sum(row["ratio"] >= 1.3 for row in rows) / len(rows)
    one = rows[0]
    print(
        f"  at 1.3 or more: {met:.0%} of {len(rows)} cells; written: parallel "
        f"{one['parallel_output']:.0f} tokens, llmcompiler {one['llmcompiler_output']:.0f}"
    )


OBSERVATIONS = {"Movie": (80, 180, 280), "HotpotQA": (60, 160, 260), "ParallelQA": (200, 600)}


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.published", description=__doc__)
    parser.add_argument("--json", action="store_true")
    for name, value in REGION._asdict().items():
        many = isinstance(value, tuple)
        kind = float if many else type(value)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=value, nargs="+" if many else None
        )
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    area = Region(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    tables = [(published(row, size), row) for row in ROWS for size in OBSERVATIONS[row.name]]
    if as_json:
        print(json.dumps({"published": [found for found, _ in tables], "region": region(area)}))
        return
    for found, row in tables:
        _say_published(found, row)
    for shown in (area, area._replace(uneven=0.8), area._replace(call=area.step)):
        _say_region(shown)


if __name__ == "__main__":
    main()
