"""Anchoring: what a ledger's own hashes cannot show, its anchors do. Both places for anchors keep the same rules."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.anchors import BlobAnchors, FolderAnchors
from shared.adapters.sqlite_store import SqliteStore
from shared.bootstrap.anchors import export_ledger, open_anchors
from shared.cli import ExitCode
from shared.core.errors import ConfigError, LedgerBrokenError, StoreConflictError, StoreUnavailableError
from shared.core.ledger import EMPTY, Entry, Record, RecordKind, seal, verify_chain
from shared.local_azure import LocalAzure
from shared.services import anchor
from shared.services.anchor import AnchorCheck, AnchorName, chain_digest, export, export_and_tell
from tests.desk import Desk
from tests.fakes.ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from shared.core.ledger import Json
    from shared.services.anchor import AnchorStore
    from tests.azurite.server import Azurite

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def append(ledger: MemoryLedger, chain: str, count: int, text: str = "") -> None:
    for _ in range(count):
        head = await ledger.head(chain)
        body: dict[str, Json] = {"text": text}
        entry = Entry(chain=chain, id=f"{text}{head.sequence + 1}", kind=RecordKind.ALERT, at=NOW, body=body)
        await ledger.append(seal(entry, head))


@asynccontextmanager
async def container(azurite: Azurite) -> AsyncIterator[BlobAnchors]:
    async with BlobAnchors.with_connection_string(azurite.connection_string, f"anchors-{uuid4().hex}") as anchors:
        await anchors._client.create_container()
        yield anchors


@pytest.fixture(params=["folder", "container"])
async def anchors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnchorStore]:
    if request.param == "folder":
        async with FolderAnchors(tmp_path) as folder:
            yield folder
    else:
        async with container(request.getfixturevalue("azurite")) as blobs:
            yield blobs


async def faults(ledger: MemoryLedger, anchors: AnchorStore) -> list[str]:
    """What ``ledger verify --against`` finds of anchors alone."""
    check = await AnchorCheck.load(anchors)
    found = []
    for chain in await ledger.chains():
        anchored, last = check.of(chain), 0
        async for record in ledger.records(chain):
            found += [fault.message for fault in anchored.see(record)]
            last = record.sequence
        found += [fault.message for fault in anchored.end(chain, last)]
    return [*found, *(fault.message for fault in await check.missing())]


async def test_an_anchor_is_created_and_never_replaced(anchors: AnchorStore) -> None:
    """What is there stays as it is, and is read as it was written."""
    await anchors.create("a/1.jsonl", b"one\n")
    with pytest.raises(StoreConflictError):
        await anchors.create("a/1.jsonl", b"two\n")
    await anchors.create("b/1.jsonl", b"")
    assert await anchors.read("a/1.jsonl") == b"one\n"
    assert [name async for name in anchors.names("")] == ["a/1.jsonl", "b/1.jsonl"]
    assert [name async for name in anchors.names("b/")] == ["b/1.jsonl"]
    with pytest.raises(StoreUnavailableError):
        await anchors.read("c/1.jsonl")


async def test_each_export_anchors_what_is_new(anchors: AnchorStore) -> None:
    """The first everything, the next what came since, one without news nothing."""
    ledger = MemoryLedger()
    await append(ledger, "one", 3)
    await append(ledger, "two", 1)
    assert (await export(ledger, anchors)).records == 4
    assert (await export(ledger, anchors)).records == 0
    await append(ledger, "one", 2)
    result = await export(ledger, anchors)
    assert (result.chains, result.records, result.faults) == (2, 2, ())
    assert await faults(ledger, anchors) == []


async def test_a_chain_can_be_restored_from_its_anchors(anchors: AnchorStore) -> None:
    """The records themselves are in them, whole and in order."""
    ledger = MemoryLedger()
    await append(ledger, "one", 3)
    await export(ledger, anchors)
    await append(ledger, "one", 2)
    await export(ledger, anchors)
    lines = [line async for name in anchors.names(chain_digest("one")) for line in (await anchors.read(name)).splitlines()]
    records = [Record.from_json(json.loads(line)) for line in lines]
    assert list(verify_chain("one", records, await ledger.head("one"))) == []


async def test_long_chains_become_several_anchors(anchors: AnchorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number of records and by size; none is lost between two."""
    monkeypatch.setattr(anchor, "MOST_RECORDS", 4)
    ledger = MemoryLedger()
    await append(ledger, "one", 10)
    assert (await export(ledger, anchors)).records == 10
    names = [AnchorName.parse(name) async for name in anchors.names("")]
    assert [(name.first, name.last) for name in names if name] == [(1, 4), (5, 8), (9, 10)]
    monkeypatch.setattr(anchor, "MOST_BYTES", 10)
    await append(ledger, "one", 2)
    await export(ledger, anchors)
    assert len([name async for name in anchors.names("")]) == 5
    assert await faults(ledger, anchors) == []


