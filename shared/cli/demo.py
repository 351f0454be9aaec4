"""``linkguard demo``."""

from __future__ import annotations

import typer

from shared.cli.terminal import complain
from shared.report.exit_codes import INTERRUPTED


def run() -> None:
    """See it work: a local Azure, two links, their strangers and an impostor. Needs nothing of Azure."""
    from shared.demo import main  # noqa: PLC0415  it is not deployed

    try:
        code = main()
    except KeyboardInterrupt:
        complain("interrupted")
        code = INTERRUPTED
    raise typer.Exit(code)
