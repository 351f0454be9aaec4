"""The command line: every command in its place."""

from __future__ import annotations

import gc
import importlib
import io
import sys
from collections import UserDict
from typing import Any, Final, NoReturn, override

import click

from shared.cli.command import Group
from shared.cli.terminal import complain, stand_in, tell
from shared.core.errors import ConfigError
from shared.report.exit_codes import INTERRUPTED, ExitCode

_NAMES: Final = ("sweep", "explain", "decide", "request", "audit", "report", "allowlist", "config", "alerts", "ledger", "demo")
"""Of commands and of groups, each in the module of its name."""


_GARBAGE: Final = 50_000
"""New objects after which garbage is looked for: imports make many and leave none, and looking takes a tenth of the start."""


class _Commands(UserDict[str, Any]):
    """By name. A module is imported when its command is asked for: importing all takes longer than most commands do.

    It has the one command of its name, or is a group.
    """

    @override
    def __getitem__(self, name: str) -> Any:
        found: click.Group = importlib.import_module(self.data[name]).COMMANDS
        return found.commands.get(name, found)


@click.group(
    "linkguard",
    cls=Group,
    commands=_Commands({name: f"shared.cli.{name}" for name in _NAMES}),
    context_settings={"color": False},  # Plain on a terminal too.
)
@click.version_option(package_name="linkguard", message="linkguard %(version)s", help="Say which version this is.")
def app() -> None:
    """Approves Azure SignalR's private connections to web apps and function apps, and proves every approval."""


def main() -> NoReturn:
    """The entry point; ends the process with the command's exit code."""
    gc.set_threshold(_GARBAGE)
    gc.freeze()  # What is imported by now stays to the end: then it need not be looked through for garbage either.
    stand_in()
    try:
        sys.exit(app(standalone_mode=False))
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        tell(shown.getvalue())
        sys.exit(error.exit_code)
    except ConfigError as error:
        complain(*error.problems)
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(INTERRUPTED)  # By itself click exits with 1, which says that something needs a person.
