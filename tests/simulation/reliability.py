"""The figures of docs/reliability.md, put there by the commands that make them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.simulation.happened import CATALOGUE

if TYPE_CHECKING:
    from tests.simulation.campaign import Campaign

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
_RACE: Final = re.compile(r"race \d( ended .*)?")


def figures(result: Campaign, seconds: float) -> str:
    """What a campaign came to, as Markdown."""
    counts = result.counts
    rows = [
        ("stories", f"{result.seeds:,}"),
        ("violations", f"{len(result.failed):,}"),
        ("virtual hours", f"{result.hours:,.0f}"),
        ("crashes of workers", f"{counts['crashes']:,}"),
        ("ledger records", f"{sum(number for name, number in counts.items() if name.startswith('record ')):,}"),
        ("approvals sent by the engine", f"{counts['write Approved']:,}"),
        ("approvals confirmed", f"{counts['confirmed']:,}"),
        ("approvals revoked because their rule was gone", f"{result.happened['an approval revoked']:,}"),
        ("approvals and rejections by persons", f"{_sum(counts, 'write Approved by', 'write Rejected by'):,}"),
        ("approvals taken back: an impostor's", f"{counts['taken back, impostor']:,}"),
        (
            "approvals taken back: the genuine one, by a named race or by `LINKGUARD_TAKE_BACK=deadline`",
            f"{counts['taken back, genuine']:,}",
        ),
        ("race 1: the genuine connection is gone, unseen", f"{counts['race 1']:,}"),
        ("race 2: the genuine connection comes late", f"{counts['race 2']:,}"),
        ("race 3: the genuine one taken back beside a later impostor", f"{counts['race 3']:,}"),
        ("awaits of the services that were come to", f"{len(result.awaits):,}"),
        ("awaits of the services at which a worker died", f"{len(result.died_at & result.awaits):,}"),
        ("stories told again, for a worker to die where none did by chance", f"{result.again:,}"),
        ("minutes, all cores of the machine that made this table", f"{seconds / 60:.1f}"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def happened(result: Campaign) -> str:
    """How often each trouble came, and in how many stories."""
    rows = ["| by | what | times | in stories |", "|---|---|---|---|"]
    for by, names in CATALOGUE.items():
        for place, name in enumerate(names):
            rows.append(f"| {'' if place else by} | {name} | {result.happened[name]:,} | {result.stories[name]:,} |")
    return "\n".join(rows)


def missing(result: Campaign) -> list[str]:
    """What never happened."""
    survived = [f"a worker dies at {place}" for place in sorted(result.awaits - result.died_at)]
    return [name for names in CATALOGUE.values() for name in names if not result.stories[name]] + survived


def _sum(counts: dict[str, int], *names: str) -> int:
    return sum(number for key, number in counts.items() if key.startswith(names))


def put(name: str, table: str) -> None:
    """Replace what stands between the page's markers of ``name``.

    Raises:
        LookupError: where the page has no such markers.

    """
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        message = f"{PAGE.name} has no markers for {name}"
        raise LookupError(message)
    PAGE.write_text(pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text), encoding="utf-8")
