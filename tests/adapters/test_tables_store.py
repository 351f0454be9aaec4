"""Azure Tables' own troubles and limits, on Azurite. What every store must do: tests/contract."""

from __future__ import annotations

import asyncio
import bisect
import re
import subprocess
import sys
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.tables import PROPERTY_BYTES, client_options, join, safe_key, split
from shared.adapters.tables_store import TablesStore
from shared.core.errors import ConfigError, LedgerBrokenError, StoreConflictError, StoreUnavailableError
from shared.core.ledger import EMPTY, canonical, seal
from tests.azurite.proxy import Proxy, Trouble, proxy_to
from tests.azurite.secure import Identity
from tests.azurite.server import ACCOUNT, free_ports
from tests.contract.ledgers import CHAIN, all_records, append, entry, faults
from tests.contract.test_ledger_contract import noise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.core.ledger import Json
    from tests.azurite.secure import SecureAzurite
    from tests.azurite.server import Azurite

BATCH = "$batch"


@dataclass
class Setup:
    """A store behind a proxy, and what somebody with another tool sees of it."""

    store: TablesStore
    proxy: Proxy
    ledger: TableClient
    state: TableClient

    async def entities(self, table: TableClient, prefix: str = "") -> list[dict[str, Any]]:
        return [dict(entity) async for entity in table.list_entities() if entity["RowKey"].startswith(prefix)]


@asynccontextmanager
async def setup_on(server: Azurite) -> AsyncIterator[Setup]:
    name = token_hex(8)
    async with (
        proxy_to(server.table_endpoint.removesuffix(f"/{ACCOUNT}")) as proxy,
        TableServiceClient.from_connection_string(server.connection_string) as direct,
    ):
        behind = server.connection_string_for(table_endpoint=f"http://127.0.0.1:{proxy.port}/{ACCOUNT}")
        service = TableServiceClient.from_connection_string(behind, **client_options())
        async with TablesStore(service, ledger_table=f"ledger{name}", state_table=f"state{name}") as store:
            yield Setup(store, proxy, direct.get_table_client(f"ledger{name}"), direct.get_table_client(f"state{name}"))


@pytest.fixture
async def tables(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    monkeypatch.setattr("shared.adapters.tables._BACKOFF_SECONDS", 0.01)
    async with setup_on(azurite) as setup:
        yield setup


# Lost answers


async def test_an_append_whose_answer_was_lost_is_done_once(tables: Setup) -> None:
    """The transaction was done and its answer lost: the repeat recognises the record, and the writer is told that it is in."""
    await append(tables.store, entry("d1"))
    tables.proxy.plan("POST", BATCH, Trouble.LOST_ANSWER)
    record = await append(tables.store, entry("d2"))
    assert [r.entry.id for r in await all_records(tables.store)] == ["d1", "d2"]
    assert await tables.store.head(CHAIN) == record.head
    assert await faults(tables.store) == []


async def test_a_first_append_whose_answers_were_lost_is_done_once(tables: Setup) -> None:
    """The same for a chain's first record, where several answers in a row are lost."""
    await append(tables.store, entry("d1", chain="another"))
    tables.proxy.plan("POST", BATCH, Trouble.LOST_ANSWER, times=3)
    record = await append(tables.store, entry("d1"))
    assert await all_records(tables.store) == [record]
    assert await tables.store.chains() == (CHAIN, "another")


async def test_an_append_that_never_gets_an_answer_is_unknown(tables: Setup) -> None:
    """Every repeat's answer lost: an error that may be retried; afterwards the record is there, and is a conflict."""
    await append(tables.store, entry("d1"))
    tables.proxy.plan("POST", BATCH, Trouble.LOST_ANSWER, times=100)
    record = seal(entry("d2"), await tables.store.head(CHAIN))
    with pytest.raises(StoreUnavailableError) as caught:
        await tables.store.append(record)
    assert caught.value.retryable
    assert (await all_records(tables.store))[-1] == record
    with pytest.raises(StoreConflictError):
        await tables.store.append(record)
    assert await faults(tables.store) == []


async def test_anothers_record_is_not_taken_for_ours(tables: Setup) -> None:
    """Our request was lost, another's record is in our place: a conflict, even where theirs is equal in every byte."""
    first = await append(tables.store, entry("d1"))
    record = seal(entry("d2"), first.head)

    async def another_is_quicker() -> None:
        await tables.store.append(record)

    tables.proxy.plan("POST", BATCH, another_is_quicker)
    with pytest.raises(StoreConflictError):
        await tables.store.append(record)
    assert await all_records(tables.store) == [first, record]


async def test_a_row_whose_answer_was_lost_is_written_once(tables: Setup) -> None:
    """New, replaced, deleted: each is recognised as done, and its version can be used."""
    await tables.store.put("seen", "first", 0, replaces=None)
    tables.proxy.plan("POST", "state", Trouble.LOST_ANSWER)
    version = await tables.store.put("seen", "key", 1, replaces=None)
    tables.proxy.plan("PUT", "state", Trouble.LOST_ANSWER, times=2)
    version = await tables.store.put("seen", "key", 2, replaces=version)
    row = await tables.store.get("seen", "key")
    assert row is not None
    assert (row.value, row.version) == (2, version)
    tables.proxy.plan("DELETE", "state", Trouble.LOST_ANSWER)
    await tables.store.delete("seen", "key", version=version)
    assert await tables.store.get("seen", "key") is None


# A service in trouble


@pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.LOST_REQUEST])
async def test_a_passing_trouble_is_waited_out(tables: Setup, trouble: Trouble) -> None:
    """Reads and writes are repeated a few times before anybody notices."""
    await append(tables.store, entry("d1"))
    await tables.store.put("seen", "key", 1, replaces=None)
    for method, text in [("GET", "ledger"), ("GET", "state"), ("POST", BATCH), ("POST", "state")]:
        tables.proxy.plan(method, text, trouble, times=2)
    await append(tables.store, entry("d2"))
    await tables.store.put("seen", "other", 1, replaces=None)
    assert len(await tables.store.rows("seen")) == 2
    assert len(await all_records(tables.store)) == 2


