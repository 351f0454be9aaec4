"""``linkguard report``: what the last sweep and the ledger say, for people and for other programs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

import click

from shared.cli.command import Answer, Common, Group, OneOf, command
from shared.core.errors import ConfigError
from shared.report.exit_codes import ExitCode
from shared.report.report_csv import ReportTable, report_csv
from shared.report.report_document import report_document

if TYPE_CHECKING:
    from shared.core.report_data import ReportData


COMMANDS: Final = Group()


class ReportFormat(StrEnum):
    """How the report is written."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"
    OCSF = "ocsf"


@command(COMMANDS, "report", formats=ReportFormat)
@click.option("--table", type=OneOf(ReportTable), help="Which table, as CSV; links without it.")
async def run(common: Common, *, table: ReportTable | None) -> Answer:
    """Write the report: one HTML page with every link, finding, held connection, traffic verdict and record.

    Reads the last sweep and the ledger; never asks Azure.
    """
    from shared.bootstrap.reports import read_report  # noqa: PLC0415  not needed to show help

    wanted = ReportFormat(common.format)
    if table is not None and wanted is not ReportFormat.CSV:
        raise ConfigError(["--table goes with --format csv"])
    data = await read_report(common.environ)
    document = report_document(data)
    code = ExitCode.OK if document.summary.ok else ExitCode.ATTENTION
    return Answer(document, lambda _: _render(data, wanted, table or ReportTable.LINKS), code)


def _render(data: ReportData, wanted: ReportFormat, table: ReportTable) -> str:
    match wanted:
        case ReportFormat.HTML:
            from shared.report.html import report_html  # noqa: PLC0415  the templates are not needed elsewhere

            return report_html(data)
        case ReportFormat.CSV:
            return report_csv(data, table)
        case ReportFormat.OCSF:
            import importlib.metadata  # noqa: PLC0415  the same

            from shared.report.ocsf import ocsf_finding, ocsf_lines  # noqa: PLC0415  the same

            return ocsf_lines(map(ocsf_finding, data.findings), importlib.metadata.version("linkguard"))
        case ReportFormat.JSON:
            from shared.report.json_text import json_text  # noqa: PLC0415  the same

            return json_text(report_document(data))
        case _ as never:
            assert_never(never)
