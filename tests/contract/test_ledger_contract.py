"""What every ledger must do, whatever it is stored in."""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import StoreConflictError
from shared.core.ledger import EMPTY, Head, RecordKind, canonical, seal, verify_chain
from tests.contract.ledgers import CHAIN, all_records, append, append_whatever_others_do, entry, faults, sealed

if TYPE_CHECKING:
    from shared.core.ledger import JsonObject
    from tests.contract.conftest import OpenStore, Store

ODD_NAMES = [
    CHAIN,
    CHAIN + "/SLOTS/STAGING",
    "_system",
    "a/b\\c#d?e%f",
    "%2F",
    "/",
    "\\",
    "quoted \" and 'single'",
    "tab\tnewline\nnul\x00delete\x7f",
    "straße, 合同, 🚦",
    "lone surrogate \ud800",
    "+plus space ",
    " leading",
    "",
    "UPPER",
    "upper",
    "x" * 400,
]


async def test_an_unknown_chain_is_empty(store: Store) -> None:
    """A chain that does not exist has the head EMPTY, no records, and is not listed."""
    assert await store.head(CHAIN) == EMPTY
    assert await all_records(store) == []
    assert await store.chains() == ()


async def test_a_record_comes_back_as_it_was(store: Store, open_store: OpenStore) -> None:
    """What was appended is read back equal, from another connection too, and its chain verifies."""
    record = await append(
        store, entry("d1", kind=RecordKind.INTENT, body={"rule": "r", "n": [1, 2.5, None, True]}, inputs={"a": 1})
    )
    other = await open_store()
    assert await all_records(other) == [record]
    assert await other.head(CHAIN) == record.head
    assert await faults(other) == []


async def test_records_come_in_the_order_they_were_appended(store: Store) -> None:
    """More records than any page holds come in order, each once."""
    written = [await append(store, entry(f"d{number}")) for number in range(40)]
    assert await all_records(store) == written
    assert [record.sequence for record in written] == list(range(1, 41))
    assert await faults(store) == []


async def test_a_record_that_does_not_follow_the_head_is_refused(store: Store) -> None:
    """A gap, a step back, or a predecessor with another hash is a conflict and leaves the chain as it was."""
    first = await append(store, entry("d1"))
    wrong = [
        seal(entry("gap"), Head(sequence=5, hash=first.hash)),
        seal(entry("back"), EMPTY),
        seal(entry("fork"), Head(sequence=1, hash="0" * 64)),
        seal(entry("no hash"), Head(sequence=1, hash="")),
    ]
    for record in wrong:
        with pytest.raises(StoreConflictError):
            await store.append(record)
    assert await all_records(store) == [first]
    assert await store.head(CHAIN) == first.head


async def test_a_first_record_is_number_one(store: Store) -> None:
    """A chain cannot begin in the middle, and nothing of the attempt remains."""
    with pytest.raises(StoreConflictError):
        await store.append(seal(entry("d1"), Head(sequence=3, hash="0" * 64)))
    assert await store.head(CHAIN) == EMPTY
    assert await all_records(store) == []
    await append(store, entry("d1"))
    assert await store.chains() == (CHAIN,)


async def test_an_id_is_recorded_once_in_its_chain(store: Store) -> None:
    """The same id again is a conflict, at the same place and at the next one; another chain may have it."""
    first = await append(store, entry("d1"))
    with pytest.raises(StoreConflictError):
        await store.append(first)
    with pytest.raises(StoreConflictError):
        await append(store, entry("d1", body={"about": "something else"}))
    await append(store, entry("d1", chain="_system"))
    assert await all_records(store) == [first]
    assert len(await all_records(store, "_system")) == 1


async def test_a_refused_record_does_not_use_up_its_id(store: Store) -> None:
    """What was refused for its place can be appended at the right one."""
    await append(store, entry("d1"))
    with pytest.raises(StoreConflictError):
        await store.append(seal(entry("d2"), EMPTY))
    await append(store, entry("d2"))
    assert [record.entry.id for record in await all_records(store)] == ["d1", "d2"]


async def test_only_the_kinds_asked_for(store: Store) -> None:
    """``kinds`` filters, several at once too, and keeps the order."""
    kinds = [RecordKind.HOLD, RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.HOLD, RecordKind.HUMAN]
    for number, kind in enumerate(kinds):
        await append(store, entry(f"d{number}", kind=kind))

    async def ids(*wanted: RecordKind) -> list[str]:
        return [record.entry.id async for record in store.records(CHAIN, kinds=wanted)]

    assert await ids(RecordKind.HOLD) == ["d0", "d3"]
    assert await ids(RecordKind.HUMAN, RecordKind.INTENT) == ["d1", "d4"]
    assert await ids(RecordKind.DRIFT) == []


async def test_inputs_only_where_they_are_asked_for(store: Store) -> None:
    """Without inputs a record still says their digest, so that its chain can be checked; empty and none stay apart."""
    written = [
        await append(store, entry("full", inputs={"site": {"tier": "PremiumV3"}})),
        await append(store, entry("empty", inputs={})),
        await append(store, entry("none")),
    ]
    bare = [record async for record in store.records(CHAIN, with_inputs=False)]
    assert [record.entry.inputs for record in bare] == [None, None, None]
    assert [record.inputs_digest for record in bare] == [record.inputs_digest for record in written]
    assert bare[0].inputs_digest is not None
    assert bare[2].inputs_digest is None
    assert list(verify_chain(CHAIN, bare, await store.head(CHAIN), with_inputs=False)) == []
    assert [record.entry.inputs for record in await all_records(store)] == [{"site": {"tier": "PremiumV3"}}, {}, None]


