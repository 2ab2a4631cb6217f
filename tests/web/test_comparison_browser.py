"""The page of a comparison in a real browser: quiet, within its bounds, readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_comparison_page import three_by_two
from test_report_browser import CONTRAST, browser  # noqa: F401  # a fixture

from heddle.web.comparison import write_comparison

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_comparison_opens_quietly_fits_and_can_be_read(
    browser: Any,  # noqa: F811
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    write_comparison(three_by_two(tmp_path), tmp_path / "c.html")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "c.html").as_uri(), wait_until="load")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    worst = page.evaluate(CONTRAST)
    sideways = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".length"
    )
    drawn = page.evaluate("document.querySelectorAll('details[open] svg').length")
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert overflow <= 0
    assert worst[0] >= 4.5, worst
    assert drawn == 3
    assert width < 1280 or sideways == 0
