"""The ledger and the state store in one SQLite file: for a desk, where one machine's processes share them.

Every write is one statement: a trigger holds a new record to its chain's head and moves the head with it. Nobody can see,
and a crash or a cancelled task cannot leave, one without the other. Writes that wait at the same time are one transaction,
since what a write takes is its way to the disk; each is answered once it is there. Triggers also refuse to
change or remove a record, which guards against mistakes, not against somebody who means to: the hash chain does that.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Self

from shared.core.errors import LedgerBrokenError, StoreConflictError, StoreError, StoreUnavailableError
from shared.core.ledger import EMPTY, RECORD_VERSION, Head, Record, canonical
from shared.ports import Versioned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import aiosqlite

    from shared.core.ledger import Json, RecordKind

APPLICATION_ID: Final = 0x4C6B6764
"""``Lkgd``: marks the file as Linkguard's (SQLite's header field for this)."""
SCHEMA_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS heads (
    chain TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS records (
    chain TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    v INTEGER NOT NULL,
    previous TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    hash TEXT NOT NULL,
    inputs_digest TEXT,
    body TEXT NOT NULL,
    inputs TEXT,
    PRIMARY KEY (chain, sequence),
    UNIQUE (chain, id)
) STRICT;
CREATE TRIGGER IF NOT EXISTS records_follow_their_head BEFORE INSERT ON records BEGIN
    SELECT RAISE(ABORT, 'not the head''s successor')
    WHERE new.sequence <> 1 + coalesce((SELECT sequence FROM heads WHERE chain = new.chain), 0)
       OR new.previous <> coalesce((SELECT hash FROM heads WHERE chain = new.chain), '');
END;
CREATE TRIGGER IF NOT EXISTS records_move_their_head AFTER INSERT ON records BEGIN
    INSERT INTO heads (chain, sequence, hash) VALUES (new.chain, new.sequence, new.hash)
    ON CONFLICT (chain) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash;
END;
CREATE TRIGGER IF NOT EXISTS records_never_change BEFORE UPDATE ON records BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
CREATE TRIGGER IF NOT EXISTS records_never_go BEFORE DELETE ON records BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
CREATE TABLE IF NOT EXISTS state (
    partition TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (partition, key)
) STRICT;
"""
_SCHEMA: Final = (
    f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
)
_RECORDS: Final = (
    "SELECT v, chain, sequence, previous, id, kind, at, hash, inputs_digest, body, CASE WHEN ? THEN inputs END AS inputs"
    " FROM records WHERE chain = ? AND sequence > ? AND (? = '[]' OR kind IN (SELECT value FROM json_each(?)))"
    " ORDER BY sequence LIMIT ?"
)
_ALL_CHAINS: Final = """
WITH RECURSIVE found (chain) AS (
    SELECT min(chain) FROM records
    UNION ALL
    SELECT (SELECT min(chain) FROM records WHERE chain > found.chain) FROM found WHERE found.chain IS NOT NULL
)
SELECT chain FROM found WHERE chain IS NOT NULL UNION SELECT chain FROM heads
"""
"""Also one whose head was removed, so that it is verified as any other is. One look into the index a chain."""

_BUSY_SECONDS: Final = 10.0
"""How long a write waits for another process's; each takes milliseconds."""
_WAL_ATTEMPTS: Final = 100
_WAL_PAUSE_SECONDS: Final = 0.05
_PAGE: Final = 256
"""Records a query, so that no query stays open, and so holds back writers' checkpoints, while the caller works."""
_PAGE_WITH_INPUTS: Final = 16
"""Inputs can be megabytes."""

_CONFLICTS: Final = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_TRIGGER, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
)


@dataclass(frozen=True, slots=True)
class _Write:
    """A statement that waits for its turn."""

    query: str
    values: tuple[str | int | None, ...]
    answer: asyncio.Future[list[sqlite3.Row]]


