"""The report in a real browser: nothing is asked of the network, nothing overflows or complains."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from report_specimens import of_shape, portfolio, rejected, troubled
from test_report import hostile

from heddle.web import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
RUNS = {
    "portfolio": portfolio,
    "troubled": troubled,
    "rejected": rejected,
    "large": lambda: of_shape([()] + [(0,)] * 900, ["price", "search"]),
    "hostile": lambda: hostile('"><img src=//evil.example/x onerror=alert(1)>' + "W" * 300),
}


def chromium() -> str | None:
    named = os.environ.get("HEDDLE_CHROMIUM")
    if named:
        return named
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None or not Path(path).exists():
        pytest.skip(f"browser tests did not run: no Chromium at {path or 'any usual place'}")
    api = pytest.importorskip(
        "playwright.sync_api", reason="browser tests did not run: no playwright"
    )
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", RUNS)
def test_a_page_opens_quietly_and_fits(
    browser: Any, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    write_report(RUNS[name](), tmp_path / "run.html")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "run.html").as_uri(), wait_until="load")
    page.wait_for_function("document.readyState === 'complete'")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    picture = page.screenshot()
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert overflow <= 0
    assert picture.startswith(b"\x89PNG")


def test_dark_and_light_differ(browser: Any, tmp_path: Path) -> None:
    write_report(portfolio(), tmp_path / "run.html")
    colours = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((tmp_path / "run.html").as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert colours == ["rgb(250, 249, 246)", "rgb(21, 23, 26)"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(browser: Any, tmp_path: Path, scheme: str) -> None:
    write_report(troubled(), tmp_path / "run.html")
    page = browser.new_page(color_scheme=scheme)
    page.goto((tmp_path / "run.html").as_uri())
    worst = page.evaluate(CONTRAST)
    page.close()
    assert worst[0] >= 4.5, worst


CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c)) return c } return 'rgb(255, 255, 255)' };
  let worst = [99, ''];
  const words = 'p, td, th, dt, dd, h1, h2, span, code, li, b, svg text';
  for (const e of document.querySelectorAll(words)) {
    if (e.classList.contains('mark') || !e.textContent.trim()) continue;
    const own = getComputedStyle(e);
    const a = light(e.closest('svg') ? own.fill : own.color), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.textContent.slice(0, 40), own.color, ground(e)];
  }
  return worst }"""
