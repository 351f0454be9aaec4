"""The SQLite file itself: opening, other processes, damage. What it stores: tests/contract."""

# ruff: noqa: ASYNC220, ASYNC240  nothing else runs in a test's event loop while it touches a file or starts a process

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.adapters.sqlite_store import APPLICATION_ID, SCHEMA_VERSION, Access, SqliteStore
from shared.core.errors import LedgerBrokenError, StoreConflictError, StoreError, StoreUnavailableError
from shared.core.ledger import EMPTY, seal
from tests.contract.ledgers import CHAIN, all_records, append, entry, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def change(path: Path, *statements: str) -> None:
    """What somebody with another tool does to the file."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


async def fill(path: Path, records: int = 3) -> None:
    async with SqliteStore(path) as store:
        for number in range(records):
            await append(store, entry(f"d{number}", inputs={"number": number}))


# Opening


async def test_opening_makes_the_file_and_closing_leaves_one(path: Path) -> None:
    """The first opening makes a file that is marked as ours; closed, it is one file, which can be copied."""
    await fill(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def test_an_empty_file_is_filled(path: Path) -> None:
    """A file of no bytes, as a crash while it was made may leave, is made a ledger."""
    path.touch()
    await fill(path)
    async with SqliteStore(path) as store:
        assert await faults(store) == []


async def test_reading_makes_no_file(path: Path) -> None:
    """Opened for reading, a missing ledger is an error with advice, and is still missing afterwards."""
    with pytest.raises(StoreUnavailableError, match="there is no ledger"):
        await SqliteStore(path, Access.READ).open()
    assert list(path.parent.iterdir()) == []


async def test_a_dry_run_reads_a_missing_ledger_as_empty(path: Path) -> None:
    """Nothing is made, everything reads as empty, and nothing can be written."""
    async with SqliteStore(path, Access.READ_OR_EMPTY) as store:
        assert await store.head(CHAIN) == EMPTY
        assert await all_records(store) == []
        assert await store.chains() == ()
        assert await store.rows("seen") == {}
        with pytest.raises(StoreError, match="reading only"):
            await append(store, entry("d1"))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("access", [Access.READ, Access.READ_OR_EMPTY])
async def test_a_reader_writes_nothing(path: Path, access: Access) -> None:
    """Opened for reading, the ledger reads as it is and every write is refused; no file is left beside it."""
    await fill(path)
    before = path.read_bytes()
    async with SqliteStore(path, access) as store:
        assert len(await all_records(store)) == 3
        assert await faults(store) == []
        with pytest.raises(StoreError, match="reading only"):
            await append(store, entry("new"))
        with pytest.raises(StoreError, match="reading only"):
            await store.put("seen", "key", 1, replaces=None)
        with pytest.raises(StoreError, match="reading only"):
            await store.delete("seen", "key", version="x")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_reader_sees_what_a_writer_adds(path: Path) -> None:
    """Both have the file open: the reader sees each record as soon as its append returned."""
    async with SqliteStore(path) as writer:
        await append(writer, entry("d1"))
        async with SqliteStore(path, Access.READ) as reader:
            assert len(await all_records(reader)) == 1
            await append(writer, entry("d2"))
            assert len(await all_records(reader)) == 2


async def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    """A path is a path, not a URL: ``?``, ``#``, ``%`` and blanks name a file like any other."""
    path = tmp_path / "odd ?mode=ro#%20name" / "led ger?.sqlite3"
    path.parent.mkdir()
    await fill(path)
    assert path.is_file()
    async with SqliteStore(path, Access.READ) as store:
        assert len(await all_records(store)) == 3


# What cannot be opened


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The error names the path and says what must be so."""
    path = tmp_path / "missing" / "ledger.sqlite3"
    with pytest.raises(StoreUnavailableError, match="folder must exist") as caught:
        await SqliteStore(path).open()
    assert str(path) in str(caught.value)


async def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    """The same advice where the path is a folder's."""
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        await SqliteStore(tmp_path).open()


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that this process cannot write to, for which it gives up root's rights where it has them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o755)


