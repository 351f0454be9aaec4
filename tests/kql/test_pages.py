"""Queries on the pages, for people to paste, by Microsoft's own analyser."""

from __future__ import annotations

from pathlib import Path

from tests.kql.analyser import analyse
from tools.markdown import read_page

DOCS = Path(__file__).parents[2] / "docs"
TABLES = {
    "traces": "(timestamp:datetime, message:string, severityLevel:int, customDimensions:dynamic, operation_Id:string)",
    "AppTraces": "(TimeGenerated:datetime, Message:string, SeverityLevel:int, Properties:dynamic, OperationId:string)",
}
"""As far as the pages use them: https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces"""


def test_the_queries_on_the_pages_are_right() -> None:
    """No unknown column, no wrong type, wherever a page shows a query; and a wrong one is found."""
    queries = {
        f"{page.name}:{block.line}": block.text
        for page in sorted(DOCS.rglob("*.md"))
        for block in read_page(page.read_text(encoding="utf-8")).code_blocks
        if block.language == "kusto"
    }
    assert any(name.startswith("telemetry.md") for name in queries)
    found = analyse(queries | {"wrong": "traces | where nothing == 1"}, TABLES)
    assert found.pop("wrong").problems
    assert {name: analysis.problems for name, analysis in found.items() if analysis.problems} == {}