async def test_a_lasting_trouble_is_an_error(tables: Setup) -> None:
    """After a bounded number of repeats the store is unavailable, and nothing was written."""
    first = await append(tables.store, entry("d1"))
    tables.proxy.plan("POST", BATCH, Trouble.BUSY, times=100)
    with pytest.raises(StoreUnavailableError, match="503"):
        await append(tables.store, entry("d2"))
    assert 2 <= len([request for request in tables.proxy.seen if BATCH in request]) <= 10
    tables.proxy.plan("GET", "state", Trouble.BUSY, times=100)
    with pytest.raises(StoreUnavailableError, match="503"):
        await tables.store.rows("seen")
    assert await all_records(tables.store) == [first]


async def test_silence_ends(tables: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that takes requests and never answers is unavailable once the time for a call is over."""
    monkeypatch.setattr("shared.adapters.tables._CALL_SECONDS", 0.1)
    for method in ("GET", "POST", "PUT", "DELETE"):
        tables.proxy.plan(method, "", Trouble.SILENCE, times=100)
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        await tables.store.head(CHAIN)
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        await all_records(tables.store)
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        await tables.store.put("seen", "key", 1, replaces=None)


async def test_nobody_listens(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint where nothing is, is unavailable: for reads, writes and lists."""
    monkeypatch.setattr("shared.adapters.tables._BACKOFF_SECONDS", 0.01)
    (port,) = free_ports(1)
    nowhere = azurite.connection_string_for(table_endpoint=f"http://127.0.0.1:{port}/{ACCOUNT}")
    async with TablesStore.with_connection_string(nowhere) as store:
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            await append(store, entry("d1"))
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            await store.chains()
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            await store.put("seen", "key", 1, replaces=None)


# The SDK's own handling of an error that comes as XML.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
async def test_a_refused_key_says_which_role_is_missing(azurite: Azurite) -> None:
    """403: what to grant is said, the service's own words, which can quote the request, are not."""
    wrong = azurite.connection_string.replace(azurite.key, azurite.key[::-1].replace("=", "") + "=")
    async with TablesStore.with_connection_string(wrong) as store:
        with pytest.raises(StoreUnavailableError, match="Storage Table Data Contributor") as caught:
            await store.head(CHAIN)
    assert azurite.key not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "nonsense", "AccountKey=secret", "AccountName=x;AccountKey"])
def test_no_connection_string(text: str) -> None:
    """It is a setting that cannot be used; the error does not repeat it, for it may hold a key."""
    with pytest.raises(ConfigError) as caught:
        TablesStore.with_connection_string(text)
    assert "secret" not in str(caught.value)


# One transaction