class Access(Enum):
    """What a store is opened for."""

    WRITE = auto()
    """Reading and writing; a missing file is made."""
    READ = auto()
    """Reading; a missing file is an error."""
    READ_OR_EMPTY = auto()
    """Reading; a missing file reads as an empty store and is not made: for dry runs."""


class SqliteStore:
    """Both ports over one file. An async context manager; every method raises :class:`shared.core.errors.StoreError`.

    Several tasks may share one, and several processes may open the same file. On a network drive they may not: SQLite's
    locks do not hold there.
    """

    def __init__(self, path: Path, access: Access = Access.WRITE) -> None:
        self._path = path
        self._access = access
        self._db: aiosqlite.Connection | None = None
        self._turn = asyncio.Lock()
        """Nothing is read while a transaction is open: it could still come to nothing."""
        self._waiting: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, and make it where that is asked for.

        Raises:
            StoreUnavailableError: where it cannot be opened or made, or a newer Linkguard made it.
            LedgerBrokenError: where it is damaged, or another program's.

        """
        if self._access is Access.WRITE:
            await self._connect(f"{self._path.absolute().as_uri()}?mode=rwc", create=True)
        elif self._path.exists():
            await self._open_to_read()
        elif self._access is Access.READ_OR_EMPTY:
            await self._connect(":memory:", create=True)
            await self._execute("PRAGMA query_only = ON")
        else:
            message = f"there is no ledger at {self._path}; LINKGUARD_LEDGER says where it is, and the first sweep makes it"
            raise StoreUnavailableError(message)

    async def _open_to_read(self) -> None:
        # Opened for writing where the file's permissions allow it, although nothing is written: only then does SQLite remove
        # its -wal and -shm files again on closing.
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            await self._connect(uri, create=False)
        except StoreUnavailableError as error:
            cause = error.__cause__
            in_folder_without_write_access = (
                isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY
            )
            if not in_folder_without_write_access or self._path.with_name(self._path.name + "-wal").exists():
                raise
            # Nobody has it open, and nobody can write here: a copy kept as evidence, say.
            await self._connect(f"{self._path.absolute().as_uri()}?immutable=1", create=False)
        await self._execute("PRAGMA query_only = ON")

    async def _connect(self, uri: str, *, create: bool) -> None:
        import aiosqlite  # noqa: PLC0415  not needed where the ledger is in Azure Tables

        db = aiosqlite.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            with self._errors():
                self._db = await db
        except BaseException:
            # aiosqlite 0.22 stops the thread of a failed connection but does not wait for it: the thread would then answer
            # to an event loop that may be closed, and print a traceback.
            await asyncio.to_thread(db._thread.join)  # noqa: SLF001
            raise
        try:
            await self._check_schema(create=create)
            if create:
                await self._execute("PRAGMA synchronous = FULL")
        except BaseException:
            await self.close()
            raise

    async def _check_schema(self, *, create: bool) -> None:
        # One statement, since another process may be making the file right now.
        ((application, version, tables),) = await self._execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
            " FROM pragma_application_id, pragma_user_version"
        )
        if application == APPLICATION_ID:
            if version > SCHEMA_VERSION:
                message = (
                    f"{self._path} was made by a newer Linkguard (its schema is {version}, this program knows "
                    f"{SCHEMA_VERSION}): upgrade this one"
                )
                raise StoreUnavailableError(message)
            return
        if (application, version, tables) != (0, 0, 0):
            message = f"{self._path} is another program's SQLite file: give LINKGUARD_LEDGER another path"
            raise LedgerBrokenError(message)
        if not create:
            message = f"{self._path} is empty, it holds no ledger: give LINKGUARD_LEDGER another path, or restore the file"
            raise LedgerBrokenError(message)
        await self._switch_to_wal()
        assert self._db is not None  # noqa: S101  for the type checker: set by the caller
        with self._errors():
            await self._db.executescript(_SCHEMA)

    async def _switch_to_wal(self) -> None:
        # The one statement for which SQLite does not wait by itself while another process does the same.
        for attempt in range(_WAL_ATTEMPTS):
            try:
                await self._execute("PRAGMA journal_mode = WAL")
            except StoreUnavailableError:
                if attempt == _WAL_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_WAL_PAUSE_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Close the file, once what waits is written; no error where it is not open."""
        if self._writer is not None:
            await self._writer
        db, self._db = self._db, None
        if db is not None:
            with self._errors():
                await db.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # The ledger

    async def head(self, chain: str) -> Head:
        """Where the chain ends; ``EMPTY`` for one that does not exist."""
        rows = await self._execute("SELECT sequence, hash FROM heads WHERE chain = ?", _escaped(chain))
        return Head(sequence=rows[0]["sequence"], hash=rows[0]["hash"]) if rows else EMPTY

    async def append(self, record: Record) -> None:
        """Insert the record and move the head, in one transaction.

        Raises:
            StoreConflictError: where the chain's head is not the record's predecessor, or the id is there already.

        """
        entry = record.entry
        await self._write(
            "INSERT INTO records (chain, sequence, v, previous, id, kind, at, hash, inputs_digest, body, inputs)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _escaped(entry.chain),
            record.sequence,
            RECORD_VERSION,
            record.previous,
            _escaped(entry.id),
            entry.kind.value,
            entry.at.isoformat(),
            record.hash,
            record.inputs_digest,
            canonical(entry.body),
            None if entry.inputs is None else canonical(entry.inputs),
        )

    async def records(self, chain: str, *, kinds: Sequence[RecordKind] = (), with_inputs: bool = True) -> AsyncIterator[Record]:
        """A chain's records in order, of the ``kinds`` named or all; without inputs where they are not asked for."""
        limit = _PAGE_WITH_INPUTS if with_inputs else _PAGE
        wanted = json.dumps([kind.value for kind in kinds])
        after = 0
        while rows := await self._execute(_RECORDS, with_inputs, _escaped(chain), after, wanted, wanted, limit):
            for row in rows:
                yield self._record(row)
            after = rows[-1]["sequence"]

    async def chains(self) -> tuple[str, ...]:
        """The name of every chain, sorted."""
        rows = await self._execute(_ALL_CHAINS)
        return tuple(sorted(self._unescaped(row["chain"]) for row in rows))

    def _record(self, row: sqlite3.Row) -> Record:
        value = dict(row) | {
            "chain": self._unescaped(row["chain"]),
            "id": self._unescaped(row["id"]),
            "body": self._parsed(row["body"]),
            "inputs": None if row["inputs"] is None else self._parsed(row["inputs"]),
        }
        return Record.from_json(value)

    # The state store

    async def get(self, partition: str, key: str) -> Versioned | None:
        """A row, None where there is none."""
        query = "SELECT value, version FROM state WHERE partition = ? AND key = ?"
        rows = await self._execute(query, _escaped(partition), _escaped(key))
        return self._versioned(rows[0]) if rows else None

    async def put(self, partition: str, key: str, value: Json, *, replaces: str | None) -> str:
        """Write a row and return its new version. ``replaces``: the version that it replaces, None for a new row.

        Raises:
            StoreConflictError: where the row is not (or no longer) that version.

        """
        row = (_escaped(partition), _escaped(key))
        # Random, so that a row deleted and written anew never has a version that somebody still holds.
        new = token_hex(8)
        if replaces is None:
            query = (
                "INSERT INTO state (value, version, partition, key) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING version"
            )
            rows = await self._write(query, canonical(value), new, *row)
        else:
            query = "UPDATE state SET value = ?, version = ? WHERE partition = ? AND key = ? AND version = ? RETURNING version"
            rows = await self._write(query, canonical(value), new, *row, replaces)
        if not rows:
            message = "the row is there already" if replaces is None else "the row was changed or removed meanwhile"
            raise StoreConflictError(message)
        return new

    async def delete(self, partition: str, key: str, *, version: str) -> None:
        """Remove a row; no error where it is gone.

        Raises:
            StoreConflictError: where the row is not that version.

        """
        row = (_escaped(partition), _escaped(key))
        query = "DELETE FROM state WHERE partition = ? AND key = ? AND version = ? RETURNING version"
        if not await self._write(query, *row, version) and await self.get(partition, key) is not None:
            message = "the row was changed meanwhile"
            raise StoreConflictError(message)

    async def rows(self, partition: str) -> dict[str, Versioned]:
        """Every row of a partition by its key."""
        rows = await self._execute("SELECT key, value, version FROM state WHERE partition = ?", _escaped(partition))
        return {self._unescaped(row["key"]): self._versioned(row) for row in rows}

    def _versioned(self, row: sqlite3.Row) -> Versioned:
        return Versioned(value=self._parsed(row["value"]), version=row["version"])

    # SQLite

    async def _write(self, query: str, *values: str | int | None) -> list[sqlite3.Row]:
        if self._access is not Access.WRITE:
            message = f"{self._path} was opened for reading only"
            raise StoreError(message)
        write = _Write(query, values, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting())
        return await write.answer

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    writes, self._waiting = self._waiting, []
                    await self._write_together([write for write in writes if not write.answer.cancelled()])
        finally:
            self._writer = None

    async def _write_together(self, writes: list[_Write]) -> None:
        """One transaction. A statement that conflicts fails alone; anything else fails them all, and nothing is written."""
        answers: list[list[sqlite3.Row] | StoreError] = []
        try:
            await self._statement("BEGIN IMMEDIATE")
            for write in writes:
                try:
                    answers.append(await self._statement(write.query, *write.values))
                except StoreConflictError as error:
                    answers.append(error)
            await self._statement("COMMIT")
        except StoreError as error:
            answers = [error] * len(writes)
        except BaseException:
            answers = []  # Cancelled: nobody knows.
            raise
        finally:
            if self._db is not None and self._db.in_transaction:
                with suppress(StoreError):
                    await self._statement("ROLLBACK")
            for write, answer in zip_longest(writes, answers):
                _answer(write.answer, answer)

    async def _execute(self, query: str, *values: str | int | None) -> list[sqlite3.Row]:
        async with self._turn:
            return await self._statement(query, *values)

    async def _statement(self, query: str, *values: str | int | None) -> list[sqlite3.Row]:
        if self._db is None:
            message = f"{self._path} is not open"
            raise StoreUnavailableError(message)
        self._db.row_factory = sqlite3.Row
        with self._errors():
            return list(await self._db.execute_fetchall(query, values))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in _CONFLICTS:
                raise StoreConflictError(str(error)) from error
            raise self._broken(error) from error
        except sqlite3.OperationalError as error:
            message = (
                f"{self._path} cannot be used ({error}): its folder must exist, file and folder must be writable (readable, for"
                " commands that only read), on a disk with space left, and no other program may hold it locked"
            )
            raise StoreUnavailableError(message) from error
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error

    def _broken(self, error: sqlite3.Error) -> LedgerBrokenError:
        return LedgerBrokenError(
            f"{self._path} is no sound Linkguard ledger ({error}): keep a copy, restore a backup, or give another path"
        )

    def _parsed(self, text: str) -> Json:
        try:
            value: Json = json.loads(text)
        except (ValueError, RecursionError) as error:
            message = f"{self._path} holds a value that is not JSON: it was changed by something else than Linkguard"
            raise LedgerBrokenError(message) from error
        return value

    def _unescaped(self, text: str) -> str:
        return str(self._parsed(f'"{text}"'))


def _answer(future: asyncio.Future[list[sqlite3.Row]], answer: list[sqlite3.Row] | StoreError | None) -> None:
    """None: the writer was cancelled before it came to this."""
    if future.done():
        return  # Whoever asked was cancelled.
    match answer:
        case None:
            future.cancel()
        case StoreError() as error:
            future.set_exception(error)
        case rows:
            future.set_result(rows)


def _escaped(text: str) -> str:
    """``text`` as in a JSON string: ARM ids stay as they are, and what SQLite cannot hold (lone surrogates, NUL) survives."""
    return canonical(text)[1:-1]
