"""``python -m tests.browser.images``: the screenshots of docs/images, made anew."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from shared.report.html import report_html
from tests.browser.chromium import chromium
from tests.report.estate import small

FOLDER: Final = Path(__file__).parent.parent.parent / "docs" / "images"
SIZES: Final = {1280: 1560, 390: 1500}
"""Width and height."""


def main() -> None:
    """Wide and narrow, light and dark."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "report.html"
        file.write_text(report_html(small()), encoding="utf-8")
        for width, height in SIZES.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
                )
                page.goto(file.as_uri())
                page.wait_for_selector("html[data-ready]", state="attached")
                page.screenshot(path=FOLDER / f"report-{width}-{scheme}.png")
                page.close()


if __name__ == "__main__":
    main()
