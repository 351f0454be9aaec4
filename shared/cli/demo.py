"""``linkguard demo``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import Answer, Common, Format, Group, Written, command
from shared.cli.terminal import say
from shared.core.errors import ConfigError
from shared.report.documents import DemoDocument
from shared.report.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: Final = Group()


@command(COMMANDS, "demo")
@click.option("--functions", is_flag=True, help="Through the real Functions worker and Azurite; wants Node.")
async def run(common: Common, *, functions: bool) -> Answer | Written:
    """See it work: a local Azure, two links, their strangers and an impostor. Needs nothing of Azure."""
    told: list[str] = []
    as_it_happens = common.format == Format.TEXT and common.output is None

    def tell(line: str) -> None:
        told.append(line)
        if as_it_happens:
            say(f"{line}\n")

    play = _through_functions if functions else _here
    code = ExitCode.OK if await play(tell) == 0 else ExitCode.ATTENTION
    if as_it_happens:
        return Written(code)
    return Answer(
        DemoDocument(ok=code is ExitCode.OK, told=tuple(told)), lambda _style: "".join(f"{line}\n" for line in told), code
    )


async def _here(tell: Callable[[str], None]) -> int:
    from shared import demo  # noqa: PLC0415  it is not deployed

    return await demo.run(tell)


async def _through_functions(tell: Callable[[str], None]) -> int:
    from shared import demo_functions  # noqa: PLC0415  it is not deployed

    if problem := demo_functions.missing():
        raise ConfigError([problem])
    return await demo_functions.run(tell)
