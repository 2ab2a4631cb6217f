"""Wikipedia: the beginning of the article that a search finds first.

    heddle ask "How high is Mount Everest?" --tools heddle.tools.builtin.wikipedia --model …

Each call is one request over the network. `HEDDLE_WIKIPEDIA_URL` names the api.php of another wiki
(another language, a mirror). What comes back was written by anybody: it is data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from heddle.errors import ToolFailed
from heddle.tools.function import tool

if TYPE_CHECKING:
    import httpx2

__all__ = ["Article", "search"]

ADDRESS: Final = "https://en.wikipedia.org/w/api.php"
TIMEOUT_S: Final = 20.0
MAX_QUERY: Final = 300  # characters; the wiki refuses more
_QUESTION: Final = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "generator": "search",
    "gsrlimit": "1",
    "prop": "extracts",
    "exintro": "1",
    "explaintext": "1",
    "redirects": "1",
}
# Wikimedia's policy asks programs to say who they are
_HEADERS: Final = {"User-Agent": "heddle-run (https://pypi.org/project/heddle-run/)"}


@dataclass(frozen=True, slots=True)
class Article:
    """The beginning of an article, without its markup."""

    title: str
    text: str


@tool(effect="read", provider="wikipedia", timeout_s=30)
async def search(query: str) -> Article:
    """Find the Wikipedia article that fits best; its title and its introduction.

    Args:
        query: the name of a thing, a person, a place, a film; or words to look for.
    """
    words = query.strip()[:MAX_QUERY]
    if not words:
        raise ToolFailed("there is nothing to look for", code="bad-query", hint="write a name")
    pages = _pages(await _asked({**_QUESTION, "gsrsearch": words}))
    for page in pages:
        title, text = page.get("title"), page.get("extract")
        if isinstance(title, str) and isinstance(text, str) and text.strip():
            return Article(title, text.strip())
    raise ToolFailed(f"no article fits {words!r:.80}", code="not-found", hint="try other words")


async def _asked(question: dict[str, str]) -> Any:
    """The wiki's JSON.

    Raises:
        ToolFailed: it could not be reached, or did not answer with JSON.
    """
    import httpx2

    address = os.environ.get("HEDDLE_WIKIPEDIA_URL") or ADDRESS
    try:
        async with httpx2.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=True, headers=_HEADERS
        ) as client:
            return _json(await client.get(address, params=question))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise ToolFailed(f"the wiki cannot be reached: {reason}", code="unreachable") from error


def _json(response: httpx2.Response) -> Any:
    if response.status_code == 429:
        raise ToolFailed("the wiki asks to be asked less often", code="rate-limited",
                         hint="--rpm wikipedia=60")  # fmt: skip
    if response.status_code != 200:
        raise ToolFailed(f"the wiki answered with status {response.status_code}", code="bad-answer")
    try:
        return response.json()
    except ValueError as error:
        raise ToolFailed("the wiki's answer is not JSON", code="bad-answer") from error


def _pages(answer: Any) -> list[dict[str, Any]]:
    """The articles in an answer; none where nothing was found."""
    match answer:
        case {"query": {"pages": [*pages]}}:
            return [page for page in pages if isinstance(page, dict)]
        case {"error": {"info": str(info)}}:
            raise ToolFailed(f"the wiki says: {info[:300]}", code="bad-answer")
        case _:
            return []