async def test_a_record_and_its_head_come_together_or_not_at_all(tables: Setup) -> None:
    """Where the transaction is not done, nothing of the record is there: no head, no id, no row."""
    await append(tables.store, entry("d1"))
    before = await tables.entities(tables.ledger)
    tables.proxy.plan("POST", BATCH, Trouble.LOST_REQUEST, times=100)
    with pytest.raises(StoreUnavailableError):
        await append(tables.store, entry("d2"))
    assert await tables.entities(tables.ledger) == before


async def test_a_crash_before_the_transaction_leaves_no_half_record(tables: Setup) -> None:
    """Parts of large inputs written before a crash belong to nothing, and the next try uses them."""
    inputs: dict[str, Json] = {"noise": noise(8_000_000)}
    tables.proxy.plan("POST", BATCH, Trouble.LOST_REQUEST, times=5)
    with pytest.raises(StoreUnavailableError):
        await append(tables.store, entry("d1", inputs=inputs))
    assert await tables.store.head(CHAIN) == EMPTY
    assert await all_records(tables.store) == []
    chunks = await tables.entities(tables.ledger, "chunk-")
    assert len(chunks) > 4
    record = await append(tables.store, entry("d1", inputs=inputs))
    assert await all_records(tables.store) == [record]
    assert len(await tables.entities(tables.ledger, "chunk-")) == len(chunks)


async def test_a_crash_amid_the_chunks_is_made_good(tables: Setup) -> None:
    """Some parts there and some not: the next try writes those that are missing."""
    inputs: dict[str, Json] = {"noise": noise(3_000_000)}
    await append(tables.store, entry("d1"))
    tables.proxy.plan("POST", "ledger", lambda: asyncio.sleep(0), times=2)
    tables.proxy.plan("POST", "ledger", Trouble.LOST_REQUEST, times=5)
    with pytest.raises(StoreUnavailableError):
        await append(tables.store, entry("d2", inputs=inputs))
    assert len(await tables.entities(tables.ledger, "chunk-")) == 2
    await append(tables.store, entry("d2", inputs=inputs))
    assert await faults(tables.store) == []


# Limits


def just_above(limit: int) -> int:
    """How many characters of noise it takes for the compressed value to pass ``limit`` bytes."""
    text = noise(limit * 2)
    return bisect.bisect_right(range(len(text)), limit, key=lambda n: len(zlib.compress(canonical({"text": text[:n]}).encode())))


@pytest.mark.parametrize("properties", [1, 3, 7, 10, 20])
async def test_values_about_the_limits_are_kept(tables: Setup, properties: int) -> None:
    """Just below and just above each size at which the layout changes, for bodies, inputs and rows."""
    edge = just_above(properties * PROPERTY_BYTES)
    for length in range(edge - 2, edge + 2):
        value: dict[str, Json] = {"text": noise(properties * PROPERTY_BYTES * 2)[:length]}
        await append(tables.store, entry(f"d{length}", body=value, inputs=value))
        await tables.store.put("seen", f"d{length}", value, replaces=None)
        row = await tables.store.get("seen", f"d{length}")
        assert row is not None
        assert row.value == value
    assert await faults(tables.store) == []


@given(st.binary(max_size=20), st.integers(0, 12))
def test_properties_hold_what_they_are_given(tail: bytes, full: int) -> None:
    """Split and joined it is the same, and no part is larger than a property may be."""
    content = b"\x01" * PROPERTY_BYTES * full + tail
    parts = split("data", content)
    assert all(0 < len(part) <= PROPERTY_BYTES for part in parts.values())
    assert join("data", parts) == content


@given(st.text(st.characters(codec=None)))
def test_a_key_is_one_that_azure_takes(name: str) -> None:
    """Whatever the name: no character that Azure Tables forbids, and far below 1 KiB in UTF-16."""
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,200}", safe_key(name))


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_keys_are_as_different_as_names(left: str, right: str) -> None:
    """Two names have two keys, however long or odd they are."""
    assert (safe_key(left) == safe_key(right)) == (left == right)


def test_a_key_shows_what_it_is_for() -> None:
    """Somebody who looks at the table sees the end of the target's id."""
    assert safe_key(CHAIN).startswith(CHAIN.replace("/", "_")[-120:] + "~")


