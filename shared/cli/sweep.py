"""``linkguard sweep``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import Answer, Common, Group, command
from shared.cli.terminal import LOGGER
from shared.config import parse_duration
from shared.core.errors import ConfigError
from shared.report.sweep_text import sweep_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from shared.services.results import TargetResult

COMMANDS: Final = Group()

_DEFAULT_TIMEOUT = "5m"
_LONGEST = timedelta(days=1)


@command(COMMANDS, "sweep")
@click.option("--dry-run", is_flag=True, help="Record nothing and write nothing, whatever the mode.")
@click.option("--wait", is_flag=True, help="Go on until nothing is left to wait for, or the timeout.")
@click.option(
    "--timeout", metavar="DURATION", help=f"How long --wait goes on: 30s, 5m, 2h; {_DEFAULT_TIMEOUT} where it does not say."
)
@click.option("--all-sites", is_flag=True, help="Also report pending connections of sites that are not watched.")
async def run(
    common: Common,
    *,
    dry_run: bool,
    wait: bool,
    timeout: str | None,  # noqa: ASYNC109  what the person asks for, not one await's
    all_sites: bool,
) -> Answer:
    """Look at every watched target, and approve what is proven.

    In observe mode nothing is approved: what would be is shown.
    """
    from shared.bootstrap.application import open_application  # noqa: PLC0415  not needed to show help
    from shared.cli.present import sweep_document, sweep_exit_code  # noqa: PLC0415  the same
    from shared.services.wait import sweep_until_done  # noqa: PLC0415  the same

    limit = _read_timeout(timeout, wait=wait)
    everywhere = all_sites or None
    async with open_application(common.environ, dry_run=dry_run) as application:
        settings = application.settings
        LOGGER.info("mode %s, %s, %d subscriptions", settings.mode, settings.arm_endpoint.url, len(settings.subscriptions))
        with _progress() as progress:
            if wait:
                result = await sweep_until_done(
                    application.engine, timeout=limit, progress=progress, dry_run=dry_run, all_sites=everywhere
                )
            else:
                result = await application.sweep(progress, all_sites=everywhere)
        calls = application.engine.azure.calls
        LOGGER.info("%d reads, %d writes, %d throttled", calls.reads, calls.writes, calls.throttled)
        document = sweep_document(result, settings.mode)
    code = sweep_exit_code(result, timed_out=wait and result.waiting)
    return Answer(document, partial(sweep_text, document), code)


def _read_timeout(text: str | None, *, wait: bool) -> timedelta:
    if not wait and text is not None:
        raise ConfigError(["--timeout goes with --wait"])
    try:
        limit = parse_duration(_DEFAULT_TIMEOUT if text is None else text)
    except ValueError as error:
        raise ConfigError([f"--timeout: {error}"]) from error
    if not timedelta() < limit <= _LONGEST:
        raise ConfigError(["--timeout: give a time of more than nothing and at most a day"])
    return limit


class _Watcher:
    """Says how far a sweep has come: to the log, and to a bar where somebody watches."""

    def __init__(self, bar: RichProgress | None) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def planned(self, targets: int) -> None:
        """So many targets will be looked at."""
        LOGGER.info("%d watched targets", targets)
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task("looking at targets", total=targets)

    def done(self, result: TargetResult | None) -> None:
        """One more target was looked at; None where it could not be."""
        self.looked_again(result)
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def looked_again(self, result: TargetResult | None) -> None:
        """A target that something is waited for on was looked at again."""
        if result is not None:
            LOGGER.info("%s: %s", result.target, ", ".join(one.verdict for one in result.decisions) or "nothing there")
        if self._bar is not None and self._task is not None and result is not None:
            self._bar.update(self._task, description="waiting" if result.waiting else "looking at targets")


@contextmanager
def _progress() -> Iterator[_Watcher]:
    if not sys.stderr.isatty():
        yield _Watcher(None)
        return
    from rich.console import Console  # noqa: PLC0415  only where somebody watches
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  the same

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Watcher(bar)
