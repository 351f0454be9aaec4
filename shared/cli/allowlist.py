"""``linkguard allowlist check``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli.command import Answer, Common
from shared.core.allowlist import Effect
from shared.core.allowlist_document import parse_allowlist
from shared.core.decide import STRENGTHEN
from shared.core.errors import AllowlistError
from shared.report.checks_text import allowlist_text
from shared.report.documents import AllowlistDocument, RuleRemark
from shared.report.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.core.allowlist import Allowlist

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The allowlist's file.")]


async def check(common: Common, *, file: FileArgument) -> Answer:
    """Check an allowlist: every problem with its line and column, and what to do about it."""
    from shared.bootstrap import allowlist_file, make_clock  # noqa: PLC0415  not needed to show help

    del common
    try:
        document = await allowlist_file(file).read()
        allowlist = parse_allowlist(document.text, document.source)
    except AllowlistError as error:
        invalid = AllowlistDocument(
            file=str(file), valid=False, digest=None, paused=None, rules=None, problems=error.problems, remarks=()
        )
        return Answer(invalid, partial(allowlist_text, invalid), ExitCode.USAGE)
    valid = AllowlistDocument(
        file=str(file),
        valid=True,
        digest=allowlist.digest,
        paused=allowlist.paused,
        rules=len(allowlist.rules),
        problems=(),
        remarks=tuple(_remarks(allowlist, make_clock().now())),
    )
    return Answer(valid, partial(allowlist_text, valid))


def _remarks(allowlist: Allowlist, now: datetime) -> Iterator[RuleRemark]:
    for rule in allowlist.rules:
        if rule.expired(now):
            yield RuleRemark(rule=rule.id, line=rule.line, message=f"expired on {rule.expires}: it says nothing any more")
        elif rule.effect is Effect.ALLOW and not rule.is_strong:
            message = f"weak: any requester can copy a name and a message; stronger {STRENGTHEN}"
            yield RuleRemark(rule=rule.id, line=rule.line, message=message)
