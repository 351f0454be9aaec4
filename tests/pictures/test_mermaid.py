"""Every Mermaid picture of the documentation is one that Mermaid draws, as a reader's browser would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.chromium import chromium
from tests.npm import install, require_node
from tools.markdown import read_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = {
    f"{path.relative_to(ROOT)}:{block.line}": block.text
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for block in read_page(path.read_text()).code_blocks
    if block.language == "mermaid"
}
_DRAW: Final = """
async (text) => {
  mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
  try {
    await mermaid.parse(text);
    const { svg } = await mermaid.render("picture", text);
    const drawn = new DOMParser().parseFromString(svg, "text/html");
    const boxes = [...drawn.querySelectorAll(".node")].map((one) => one.textContent.trim());
    return { problem: "", boxes };
  } catch (error) {
    return { problem: String(error.message ?? error), boxes: [] };
  }
}
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    require_node("to draw the documentation's pictures")
    script = install(Path(__file__).parent) / "mermaid" / "dist" / "mermaid.min.js"
    with chromium() as browser:
        opened = browser.new_page()
        opened.route("**/*", lambda route: route.abort())
        opened.set_content("<body></body>")
        opened.add_script_tag(content=script.read_text(encoding="utf-8"))
        yield opened


def draw(page: Page, text: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(_DRAW, text)
    return found


def test_there_are_pictures() -> None:
    """Of the problem in the README, and of what runs, is deployed and imports what."""
    assert sum(name.startswith("README.md:") for name in PICTURES) == 1
    assert sum(name.startswith("docs/architecture.md:") for name in PICTURES) == 3


@pytest.mark.parametrize("text", PICTURES.values(), ids=PICTURES.keys())
def test_it_is_drawn(page: Page, text: str) -> None:
    """Without an error, and with boxes in it."""
    drawn = draw(page, text)
    assert drawn["problem"] == ""
    assert len(drawn["boxes"]) >= 5
    assert all(drawn["boxes"])


@pytest.mark.parametrize("text", ["flowchart LR\n  a --> --> b", "flowchart LR\n  a[no end --> b", "no picture at all"])
def test_what_is_no_picture_is_found(page: Page, text: str) -> None:
    """Or the test above could not fail."""
    assert draw(page, text)["problem"]
