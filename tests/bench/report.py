"""How long the report of a large estate takes to make, and to be of use in a browser."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from shared.report.html import report_html
from tests.browser.chromium import chromium
from tests.report.estate import large

LINKS = 10_000
FINDINGS = 1_000
TIMES = 5

# From the navigation's start, by the browser's own clock.
_USABLE = """() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now()))))"""
_TIMED = """async (act) => {
    const start = performance.now();
    act();
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return performance.now() - start;
}"""
_ACTS = {
    "searching all links": (
        "const box = document.querySelector('#links [data-search]'); box.value = 'site-04321';"
        "box.dispatchEvent(new Event('input'))"
    ),
    "filtering all links by state": (
        "const box = document.querySelector('#links select[data-filter=state]'); box.value = 'held';"
        "box.dispatchEvent(new Event('change'))"
    ),
    "sorting all links by target": "document.querySelector('#links th:nth-child(3) button').click()",
    "following a link to the last one": "location.hash = views.find((v) => v.section.id === 'links').items.at(-1).anchor",
}


def main() -> str:
    """Making it, opening it, working with it: medians as Markdown."""
    data = large(LINKS, FINDINGS)
    start = time.perf_counter()
    text = report_html(data)
    made = time.perf_counter() - start
    usable: list[float] = []
    painted: list[float] = []
    acts: dict[str, list[float]] = {name: [] for name in _ACTS}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "report.html"
        file.write_text(text, encoding="utf-8")
        for _ in range(TIMES):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(file.as_uri(), wait_until="commit")
            page.wait_for_selector("html[data-ready]", state="attached")
            usable.append(page.evaluate(_USABLE) / 1000)
            painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
            for name, script in _ACTS.items():
                acts[name].append(page.evaluate(f"({_TIMED})(() => {{ {script} }})") / 1000)
            page.close()
    rows = [
        ("making the page", made),
        ("first content painted", statistics.median(painted)),
        ("usable: script run, frame drawn (goal 2)", statistics.median(usable)),
        *((name, statistics.median(times)) for name, times in acts.items()),
    ]
    held = len(data.sweep.held) if data.sweep else 0
    records, size = len(data.ledger.timeline), len(text.encode()) / 1e6
    audited = len({item.target for item in data.traffic})
    said = (
        f"{LINKS:,} links, {held} of them held with their evidence, {FINDINGS:,} findings, {audited:,} audited targets with "
        f"{len(data.traffic):,} verdicts, {records:,} records: {size:.1f} MB"
    )
    table = [f"{said}; medians of {TIMES}, the slowest usable after {max(usable):.2f} s.", "", "| step | seconds |", "|---|---|"]
    return "\n".join([*table, *(f"| {name} | {seconds:.2f} |" for name, seconds in rows)])
