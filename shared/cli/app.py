"""The command line: every command in its place."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from shared.cli import alerts, allowlist, audit, config, decide, demo, explain, ledger, report, request, sweep
from shared.cli.command import command
from shared.cli.terminal import say

app = typer.Typer(
    name="linkguard",
    help="Approves Azure SignalR's private connections to web apps and function apps, and proves every approval.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_allowlist = typer.Typer(help="The allowlist.", no_args_is_help=True)
_config = typer.Typer(help="The configuration.", no_args_is_help=True)
_alerts = typer.Typer(help="What is told of findings, and to whom.", no_args_is_help=True)
_ledger = typer.Typer(help="The record of what was decided and done.", no_args_is_help=True)

command(app, "sweep")(sweep.run)
command(app, "explain")(explain.run)
command(app, "decide")(decide.run)
command(app, "request")(request.run)
command(app, "audit", formats=audit.AuditFormat)(audit.run)
command(app, "report", formats=report.ReportFormat)(report.run)
app.add_typer(_allowlist, name="allowlist")
command(_allowlist, "check")(allowlist.check)
command(_allowlist, "diff")(allowlist.diff)
app.add_typer(_config, name="config")
command(_config, "check")(config.check)
app.add_typer(_alerts, name="alerts")
command(_alerts, "list")(alerts.list_alerts)
command(_alerts, "test")(alerts.test)
command(_alerts, "retry")(alerts.retry)
app.add_typer(_ledger, name="ledger")
command(_ledger, "list")(ledger.list_records)
command(_ledger, "show")(ledger.show)
command(_ledger, "verify")(ledger.verify)
command(_ledger, "export")(ledger.export)
command(_ledger, "replay")(ledger.replay_records)
command(app, "demo")(demo.run)


def _version(asked: bool) -> None:  # noqa: FBT001  typer hands it over so
    if asked:
        say(f"linkguard {importlib.metadata.version('linkguard')}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Options before any command."""


def main() -> None:
    """The entry point; ends the process with the command's exit code."""
    app()
