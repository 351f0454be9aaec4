"""``linkguard ledger``: what was decided and done."""

from __future__ import annotations

import heapq
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import FILE, PLACE, Answer, Common, Group, OneOf, Written, command
from shared.cli.terminal import open_output, say
from shared.core.allowlist_document import parse_allowlist
from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import ConfigError, LedgerBrokenError
from shared.core.ledger import ChainCheck, ChainFault, RecordKind, canonical
from shared.report.documents import FaultItem, LedgerListDocument, LedgerShowDocument, ReplayDocument, ReplayItem, VerifyDocument
from shared.report.exit_codes import ExitCode
from shared.report.ledger_text import list_text, record_item, replay_text, show_text, verify_text
from shared.services.anchor import AnchorCheck, Anchored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from pathlib import Path

    from shared.core.allowlist import Allowlist
    from shared.core.ledger import Record
    from shared.ports import Ledger

COMMANDS: Final = Group(help="The record of what was decided and done.")

_SHORTEST_ID: Final = 8


def _open(common: Common) -> AbstractAsyncContextManager[Ledger]:
    from shared.bootstrap.stores import open_ledger  # noqa: PLC0415  not needed to show help

    return open_ledger(common.environ)


@command(COMMANDS, "list")
@click.argument(
    "subject", required=False, metavar="[ID]", help="The ARM id of a target, a connection or a link: what concerns it alone."
)
@click.option("--kind", type=OneOf(RecordKind), multiple=True, help="Records of this kind alone; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="NUMBER", help="The newest so many.")
async def list_records(common: Common, *, subject: str | None, kind: tuple[RecordKind, ...], limit: int) -> Answer:
    """List records, oldest first, the newest hundred unless told otherwise."""
    named = ArmId.parse(subject).key if subject is not None else ""
    total = 0
    newest: list[tuple[datetime, str, int, Record]] = []
    async with _open(common) as ledger:
        for chain in await ledger.chains():
            async for record in ledger.records(chain, kinds=kind, with_inputs=False):
                if named and not _concerns(record, named):
                    continue
                total += 1
                row = (record.entry.at, chain, record.sequence, record)
                (heapq.heappush if len(newest) < limit else heapq.heappushpop)(newest, row)
    records = tuple(record_item(record) for *_, record in sorted(newest, key=lambda row: row[:3]))
    document = LedgerListDocument(total=total, records=records)
    return Answer(document, partial(list_text, document))


def _concerns(record: Record, key: str) -> bool:
    """Whether a record is about the resource with this key."""
    body = record.entry.body
    match body.get("intent"):
        case {"connection": str(intended)}:
            pass
        case _:
            intended = ""
    named = [record.entry.chain, body.get("connection"), body.get("link"), intended]
    return any(isinstance(one, str) and fold_case(one) == key for one in named)


@command(COMMANDS, "show")
@click.argument("wanted", metavar="ID", help="The id of a decision or a record, or its first eight digits or more.")
async def show(common: Common, *, wanted: str) -> Answer:
    """Show a decision's records whole: what it was made from, what was intended, what came of it."""
    named = _id(wanted)
    async with _open(common) as ledger:
        related = [_related(record) async for record in _records(ledger, with_inputs=False) if _is_named(record, named)]
        wanted_ids = frozenset().union(*related)
        records = [record async for record in _records(ledger) if wanted_ids & _related(record)] if related else []
    if not records:
        raise ConfigError([f"the ledger has no record of {wanted!r}: linkguard ledger list"])
    document = LedgerShowDocument(records=tuple(record.as_json() for record in sorted(records, key=lambda one: one.entry.at)))
    return Answer(document, partial(show_text, document))


@command(COMMANDS, "verify")
@click.option("--against", type=PLACE, metavar="URL", help="The container, or a folder, with the ledger's anchors.")
async def verify(common: Common, *, against: str | None) -> Answer:
    """Check every chain: whether a record was changed, is missing, or out of order.

    With the anchors, also whether a tail was cut or a chain written anew.
    """
    faults: list[ChainFault] = []
    count = 0
    async with _open(common) as ledger, _anchors(common, against) as anchors:
        chains = await ledger.chains()
        for chain in chains:
            check, anchored = ChainCheck(chain), anchors.of(chain) if anchors else Anchored()
            try:
                async for record in ledger.records(chain):
                    count += 1
                    faults += [*check.see(record), *anchored.see(record)]
                faults += check.end(await ledger.head(chain))
                faults += anchored.end(chain, check.last.sequence)
            except LedgerBrokenError as error:
                message = f"it cannot be read: {error}"
                faults.append(ChainFault(chain=chain, sequence=check.last.sequence + 1, message=message))
        faults += await anchors.missing() if anchors else []
    items = tuple(FaultItem(chain=one.chain, sequence=one.sequence, message=one.message) for one in faults)
    document = VerifyDocument(
        ok=not faults, chains=len(chains), records=count, anchors=anchors.count if anchors else None, faults=items
    )
    return Answer(document, partial(verify_text, document), ExitCode.ATTENTION if faults else ExitCode.OK)


@asynccontextmanager
async def _anchors(common: Common, against: str | None) -> AsyncIterator[AnchorCheck | None]:
    if against is None:
        yield None
        return
    if not against:
        raise ConfigError(["--against: it is empty"])  # A variable that is not set; as a path it would be this folder.
    from shared.bootstrap.anchors import open_anchors  # noqa: PLC0415  not needed to show help

    async with open_anchors(common.environ, against) as anchors:
        check = await AnchorCheck.load(anchors)
        if not check.count:
            raise ConfigError(["--against: there are no anchors in that place, so nothing can be held to them: name another"])
        yield check


@command(COMMANDS, "export")
async def export(common: Common) -> Written:
    """Write every record whole as JSON, one a line, in each chain's order; whatever the format."""
    async with _open(common) as ledger:
        if common.output is None:
            await _export(ledger, say)
        else:
            with open_output(common.output) as file:
                await _export(ledger, file.write)
    return Written()


async def _export(ledger: Ledger, write: Callable[[str], object]) -> None:
    async for record in _records(ledger):
        write(canonical(record.as_json()) + "\n")


@command(COMMANDS, "replay")
@click.argument("wanted", required=False, metavar="[ID]", help="The id of a decision or a record; every one without it.")
@click.option("--allowlist", type=FILE, metavar="FILE", help="What the decisions would be under this allowlist.")
async def replay_records(common: Common, *, wanted: str | None, allowlist: Path | None) -> Answer:
    """Derive recorded decisions again, from their records alone, and say which come out differently."""
    named = _id(wanted) if wanted is not None else ""
    rules = await _read_allowlist(allowlist) if allowlist is not None else None
    async with _open(common) as ledger:
        replayed = [_replayed(record, rules) async for record in _records(ledger) if _is_named(record, named)]
    decisions = tuple(item for item in replayed if item is not None)
    if named and not decisions:
        raise ConfigError([f"the ledger has no decision {wanted!r}: linkguard ledger list"])
    same = all(item.same for item in decisions)
    document = ReplayDocument(same=same, allowlist=str(allowlist) if allowlist else None, decisions=decisions)
    return Answer(document, partial(replay_text, document), ExitCode.OK if same else ExitCode.ATTENTION)


async def _read_allowlist(path: Path) -> Allowlist:
    from shared.bootstrap.allowlists import allowlist_file  # noqa: PLC0415  not needed to show help

    document = await allowlist_file(path).read()
    return parse_allowlist(document.text, document.source)


def _replayed(record: Record, rules: Allowlist | None) -> ReplayItem | None:
    from shared.services.replay import replay  # noqa: PLC0415  not needed to show help

    replayed = replay(record, rules)
    if replayed is None:
        return None
    body = record.entry.body
    about = body.get("connection") or body.get("link") or ""
    return ReplayItem(
        chain=record.entry.chain,
        record=record.entry.id,
        at=record.entry.at,
        about=about if isinstance(about, str) else "",
        recorded=replayed.recorded,
        derived=replayed.derived,
        same=replayed.same,
    )


async def _records(ledger: Ledger, *, with_inputs: bool = True) -> AsyncIterator[Record]:
    for chain in await ledger.chains():
        async for record in ledger.records(chain, with_inputs=with_inputs):
            yield record


def _id(wanted: str) -> str:
    folded = wanted.strip().lower()
    if len(folded) < _SHORTEST_ID or not all(character in "0123456789abcdef" for character in folded):
        raise ConfigError([f"{wanted!r} is not the id of a decision or a record: give its first {_SHORTEST_ID} digits or more"])
    return folded


def _is_named(record: Record, start: str) -> bool:
    """Whether the record's id, or that of the decision it belongs to, begins so."""
    return any(one.startswith(start) for one in _related(record))


def _related(record: Record) -> frozenset[str]:
    """The record's id, and those of the decisions that it belongs to: a person's, the intent's, the one that it undoes."""
    body = record.entry.body
    named = (record.entry.id, body.get("decision"), body.get("human_decision"), body.get("undoes"))
    return frozenset(one for one in named if isinstance(one, str) and one)
