"""The command ``linkguard``."""

from shared.cli.app import app, main
from shared.report.exit_codes import ExitCode

__all__ = ["ExitCode", "app", "main"]