@contextmanager
def without_write_access(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


async def test_a_folder_without_write_access() -> None:
    """A ledger cannot be made there."""
    with (
        read_only_folder() as folder,
        without_write_access(folder),
        pytest.raises(StoreUnavailableError, match="must be writable"),
    ):
        await SqliteStore(folder / "ledger.sqlite3").open()


async def test_a_ledger_on_a_read_only_medium_can_be_read() -> None:
    """A copy kept as evidence, where nothing can be written, is read and verified; writing is refused."""
    with read_only_folder() as folder:
        path = folder / "ledger.sqlite3"
        await fill(path)
        path.chmod(0o444)
        with without_write_access(folder):
            async with SqliteStore(path, Access.READ) as store:
                assert len(await all_records(store)) == 3
                assert await faults(store) == []
            with pytest.raises(StoreUnavailableError, match="must be writable"):
                await fill(path)
        assert [file.name for file in folder.iterdir()] == [path.name]


@pytest.mark.parametrize("access", Access)
async def test_a_file_that_is_no_database(path: Path, access: Access) -> None:
    """A text file is refused, and not touched."""
    content = b"version: 1\nrules: []\n" * 100
    path.write_bytes(content)
    with pytest.raises(LedgerBrokenError, match="no sound Linkguard ledger"):
        await SqliteStore(path, access).open()
    assert path.read_bytes() == content


@pytest.mark.parametrize("access", Access)
async def test_another_programs_database(path: Path, access: Access) -> None:
    """A SQLite file that is not ours is refused, and not touched."""
    change(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(LedgerBrokenError, match="another program"):
        await SqliteStore(path, access).open()
    assert path.read_bytes() == before


@pytest.mark.parametrize("access", [Access.READ, Access.READ_OR_EMPTY])
async def test_an_empty_file_is_no_ledger_to_read(path: Path, access: Access) -> None:
    """Somebody emptied it, or gave the wrong path: reading it as an empty ledger would hide that."""
    path.touch()
    with pytest.raises(LedgerBrokenError, match="holds no ledger"):
        await SqliteStore(path, access).open()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("access", Access)
async def test_a_newer_schema(path: Path, access: Access) -> None:
    """A file of a newer version is left to the newer version."""
    await fill(path)
    change(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreUnavailableError, match="newer Linkguard"):
        await SqliteStore(path, access).open()


async def test_a_damaged_file(path: Path) -> None:
    """Pages overwritten with junk are an error of ours, with advice, wherever they are met."""
    await fill(path, records=200)
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(LedgerBrokenError, match="restore a backup"):
        async with SqliteStore(path) as store:
            await faults(store)


async def test_a_store_that_is_not_open(path: Path) -> None:
    """Used before it was opened, or after it was closed, it says so."""
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.head(CHAIN)
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.get("seen", "key")


async def test_a_locked_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who holds the file locked for longer than we wait makes the store unavailable: retryable, nothing written."""
    monkeypatch.setattr("shared.adapters.sqlite_store._BUSY_SECONDS", 0.05)
    await fill(path)
    async with SqliteStore(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="locked") as caught:
                await append(store, entry("d3"))
            assert caught.value.retryable
            other.execute("ROLLBACK")
        await append(store, entry("d3"))
        assert len(await all_records(store)) == 4


# What guards the records


@pytest.mark.parametrize("statement", ["UPDATE records SET body = '{}'", "DELETE FROM records WHERE sequence = 3"])
async def test_a_record_cannot_be_changed_by_mistake(path: Path, statement: str) -> None:
    """Any tool that opens the file is told that the ledger is append-only."""
    await fill(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        change(path, statement)
    async with SqliteStore(path) as store:
        assert await faults(store) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = '{}' WHERE sequence = 2",
        """UPDATE records SET inputs = '{"number":7}' WHERE sequence = 2""",
        "UPDATE records SET inputs = NULL WHERE sequence = 2",
        "UPDATE records SET kind = 'intent' WHERE sequence = 2",
        "UPDATE records SET at = '2027-01-04T10:00:00+00:00' WHERE sequence = 2",
        "UPDATE records SET sequence = 7 WHERE sequence = 3",
        "DELETE FROM records WHERE sequence = 1",
        "DELETE FROM records WHERE sequence = 3",
        "UPDATE heads SET sequence = 2",
        "DELETE FROM heads",
    ],
)
async def test_a_record_changed_on_purpose_is_found(path: Path, statement: str) -> None:
    """Whoever drops the triggers first can change the file; the chain's check finds it."""
    await fill(path)
    change(path, "DROP TRIGGER records_never_change", "DROP TRIGGER records_never_go", statement)
    async with SqliteStore(path, Access.READ) as store:
        assert await faults(store) != []


@pytest.mark.parametrize("column", ["body", "inputs", "kind", "at", "v"])
async def test_a_record_that_cannot_be_decoded(path: Path, column: str) -> None:
    """Junk in a record is an error of ours, never a crash and never a record."""
    await fill(path)
    junk = "99" if column == "v" else "'{'"
    change(path, "DROP TRIGGER records_never_change", f"UPDATE records SET {column} = {junk} WHERE sequence = 2")  # noqa: S608  a test's own text
    async with SqliteStore(path, Access.READ) as store:
        with pytest.raises(LedgerBrokenError):
            await all_records(store)


# Others


async def test_a_cancelled_append_is_whole_or_not_there(path: Path) -> None:
    """A task cancelled while it appends leaves no half record, and the store goes on."""
    async with SqliteStore(path) as store:
        for number in range(20):
            task = asyncio.create_task(store.append(seal(entry(f"d{number}"), await store.head(CHAIN))))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await append(store, entry("last"))
        assert await faults(store) == []


async def test_writes_that_wait_together_are_one_transaction(path: Path) -> None:
    """What a write takes is its way to the disk; one that conflicts fails alone."""
    statements: list[str] = []
    async with SqliteStore(path) as store:
        await store.put("p", "taken", 0, replaces=None)
        assert store._db is not None
        await store._db.set_trace_callback(statements.append)
        puts = [store.put("p", key, 1, replaces=None) for key in ("a", "taken", *map(str, range(30)))]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert [isinstance(answer, StoreConflictError) for answer in answers] == [False, True, *[False] * 30]
        assert len(await store.rows("p")) == 32
    assert statements.count("COMMIT") <= 2


async def test_a_full_disk_fails_every_write_of_a_transaction(path: Path) -> None:
    """None of them is told to be there, and none is."""
    async with SqliteStore(path) as store:
        assert store._db is not None
        ((pages,),) = await store._execute("PRAGMA page_count")
        await store._execute(f"PRAGMA max_page_count = {pages + 4}")
        puts = [store.put("p", str(number), "x" * 4000, replaces=None) for number in range(20)]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailableError}
        assert await store.rows("p") == {}
        await store._execute("PRAGMA max_page_count = 100000")
        await store.put("p", "a", 1, replaces=None)


async def test_a_cancelled_write_leaves_the_others(path: Path) -> None:
    """Whoever waits beside it is answered."""
    async with SqliteStore(path) as store:
        tasks = [asyncio.create_task(store.put("p", str(number), number, replaces=None)) for number in range(9)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(answer, str) for answer in answers] == [number != 4 for number in range(9)]


async def test_closing_writes_what_waits(path: Path) -> None:
    """First."""
    async with SqliteStore(path) as store:
        tasks = [asyncio.create_task(store.put("p", str(number), number, replaces=None)) for number in range(9)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    async with SqliteStore(path, Access.READ) as store:
        assert len(await store.rows("p")) == 9


async def test_processes_share_one_ledger(path: Path) -> None:
    """Processes that open, make and write the same file at once lose nothing, and break nothing."""
    names = ["one", "two", "three"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.racer", str(path), name, "10"], cwd=REPOSITORY, stderr=subprocess.PIPE
        )
        for name in names
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors.decode()) == (0, "")
    async with SqliteStore(path, Access.READ) as store:
        assert {record.entry.id for record in await all_records(store)} == {f"{name}-{n}" for name in names for n in range(10)}
        assert await faults(store) == []
        row = await store.get("budget", "hour")
        assert row is not None
        assert row.value == 30


async def test_a_process_killed_while_writing_leaves_a_sound_ledger(path: Path) -> None:
    """Killed at any moment, what it had appended is there and the chain verifies; another can go on."""
    command = [sys.executable, "-m", "tests.contract.racer", str(path), "killed", "100000"]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        async with SqliteStore(path) as store:
            for _ in range(2000):
                if (await store.head(CHAIN)).sequence >= 20:
                    break
                await asyncio.sleep(0.01)
            process.kill()
            process.wait(timeout=30)
            written = (await store.head(CHAIN)).sequence
            assert written >= 20
            assert await faults(store) == []
            await append(store, entry("after"))
            with pytest.raises(StoreConflictError):
                await append(store, entry("after"))
            assert (await store.head(CHAIN)).sequence == written + 1
