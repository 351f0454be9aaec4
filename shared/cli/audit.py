"""``linkguard audit``: is the traffic really private?"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

import click

from shared.adapters.log_format import LogFormat
from shared.cli.command import PLACE, Answer, Common, Group, OneOf, command
from shared.core.address import PrivateRanges
from shared.core.arm_id import ArmId
from shared.core.errors import ConfigError
from shared.core.model import Target
from shared.core.time_text import parse_time
from shared.core.traffic import Freshness
from shared.core.upstream_path import FUNCTIONS_WEBHOOK, parse_patterns
from shared.report.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.report.style import Style
    from shared.services.audit import AuditResult


COMMANDS: Final = Group()


class AuditFormat(StrEnum):
    """How an audit is written."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    OCSF = "ocsf"
    HTML = "html"


STALE_AFTER: Final = timedelta(hours=1)
_DEFAULT_WINDOW: Final = timedelta(days=1)
"""Of a workspace, where --since is not given."""


@command(COMMANDS, "audit", formats=AuditFormat)
@click.argument("more", type=PLACE, nargs=-1, metavar="[PATH]...", help="More log files, as a shell expands a glob.")
@click.option(
    "--logs",
    type=PLACE,
    multiple=True,
    metavar="PATH",
    help="A log file, a folder, a glob, or - for standard input; may be repeated.",
)
@click.option("--workspace", multiple=True, metavar="ID", help="A Log Analytics workspace, by its workspace id; may be repeated.")
@click.option(
    "--blobs", multiple=True, metavar="URL", help="A container of exported logs, with a prefix if wanted; may be repeated."
)
@click.option("--since", metavar="TIME", help="The window's first moment: ISO 8601, or how long ago, such as 1h.")
@click.option("--until", metavar="TIME", help="The first moment after the window; it judges staleness.")
@click.option("--target", multiple=True, metavar="ID", help="The ARM id of a site or slot; may be repeated.")
@click.option(
    "--upstream-path",
    multiple=True,
    metavar="PATTERN",
    help=f"A path of upstream calls, as {FUNCTIONS_WEBHOOK}; may be repeated.",
)
@click.option("--private-range", multiple=True, metavar="CIDR", help="What alone counts as private; may be repeated.")
@click.option(
    "--log-format", type=OneOf(LogFormat), default=LogFormat.AUTO.value, show_default=True, help="How the files are written."
)
async def run(  # noqa: PLR0913  each is an option of its own
    common: Common,
    *,
    more: tuple[str, ...],
    logs: tuple[str, ...],
    workspace: tuple[str, ...],
    blobs: tuple[str, ...],
    since: str | None,
    until: str | None,
    target: tuple[str, ...],
    upstream_path: tuple[str, ...],
    private_range: tuple[str, ...],
    log_format: LogFormat,
) -> Answer:
    """Judge from logs whether SignalR's calls to a target were private: private, public-seen or inconclusive."""
    from shared.bootstrap.clock import make_clock  # noqa: PLC0415  not needed to show help
    from shared.bootstrap.traffic import open_traffic  # noqa: PLC0415  the same
    from shared.ports import TrafficQuestion  # noqa: PLC0415  the same
    from shared.services.audit import Inquiry, audit  # noqa: PLC0415  the same

    now = make_clock().now()
    paths = [*logs, *more]
    if not paths and not workspace and not blobs:
        raise ConfigError(["nothing to audit: give --logs PATH, --blobs URL or --workspace ID"])
    begin, end = _time("--since", since, now), _time("--until", until, now)
    if begin is not None and begin >= (end or now):
        raise ConfigError(
            [f"--since: {begin:%Y-%m-%dT%H:%M:%SZ} is not before --until, which is {end or now:%Y-%m-%dT%H:%M:%SZ}"]
        )
    question = TrafficQuestion(
        since=begin,
        until=end,
        targets=tuple(Target(ArmId.parse(one)) for one in target),
        paths=parse_patterns(upstream_path or (FUNCTIONS_WEBHOOK,)),
        ranges=PrivateRanges.parse(private_range),
    )
    windowed = TrafficQuestion(
        since=question.since or (end or now) - _DEFAULT_WINDOW,
        until=end or now,
        targets=question.targets,
        paths=question.paths,
        ranges=question.ranges,
    )
    fresh = None if end is None else Freshness(until=end, at_most=STALE_AFTER)
    always = Freshness(until=end or now, at_most=STALE_AFTER)
    with _progress() as bar:
        async with open_traffic(
            common.environ,
            logs=paths,
            log_format=log_format,
            blobs=blobs,
            workspaces=workspace,
            progress=bar.advance,
        ) as traffic:
            bar.planned(traffic.size)
            inquiries = [Inquiry(source=one, question=question, freshness=fresh) for one in traffic.files]
            inquiries += [Inquiry(source=one, question=windowed, freshness=always) for one in traffic.remote]
            result = await audit(inquiries)
    return Answer(_document(result), lambda style: _render(result, AuditFormat(common.format), style, now), _code(result))


def _code(result: AuditResult) -> ExitCode:
    if not result.complete:
        return ExitCode.INCOMPLETE
    return ExitCode.OK if result.is_private else ExitCode.ATTENTION


def _document(result: AuditResult) -> object:
    from shared.report.audit_document import audit_document  # noqa: PLC0415  not needed to show help

    return audit_document(result.targets, result.lines)


def _render(result: AuditResult, wanted: AuditFormat, style: Style, now: datetime) -> str:
    from shared.report.audit_text import audit_csv, audit_html, audit_ocsf, audit_text  # noqa: PLC0415  not needed to show help
    from shared.report.json_text import json_text  # noqa: PLC0415  the same

    match wanted:
        case AuditFormat.TEXT:
            return audit_text(result.targets, result.lines, style)
        case AuditFormat.JSON:
            return json_text(_document(result))
        case AuditFormat.CSV:
            return audit_csv(result.targets)
        case AuditFormat.OCSF:
            import importlib.metadata  # noqa: PLC0415  the same

            return audit_ocsf(result.targets, now, importlib.metadata.version("linkguard"))
        case AuditFormat.HTML:
            return audit_html(result.targets, result.lines, now)
        case _ as never:
            assert_never(never)


def _time(option: str, text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    from shared.config import parse_duration  # noqa: PLC0415  only where a time is given

    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        moment = parse_time(text)
    if moment is None:
        raise ConfigError([f"{option}: {text[:40]!r} is neither a time such as 2026-11-23T10:00:00Z nor a duration such as 1h"])
    return moment


class _Bar:
    """Bytes and their rate, where somebody watches."""

    def __init__(self, advance: Callable[[int], None], planned: Callable[[int | None], None]) -> None:
        self.advance = advance
        self.planned = planned


@contextmanager
def _progress() -> Iterator[_Bar]:
    if not sys.stderr.isatty():
        yield _Bar(lambda _: None, lambda _: None)
        return
    from rich.console import Console  # noqa: PLC0415  only where somebody watches
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415  the same

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def planned(total: int | None) -> None:
            bar.update(task, total=total)
            bar.advance(task, 0)  # A rate needs a first point.

        yield _Bar(lambda count: bar.advance(task, count), planned)
