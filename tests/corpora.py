"""Published and recorded texts: the whole corpora where they are, a vendored sample elsewhere.

`HEDDLE_CORPORA` names the folder of the whole ones. A test that means something only on a whole
corpus is marked `@needs_corpus("name")`, and is skipped with a reason where it is missing.
"""

import json
import os
from pathlib import Path

import pytest

CORPORA = {
    "recorded_plans": "*.jsonl",
    "fireact": "*.jsonl",
    "langgraph_cassettes": "*.jsonl",
    "nestful": "*.dev.jsonl",
    "nestools": "*.jsonl",
    "mathqa": "*.jsonl",
    "gsm8k": "gsm8k.dev.jsonl",
    "gnn4taskplan": "llm_plans_*.jsonl",
    "taskbench": "*.json*",
    "bfcl": "*.jsonl",
    "toolbench": "*.jsonl",
    "hotpotqa": "*.jsonl",
    "llmcompiler": "*.jsonl",
}
"""Every corpus that tests read, and its files."""

_SAMPLE = Path(__file__).parent / "corpus"


def whole(name):
    """The folder of a whole corpus, or None."""
    root = os.environ.get("HEDDLE_CORPORA")
    folder = Path(root, name) if root else None
    return folder if folder and folder.is_dir() else None


def corpus(name):
    """The rows of a corpus, each with the name of its file under "file"."""
    return read(whole(name) or _SAMPLE / name, CORPORA[name])


def read(folder, pattern):
    """The rows of a folder's files, each with the name of its file under "file"."""
    files = sorted(folder.glob(pattern))
    assert files, f"no {pattern} under {folder}"
    return [
        {**json.loads(line), "file": path.name.split(".")[0]}
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def needs_corpus(*names):
    """Skip a test, saying so, where a whole corpus is missing."""
    missing = [name for name in names if whole(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"NOT TESTED: no {', '.join(missing)} under HEDDLE_CORPORA"
    )


def summary():
    """How many of the whole corpora are here, in a line."""
    missing = [name for name in CORPORA if whole(name) is None]
    here = f"{len(CORPORA) - len(missing)} of {len(CORPORA)} corpora present"
    if not missing:
        return here
    return f"{here}; tests on {', '.join(missing)} read a sample or are skipped: set HEDDLE_CORPORA"
