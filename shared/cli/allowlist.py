"""``linkguard allowlist``: checking one, and comparing two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import FILE, Answer, Common, Group, command
from shared.core.allowlist import Effect
from shared.core.allowlist_document import parse_allowlist
from shared.core.decide import STRENGTHEN
from shared.core.errors import AllowlistError
from shared.report.checks_text import allowlist_text, diff_text
from shared.report.documents import (
    AllowlistDiffDocument,
    AllowlistDocument,
    DecisionChangeItem,
    LinkChangeItem,
    RuleChangeItem,
    RuleRemark,
)
from shared.report.exit_codes import ExitCode
from shared.services.allowlist_diff import diff_rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from shared.core.allowlist import Allowlist

COMMANDS: Final = Group(help="The allowlist.")


@command(COMMANDS, "check")
@click.argument("file", type=FILE, metavar="FILE", help="The allowlist's file.")
async def check(common: Common, *, file: Path) -> Answer:
    """Check an allowlist: every problem with its line and column, and what to do about it."""
    from shared.bootstrap.allowlists import allowlist_file  # noqa: PLC0415  not needed to show help
    from shared.bootstrap.clock import make_clock  # noqa: PLC0415  the same

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


@command(COMMANDS, "diff")
@click.argument("old", type=FILE, metavar="OLD", help="The allowlist that is in force.")
@click.argument("new", type=FILE, metavar="NEW", help="The one that would take its place.")
@click.option("--rules-only", is_flag=True, help="Compare the rules, and read neither the last sweep nor the ledger.")
async def diff(common: Common, *, old: Path, new: Path, rules_only: bool) -> Answer:
    """Show what another allowlist would newly allow or allow no longer.

    For each link that the last sweep saw, and each last decision of the ledger. Exit code 1 where anything changes.
    """
    from shared.bootstrap.allowlists import allowlist_file  # noqa: PLC0415  not needed to show help
    from shared.bootstrap.reports import compare_allowlists  # noqa: PLC0415  the same

    before, after = [parse_allowlist(one.text, one.source) for one in [await allowlist_file(path).read() for path in (old, new)]]
    found = None if rules_only else await compare_allowlists(common.environ, before, after)
    rules = diff_rules(before, after)
    same = found.is_empty if found else not rules
    document = AllowlistDiffDocument(
        old=str(old),
        new=str(new),
        same=same,
        rules=tuple(RuleChangeItem(rule=one.rule, change=one.change, line=one.line) for one in rules),
        links=tuple(
            LinkChangeItem(link=one.link, target=one.target, before=one.before, after=one.after)
            for one in (found.links if found else ())
        ),
        decisions=tuple(
            DecisionChangeItem(record=one.record, about=one.about, before=one.before, after=one.after)
            for one in (found.decisions if found else ())
        ),
        links_seen=found.links_seen if found else None,
        decisions_seen=found.decisions_seen if found else None,
    )
    return Answer(document, partial(diff_text, document), ExitCode.OK if same else ExitCode.ATTENTION)


def _remarks(allowlist: Allowlist, now: datetime) -> Iterator[RuleRemark]:
    for rule in allowlist.rules:
        if rule.expired(now):
            yield RuleRemark(rule=rule.id, line=rule.line, message=f"expired on {rule.expires}: it says nothing any more")
        elif rule.effect is Effect.ALLOW and not rule.is_strong:
            message = f"weak: any requester can copy a name and a message; stronger {STRENGTHEN}"
            yield RuleRemark(rule=rule.id, line=rule.line, message=message)