async def test_a_cut_tail_is_found(anchors: AnchorStore) -> None:
    """Though the head was moved back with it, so that the chain by itself verifies. Nothing is anchored over it."""
    ledger, cut = MemoryLedger(), MemoryLedger()
    await append(ledger, "one", 3)
    await export(ledger, anchors)
    await append(cut, "one", 2)
    assert [record.sequence async for record in cut.records("one")] == [1, 2]
    assert await faults(cut, anchors) == ["an anchor has 3 records of this chain, the ledger 2: its tail was cut"]
    result = await export(cut, anchors)
    assert [fault.sequence for fault in result.faults] == [3]
    assert result.records == 0


async def test_a_chain_that_was_written_anew_is_found(anchors: AnchorStore) -> None:
    """As long as it was, longer, or shorter: its hashes are others."""
    ledger = MemoryLedger()
    await append(ledger, "one", 2)
    await export(ledger, anchors)
    for count in (2, 5):
        anew = MemoryLedger()
        await append(anew, "one", count, "forged")
        assert await faults(anew, anchors) == ["an anchor has another hash for this record: the chain was written anew"]
        assert (await export(anew, anchors)).faults
    assert await faults(ledger, anchors) == []


async def test_a_chain_that_is_gone_is_found_by_its_name(anchors: AnchorStore) -> None:
    """Which an anchor still holds."""
    ledger = MemoryLedger()
    await append(ledger, "one", 2)
    await append(ledger, "two", 1)
    await export(ledger, anchors)
    left = MemoryLedger()
    await append(left, "two", 1)
    check = await AnchorCheck.load(anchors)
    assert check.count == 2
    check.of("two")
    assert [(fault.chain, fault.message) for fault in await check.missing()] == [
        ("one", "an anchor has 2 records of this chain, the ledger none")
    ]


async def test_an_export_finds_a_chain_that_is_gone(anchors: AnchorStore) -> None:
    """Though the ledger has nothing left to say of it, and though nobody verifies; a note beside the chains is none."""
    ledger = MemoryLedger()
    await append(ledger, "one", 2)
    await append(ledger, "two", 1)
    await anchors.create("notes/README.txt", b"hands off")
    assert (await export(ledger, anchors)).faults == ()
    assert await anchors.chains() == {chain_digest("one"), chain_digest("two"), "notes"}
    left = MemoryLedger()
    await append(left, "two", 2)
    result = await export(left, anchors)
    assert [(fault.chain, fault.message) for fault in result.faults] == [
        ("one", "an anchor has 2 records of this chain, the ledger none")
    ]
    assert result.records == 1, "the others are anchored all the same"
    assert {fault.chain for fault in (await export(MemoryLedger(), anchors)).faults} == {"one", "two"}


