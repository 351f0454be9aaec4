"""``linkguard demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli.terminal import complain
from shared.report.exit_codes import INTERRUPTED, ExitCode


def run(
    *,
    functions: Annotated[
        bool, typer.Option("--functions", help="Through the real Functions worker and Azurite; wants Node.")
    ] = False,
) -> None:
    """See it work: a local Azure, two links, their strangers and an impostor. Needs nothing of Azure."""
    try:
        code = _functions() if functions else _here()
    except KeyboardInterrupt:
        complain("interrupted")
        code = INTERRUPTED
    raise typer.Exit(code)


def _here() -> int:
    from shared.demo import main  # noqa: PLC0415  it is not deployed

    return main()


def _functions() -> int:
    from shared.demo_functions import main, missing  # noqa: PLC0415  it is not deployed

    if problem := missing():
        complain(problem)
        return int(ExitCode.USAGE)
    return main()