async def test_pages_are_followed(tables: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuation tokens: records, rows and chains of more pages than one all come, in order."""
    monkeypatch.setattr("shared.adapters.tables_store._PAGE", 2)
    monkeypatch.setattr("shared.adapters.tables_store._PAGE_OF_LARGE", 3)
    names = [f"chain {number}" for number in range(5)]
    for name in names:
        await append(tables.store, entry("d0", chain=name))
        await tables.store.put("seen", name, name, replaces=None)
    written = [await append(tables.store, entry(f"d{number}", chain="long")) for number in range(8)]
    assert await all_records(tables.store, "long") == written
    assert len([record async for record in tables.store.records("long", with_inputs=False)]) == 8
    assert sorted(await tables.store.rows("seen")) == names
    assert await tables.store.chains() == (*names, "long")


async def test_chains_are_listed_without_reading_records(tables: Setup) -> None:
    """One request, however many records there are."""
    for number in range(15):
        await append(tables.store, entry(f"d{number}", chain=f"chain {number % 3}"))
    tables.proxy.seen.clear()
    assert len(await tables.store.chains()) == 3
    assert len(tables.proxy.seen) == 1


async def test_what_an_append_costs(tables: Setup) -> None:
    """One read and one transaction."""
    await append(tables.store, entry("d1"))
    record = seal(entry("d2", inputs={"noise": noise(400_000)}), await tables.store.head(CHAIN))
    tables.proxy.seen.clear()
    await tables.store.append(record)
    assert [request.split()[0] for request in tables.proxy.seen] == ["GET", "POST"]


# Rows with parts beside them


async def test_a_replaced_rows_parts_are_removed(tables: Setup) -> None:
    """Large by large, large by small, deleted: nothing is left behind."""
    version = await tables.store.put("snapshot", "last", noise(2_000_000), replaces=None)
    parts = len(await tables.entities(tables.state)) - 1
    assert parts > 1
    version = await tables.store.put("snapshot", "last", noise(2_000_000, seed=2), replaces=version)
    assert len(await tables.entities(tables.state)) == parts + 1
    version = await tables.store.put("snapshot", "last", "small", replaces=version)
    assert len(await tables.entities(tables.state)) == 1
    version = await tables.store.put("snapshot", "last", noise(2_000_000), replaces=version)
    await tables.store.delete("snapshot", "last", version=version)
    assert await tables.entities(tables.state) == []


async def test_a_refused_rows_parts_are_removed(tables: Setup) -> None:
    """A large row that lost to another writer leaves nothing, and the winner's row is whole."""
    await tables.store.put("snapshot", "last", noise(2_000_000), replaces=None)
    before = len(await tables.entities(tables.state))
    with pytest.raises(StoreConflictError):
        await tables.store.put("snapshot", "last", noise(2_000_000, seed=2), replaces=None)
    assert len(await tables.entities(tables.state)) == before
    row = await tables.store.get("snapshot", "last")
    assert row is not None
    assert row.value == noise(2_000_000)


@pytest.mark.parametrize("by", ["get", "rows"])
async def test_a_row_replaced_while_it_is_read_is_read_again(tables: Setup, by: str) -> None:
    """Between the row and its parts another writer replaces it: the reader gets the new one whole, never a mixture."""
    version = await tables.store.put("snapshot", "last", noise(2_000_000), replaces=None)

    async def replace() -> None:
        await tables.store.put("snapshot", "last", noise(2_000_000, seed=2), replaces=version)

    tables.proxy.plan("GET", "~chunks'", replace)
    row = await tables.store.get("snapshot", "last") if by == "get" else (await tables.store.rows("snapshot"))["last"]
    assert row is not None
    assert row.value == noise(2_000_000, seed=2)
    await tables.store.put("snapshot", "last", "its version can be used", replaces=row.version)


async def test_a_row_that_lost_a_part_says_so(tables: Setup) -> None:
    """Somebody removed a part: an error that says what to do, not an endless repeat."""
    await tables.store.put("snapshot", "last", noise(2_000_000), replaces=None)
    part = next(one for one in await tables.entities(tables.state) if one["PartitionKey"].endswith("~chunks"))
    await tables.state.delete_entity(part["PartitionKey"], part["RowKey"])
    with pytest.raises(LedgerBrokenError, match="delete its entity"):
        await tables.store.get("snapshot", "last")


@pytest.mark.parametrize("version", ["", "x", "[]", "{}", '["a","b","c"]', "null"])
async def test_a_version_of_another_store_is_no_version(tables: Setup, version: str) -> None:
    """It matches no row: a conflict, whatever text it is."""
    await tables.store.put("seen", "key", 1, replaces=None)
    with pytest.raises(StoreConflictError):
        await tables.store.put("seen", "key", 2, replaces=version)
    with pytest.raises(StoreConflictError):
        await tables.store.delete("seen", "key", version=version)


# What somebody with another tool changes


CHANGES: dict[str, dict[str, Any]] = {
    "the body": {"body00": b"junk"},
    "the inputs": {"inputs00": b"junk"},
    "the kind": {"kind": "approval"},
    "the time": {"at": "yesterday"},
    "the id": {"id": "not json"},
    "the chain": {"chain": '"another"'},
    "the number": {"sequence": 7},
    "the hash": {"hash": "0" * 64},
    "the digest": {"inputs_digest": "0" * 64},
    "the version": {"v": 2},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_record_is_found(tables: Setup, change: str) -> None:
    """Either it cannot be decoded, which is an error of ours, or the chain's check finds it."""
    for number in range(3):
        await append(tables.store, entry(f"d{number}", inputs={"number": number}))
    row = (await tables.entities(tables.ledger, "record-"))[1]
    await tables.ledger.update_entity(row | CHANGES[change], mode=UpdateMode.REPLACE)
    try:
        assert await faults(tables.store) != []
    except LedgerBrokenError as error:
        assert str(error)  # noqa: PT017  either is right


@pytest.mark.parametrize("row", ["record-0000000000000001", "record-0000000000000003", "head"])
async def test_a_removed_entity_is_found(tables: Setup, row: str) -> None:
    """A record or the head gone is a fault."""
    for number in range(3):
        await append(tables.store, entry(f"d{number}"))
    await tables.ledger.delete_entity(safe_key(CHAIN), row)
    assert await faults(tables.store) != []


@pytest.mark.parametrize("how", ["removed", "changed"])
async def test_a_chunk_that_is_not_what_it_was_is_found(tables: Setup, how: str) -> None:
    """A part of large inputs gone or changed is an error that names the record; without inputs the chain still verifies."""
    await append(tables.store, entry("d1", inputs={"noise": noise(2_000_000)}))
    chunk = (await tables.entities(tables.ledger, "chunk-"))[0]
    if how == "removed":
        await tables.ledger.delete_entity(chunk["PartitionKey"], chunk["RowKey"])
    else:
        await tables.ledger.update_entity(chunk | {"data00": b"junk"}, mode=UpdateMode.REPLACE)
    with pytest.raises(LedgerBrokenError, match=r"record 1 .* lost a part of its inputs"):
        await all_records(tables.store)
    assert len([record async for record in tables.store.records(CHAIN, with_inputs=False)]) == 1


async def test_a_head_that_cannot_be_decoded(tables: Setup) -> None:
    """Junk in the head is an error of ours, and nothing is appended."""
    await append(tables.store, entry("d1"))
    await tables.ledger.update_entity(
        {"PartitionKey": safe_key(CHAIN), "RowKey": "head", "sequence": "one"}, mode=UpdateMode.REPLACE
    )
    with pytest.raises(LedgerBrokenError, match="head"):
        await tables.store.head(CHAIN)
    with pytest.raises(LedgerBrokenError, match="head"):
        await append(tables.store, entry("d2"))


# Identity


async def test_an_identity_is_enough(secure_azurite: SecureAzurite) -> None:
    """With a token alone, no key, both ports work; the token asked for is one for Azure Storage."""
    identity = Identity()
    async with TablesStore.with_identity(secure_azurite.table_endpoint, identity, transport=secure_azurite.transport()) as store:
        await append(store, entry("d1", inputs={"a": 1}))
        assert await faults(store) == []
        await store.put("seen", "key", 1, replaces=None)
        assert len(await store.rows("seen")) == 1
    assert identity.scopes == {"https://storage.azure.com/.default"}


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/linkguard", "", "https://"])
def test_a_token_is_sent_over_https_alone(endpoint: str) -> None:
    """Another endpoint is a setting that cannot be used."""
    with pytest.raises(ConfigError, match="https"):
        TablesStore.with_identity(endpoint, Identity())


# Cold start


def test_importing_the_stores_loads_no_sdk() -> None:
    """A cold start is a user's wait: Azure's SDK and aiosqlite are loaded once a store is made."""
    program = (
        "import sys, shared.adapters.tables_store, shared.adapters.sqlite_store, shared.adapters.files\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('azure', 'aiohttp', 'aiosqlite')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
