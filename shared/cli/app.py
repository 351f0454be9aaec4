"""The command line: every command in its place."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
from collections import UserDict
from typing import Annotated, Any, Final, override

import typer
from typer.core import TyperGroup
from typer.main import get_command

from shared.cli.terminal import say, stand_in

_NAMES: Final = ("sweep", "explain", "decide", "request", "audit", "report", "allowlist", "config", "alerts", "ledger", "demo")
"""Of commands and of groups, each in the module of its name."""


_GARBAGE: Final = 50_000
"""New objects after which garbage is looked for: imports make many and leave none, and looking takes a tenth of the start."""


class _Commands(UserDict[str, Any]):
    """By name. A command's module is imported when it is asked for: importing all takes longer than most commands do."""

    @override
    def __getitem__(self, name: str) -> Any:
        found = get_command(importlib.import_module(self.data[name]).COMMANDS)
        found.name = name
        return found


class _Root(TyperGroup):
    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  typer's own
        super().__init__(**attributes)
        self.commands = _Commands({name: f"shared.cli.{name}" for name in _NAMES})


app = typer.Typer(
    name="linkguard",
    cls=_Root,
    help="Approves Azure SignalR's private connections to web apps and function apps, and proves every approval.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    gc.set_threshold(_GARBAGE)
    stand_in()
    app()