def noise(characters: int, *, seed: int = 1) -> str:
    """Text that no compression makes much smaller."""
    return b64encode(random.Random(seed).randbytes(characters)).decode()[:characters]


@pytest.mark.parametrize("size", [60_000, 70_000, 700_000, 1_100_000, 8_000_000])
async def test_inputs_of_any_size_are_kept_whole(store: Store, open_store: OpenStore, size: int) -> None:
    """Nothing is cut, whatever a store's own limits are, and a record after a large one follows as any other."""
    inputs: JsonObject = {"connections": [noise(size)]}
    large = await append(store, entry("large", inputs=inputs))
    small = await append(store, entry("small"))
    other = await open_store()
    assert await all_records(other) == [large, small]
    assert await faults(other) == []
    bare = [record async for record in other.records(CHAIN, with_inputs=False)]
    assert [record.entry.inputs for record in bare] == [None, None]


async def test_bodies_of_any_size_are_kept_whole(store: Store) -> None:
    """A body is no different from inputs: nothing is cut."""
    large = await append(store, entry("large", body={"message": noise(1_100_000)}, inputs={"a": noise(200_000, seed=2)}))
    assert await all_records(store) == [large]
    bare = [record async for record in store.records(CHAIN, with_inputs=False)]
    assert bare[0].entry.body == large.entry.body


async def test_many_records_with_inputs_of_some_size(store: Store) -> None:
    """Pages of a store's own making do not show."""
    written = [await append(store, entry(f"d{n}", inputs={"noise": noise(300_000, seed=n)})) for n in range(20)]
    assert await all_records(store) == written


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_chain_may_have_any_name(store: Store, name: str) -> None:
    """Whatever characters a chain's name and an id hold, they come back, and no other chain sees them."""
    record = await append(store, entry(name, chain=name))
    assert await all_records(store, name) == [record]
    assert await store.head(name) == record.head
    assert await store.chains() == (name,)
    assert await all_records(store, name + "!") == []


async def test_names_are_kept_apart_and_listed_in_order(store: Store) -> None:
    """No two names are one chain, not even by case, escape or ending; the list is sorted."""
    for name in ODD_NAMES:
        await append(store, entry("d1", chain=name))
    assert await store.chains() == tuple(sorted(ODD_NAMES))
    for name in ODD_NAMES:
        assert [record.entry.chain for record in await all_records(store, name)] == [name]


async def test_text_of_any_alphabet_comes_back(store: Store) -> None:
    """Messages are a requester's: whatever JSON can hold comes back unchanged, lone surrogates and NUL included."""
    body: JsonObject = {"message": 'ü 合 🚦 \ud800 \x00 \x1f \u2028 "\\', "\ud800key": [], "number": [0, -1, 2**53, 1e300, -0.0]}
    record = await append(store, entry("d1", body=body, inputs=dict(body)))
    (found,) = await all_records(store)
    assert canonical(found.as_json()) == canonical(record.as_json())


async def test_what_was_read_can_be_changed_without_harm(store: Store) -> None:
    """Nobody shares a dict with the ledger, neither the writer nor a reader."""
    body: JsonObject = {"list": []}
    record = await append(store, entry("d1", body=body))
    body["list"] = ["changed by the writer"]
    (read,) = await all_records(store)
    read.entry.body["list"] = ["changed by a reader"]
    (again,) = await all_records(store)
    assert again.entry.body == {"list": []}
    assert record.hash == again.hash


async def test_of_two_writers_at_the_same_place_one_wins(store: Store, open_store: OpenStore) -> None:
    """Both saw the same head: one record gets in, the other is a conflict, and the head is the winner's."""
    other = await open_store()
    for round_number in range(10):
        head = await store.head(CHAIN)
        left, right = (seal(entry(f"{side}{round_number}"), head) for side in ("left", "right"))
        results = await asyncio.gather(store.append(left), other.append(right), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["NoneType", "StoreConflictError"]
        winner = left if results[0] is None else right
        assert await store.head(CHAIN) == await other.head(CHAIN) == winner.head
    assert await faults(store) == []
    assert len(await all_records(store)) == 10


async def test_of_two_writers_of_the_same_record_one_wins(store: Store, open_store: OpenStore) -> None:
    """Even where the two records are equal in every byte, only one writer is told that it was he."""
    other = await open_store()
    (record,) = sealed(entry("d1"))
    results = await asyncio.gather(store.append(record), other.append(record), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "StoreConflictError"]
    assert await all_records(store) == [record]


async def test_many_writers_make_one_chain(store: Store, open_store: OpenStore) -> None:
    """Writers who observe and try again after each conflict all get in, and the chain has no fault."""
    others = [await open_store() for _ in range(3)]
    new = [entry(f"d{number}") for number in range(24)]
    await asyncio.gather(*(append_whatever_others_do((store, *others)[n % 4], one) for n, one in enumerate(new)))
    assert {record.entry.id for record in await all_records(store)} == {one.id for one in new}
    assert await faults(store) == []


async def test_a_reader_is_not_disturbed_by_a_writer(store: Store) -> None:
    """Appending while somebody reads neither fails nor shows anything out of order."""
    for number in range(30):
        await append(store, entry(f"d{number}"))
    seen = []
    async for record in store.records(CHAIN):
        seen.append(record.sequence)
        if record.sequence <= 5:
            await append(store, entry(f"while reading {record.sequence}"))
    assert seen[:30] == list(range(1, 31))
    assert seen == list(range(1, len(seen) + 1))