async def test_a_broken_chain_is_not_anchored_and_the_others_are(anchors: AnchorStore) -> None:
    """And it is told, as a record and as a failure of the function."""
    ledger = MemoryLedger()
    await append(ledger, "one", 2)
    await append(ledger, "two", 1)
    ledger._chains["one"][0] = ledger._chains["one"][0].replace('"text":""', '"text":"x"')
    told: list[tuple[str, Mapping[str, Json], str]] = []

    class Telemetry:
        def record(self, name: str, fields: Mapping[str, Json], *, severity: str) -> None:
            told.append((name, fields, severity))

        def measure(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
            raise AssertionError(name, value, dimensions)

    with pytest.raises(LedgerBrokenError, match="record 1 of one"):
        await export_and_tell(ledger, anchors, Telemetry())
    assert told == [("anchor", {"chains": 2, "records": 1, "faults": 1}, "error")]
    assert [name.split("/")[0] async for name in anchors.names("")] == [chain_digest("two")]


async def test_what_is_no_anchor_is_left_alone(anchors: AnchorStore) -> None:
    """Somebody may keep a note beside them."""
    await anchors.create("README.txt", b"hands off")
    ledger = MemoryLedger()
    await append(ledger, "one", 1)
    await export(ledger, anchors)
    assert (await AnchorCheck.load(anchors)).count == 1


@given(chain=st.text(), first=st.integers(1, 10**15), more=st.integers(0, 10**5), digest=st.binary(min_size=32, max_size=32))
def test_a_name_is_read_back_as_it_was_written(chain: str, first: int, more: int, digest: bytes) -> None:
    """Whatever the chain is called."""
    name = AnchorName(chain=chain_digest(chain), first=first, last=first + more, hash=digest.hex())
    assert AnchorName.parse(name.text) == name


@given(st.text())
def test_any_text_is_a_name_or_none(text: str) -> None:
    """Never an error."""
    assert AnchorName.parse(text) is None


def test_the_command_finds_what_the_anchors_know(tmp_path: Path) -> None:
    """Exit code 1 and the place; and 2 for a place that is none."""
    folder = tmp_path / "anchors"
    folder.mkdir()
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        desk.put_link()
        desk.run("sweep", "--wait")
        asyncio.run(export_ledger({"LINKGUARD_LEDGER": f"sqlite:///{desk.ledger}", "LINKGUARD_ANCHORS": str(folder)}))
    verified = desk_verify(desk, str(folder))
    assert verified == (ExitCode.OK, [])
    (first,) = (path for path in folder.rglob("*.jsonl"))
    name = AnchorName.parse(str(first.relative_to(folder)))
    assert name is not None
    longer = AnchorName(chain=name.chain, first=name.last + 1, last=name.last + 2, hash="0" * 64)
    (folder / longer.text).write_text("")
    code, messages = desk_verify(desk, str(folder))
    assert code == ExitCode.ATTENTION
    assert ["its tail was cut" in message for message in messages] == [True]
    assert desk.run("ledger", "verify", "--against", str(tmp_path / "nowhere")).code == ExitCode.USAGE
    assert desk.run("ledger", "verify", "--against", "http://127.0.0.1/container").code == ExitCode.USAGE


def test_nothing_is_verified_without_an_anchor(tmp_path: Path) -> None:
    """Of a place with none, which may be another or robbed of them, a ledger must not seem to be held to it."""
    folder = tmp_path / "anchors"
    folder.mkdir()
    (folder / "notes.jsonl").write_text("no anchor\n")
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        desk.put_link()
        desk.run("sweep")
        ran = desk.run("ledger", "verify", "--against", str(folder))
    assert (ran.code, ran.stdout) == (ExitCode.USAGE, "")
    assert "there are no anchors in that place" in ran.stderr


def desk_verify(desk: Desk, place: str) -> tuple[int, list[str]]:
    ran = desk.run("ledger", "verify", "--against", place, "--json")
    return ran.code, [fault["message"] for fault in ran.json["faults"]]


async def test_the_timer_anchors_where_the_setting_says_and_nowhere_without_it(tmp_path: Path) -> None:
    """From the settings alone."""
    folder = tmp_path / "anchors"
    folder.mkdir()
    ledger = tmp_path / "ledger.sqlite3"
    async with SqliteStore(ledger) as store:
        await store.append(seal(Entry(chain="one", id="1", kind=RecordKind.ALERT, at=NOW, body={}), EMPTY))
    environ = {"LINKGUARD_LEDGER": f"sqlite:///{ledger}"}
    await export_ledger(environ)
    assert list(folder.rglob("*.jsonl")) == []
    await export_ledger(environ | {"LINKGUARD_ANCHORS": str(folder)})
    assert len(list(folder.rglob("*.jsonl"))) == 1


async def test_no_token_goes_over_plain_http() -> None:
    """Nor anywhere but to a container's URL."""
    with pytest.raises(ConfigError, match="https"):
        async with open_anchors({}, "http://example.com/anchors"):
            pass
