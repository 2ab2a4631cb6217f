"""What the words of `heddle compare` mean: strategies, questions, tools, settings, a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from heddle.cli import options
from heddle.cli.reading import read_text
from heddle.errors import ConfigError
from heddle.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heddle.comparison.questions import QuestionSet
    from heddle.plan.limits import Limits
    from heddle.tools.function import Tool

__all__ = [
    "about_tools",
    "questions_of",
    "refuse_effects",
    "results_path",
    "settings_of",
    "strategies_of",
    "tools_of",
]


def strategies_of(words: str) -> list[str]:
    """The strategies, each once, in order.

    Raises:
        ConfigError: none, or one of a name that there is not.
    """
    from heddle.strategies import strategy_named

    names = list(dict.fromkeys(filter(None, (name.strip() for name in words.split(",")))))
    if not names:
        raise ConfigError(
            "--strategies names none",
            code="unknown-strategy",
            hint=f"write them with commas between: {','.join(list(STRATEGIES)[:3])}",
        )
    for name in names:
        strategy_named(name)
    return names


def questions_of(path: str) -> QuestionSet:
    """The questions of a file, or of stdin for "-".

    Raises:
        ConfigError: it cannot be read, holds none, or a line is not one.
    """
    from heddle.comparison.questions import read_questions

    text = read_text(path, "the questions", code="bad-questions")
    return read_questions(text, "stdin" if path == "-" else path)


def tools_of(specs: Sequence[str], questions: QuestionSet, *, paragraphs: bool) -> list[Tool]:
    """The tools of all SPECs, with search in the questions' paragraphs where that is wanted.

    Raises:
        ConfigError: one cannot be loaded, two have one name, or there are no paragraphs.
    """
    from heddle.tools.toolbox import toolbox

    own = options.toolset(specs)
    return list(toolbox((*own, *_paragraph_tools(questions))).values()) if paragraphs else own


def _paragraph_tools(questions: QuestionSet) -> Iterable[Tool]:
    """Search in the paragraphs of all questions.

    Raises:
        ConfigError: there are none.
    """
    import sqlite3

    from heddle.tools.builtin.search import build_index, lookup_tool, search_tool

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    if not build_index(connection, questions.paragraphs()):
        raise ConfigError(
            f"{questions.name} holds no paragraphs",
            code="bad-questions",
            hint='--paragraphs wants HotpotQA\'s "context": [["title", ["sentence", …]], …]',
        )
    return search_tool(connection), lookup_tool(connection)


def refuse_effects(tools: Iterable[Tool], *, yes: bool) -> None:
    """Refuse tools that declare an effect, unless told to go on: each run would repeat it.

    Raises:
        ConfigError: there is one.
    """
    effects = [tool.spec.name for tool in tools
               if tool.spec.effectful and tool.spec.effect_declared]  # fmt: skip
    if effects and not yes:
        raise ConfigError(
            f"a comparison calls its tools again in every run, and {', '.join(effects)} "
            "would change the world each time",
            code="effects-repeated",
            hint="leave the tool out, give a stand-in for it, or pass --yes",
        )


def settings_of(
    questions: QuestionSet,
    models: Mapping[str, str | None],
    tools: Sequence[Tool],
    limits: Limits,
    instruction: str,
    concurrency: int,
) -> dict[str, Any]:
    """What shapes a run: results of different settings are not compared."""
    from heddle.cli.doctor import heddle_version
    from heddle.plan.canonical import hash_of

    described = [
        [tool.spec.name, tool.spec.description, dict(tool.spec.parameters), tool.spec.effect]
        for tool in tools
    ]
    given = {name: value for name, value in models.items() if value}
    return {
        "questions_sha256": questions.digest,
        **given,
        "tools_sha256": hash_of(described),
        "instruction": instruction,
        "concurrency": concurrency,
        "timeout_s": limits.run_timeout_s,
        "per_provider": dict(limits.per_provider),
        "rpm": dict(limits.requests_per_minute),
        "version": heddle_version(),
    }


def about_tools(tools: Sequence[Tool]) -> dict[str, Any]:
    """What the results file says of the tools, for those who read it."""
    from heddle.plan.spec import spec_to_json

    return {"tools": [spec_to_json(tool.spec) for tool in tools]}


def results_path(output: str | None, name: str, settings: Mapping[str, Any]) -> Path:
    """Where the results are: the file that was named, or one in a folder, named by its content."""
    from heddle.comparison.results import settings_hash

    path = Path(output or ".")
    if output is not None and path.suffix in (".jsonl", ".json") and not path.is_dir():
        return path
    return path / f"{Path(name).stem}-{settings_hash(settings)[:8]}.results.jsonl"
