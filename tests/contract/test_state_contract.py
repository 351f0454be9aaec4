"""What every state store must do, whatever it is stored in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import StoreConflictError
from shared.core.ledger import canonical
from tests.contract.ledgers import count_up
from tests.contract.test_ledger_contract import ODD_NAMES, noise

if TYPE_CHECKING:
    from shared.core.ledger import Json
    from tests.contract.conftest import OpenStore, Store

VALUES: list[Json] = [
    None,
    False,
    0,
    1.5,
    "",
    "lone surrogate \ud800, NUL \x00, 🚦",
    [],
    {},
    {"seen": {"a": [1, None, {"b": "c"}]}, "": -0.0},
]


@pytest.mark.parametrize("value", VALUES)
async def test_a_row_comes_back_as_it_was(store: Store, open_store: OpenStore, value: Json) -> None:
    """Any JSON value comes back equal, from another connection too, with the version that writing it gave."""
    version = await store.put("seen", "key", value, replaces=None)
    row = await (await open_store()).get("seen", "key")
    assert row is not None
    assert canonical(row.value) == canonical(value)
    assert row.version == version


async def test_what_is_not_there_is_none(store: Store) -> None:
    """No row is None, no partition is empty, and deleting what is not there is no error."""
    assert await store.get("seen", "key") is None
    assert await store.rows("seen") == {}
    await store.put("seen", "key", 1, replaces=None)
    assert await store.get("seen", "other") is None
    assert await store.get("other", "key") is None
    await store.delete("seen", "other", version=(await store.put("seen", "third", 1, replaces=None)))


async def test_a_new_row_must_be_new(store: Store) -> None:
    """``replaces=None`` never overwrites."""
    await store.put("seen", "key", 1, replaces=None)
    with pytest.raises(StoreConflictError):
        await store.put("seen", "key", 2, replaces=None)
    row = await store.get("seen", "key")
    assert row is not None
    assert row.value == 1


async def test_a_row_is_replaced_by_its_version_only(store: Store) -> None:
    """The current version replaces; a former one, or one of a row that is gone, is a conflict."""
    first = await store.put("seen", "key", 1, replaces=None)
    second = await store.put("seen", "key", 2, replaces=first)
    assert second != first
    with pytest.raises(StoreConflictError):
        await store.put("seen", "key", 3, replaces=first)
    await store.delete("seen", "key", version=second)
    with pytest.raises(StoreConflictError):
        await store.put("seen", "key", 3, replaces=second)
    assert await store.get("seen", "key") is None


async def test_a_row_is_deleted_by_its_version_only(store: Store) -> None:
    """A former version does not delete; a row that is gone is no error."""
    first = await store.put("seen", "key", 1, replaces=None)
    second = await store.put("seen", "key", 2, replaces=first)
    with pytest.raises(StoreConflictError):
        await store.delete("seen", "key", version=first)
    await store.delete("seen", "key", version=second)
    await store.delete("seen", "key", version=second)
    assert await store.get("seen", "key") is None


async def test_a_version_never_comes_again(store: Store) -> None:
    """A row that was deleted and written anew with the same value is not the row that a former version means."""
    first = await store.put("seen", "key", 1, replaces=None)
    await store.delete("seen", "key", version=first)
    again = await store.put("seen", "key", 1, replaces=None)
    assert again != first
    with pytest.raises(StoreConflictError):
        await store.put("seen", "key", 2, replaces=first)
    with pytest.raises(StoreConflictError):
        await store.delete("seen", "key", version=first)


async def test_the_same_value_again_is_a_new_version(store: Store) -> None:
    """Who read before the write must notice that somebody wrote, even the same."""
    first = await store.put("seen", "key", 1, replaces=None)
    await store.put("seen", "key", 1, replaces=first)
    with pytest.raises(StoreConflictError):
        await store.put("seen", "key", 1, replaces=first)


async def test_every_row_of_a_partition(store: Store) -> None:
    """All rows by key, of this partition alone, with versions that can be used."""
    for number in range(30):
        await store.put("seen", f"key{number}", number, replaces=None)
    await store.put("seen too", "key", "another partition's", replaces=None)
    rows = await store.rows("seen")
    assert {key: row.value for key, row in rows.items()} == {f"key{number}": number for number in range(30)}
    await store.put("seen", "key7", "changed", replaces=rows["key7"].version)
    await store.delete("seen", "key8", version=rows["key8"].version)
    assert len(await store.rows("seen")) == 29


async def test_names_are_kept_apart(store: Store) -> None:
    """Whatever characters a partition and a key hold, they come back, and no two are one."""
    for name in ODD_NAMES:
        await store.put("partition", name, name, replaces=None)
        await store.put(name, "key", name, replaces=None)
    rows = await store.rows("partition")
    assert {key: row.value for key, row in rows.items()} == {name: name for name in ODD_NAMES}
    for name in ODD_NAMES:
        assert (await store.rows(name))["key"].value == name


@pytest.mark.parametrize("size", [70_000, 1_100_000, 8_000_000])
async def test_a_row_of_any_size_is_kept_whole(store: Store, open_store: OpenStore, size: int) -> None:
    """A large value is written, replaced by a small one and by a large one again, read by itself and with its partition."""
    other = await open_store()
    small = await store.put("snapshot", "small", "beside it", replaces=None)
    version = await store.put("snapshot", "last", noise(size), replaces=None)
    assert {key: row.value for key, row in (await other.rows("snapshot")).items()} == {"small": "beside it", "last": noise(size)}
    version = await store.put("snapshot", "last", "little", replaces=version)
    row = await other.get("snapshot", "last")
    assert row is not None
    assert (row.value, row.version) == ("little", version)
    version = await other.put("snapshot", "last", noise(size, seed=2), replaces=version)
    row = await store.get("snapshot", "last")
    assert row is not None
    assert row.value == noise(size, seed=2)
    await store.delete("snapshot", "last", version=version)
    assert {key: row.version for key, row in (await other.rows("snapshot")).items()} == {"small": small}


async def test_nobody_shares_a_value_with_the_store(store: Store) -> None:
    """Changing what was written, or what was read, changes nothing that is stored."""
    value: dict[str, Json] = {"list": []}
    await store.put("seen", "key", value, replaces=None)
    value["list"] = ["changed by the writer"]
    row = await store.get("seen", "key")
    assert row is not None
    assert isinstance(row.value, dict)
    row.value["list"] = ["changed by a reader"]
    again = await store.get("seen", "key")
    assert again is not None
    assert again.value == {"list": []}


async def test_of_two_writers_one_wins(store: Store, open_store: OpenStore) -> None:
    """Both hold the same version, or both write a new row: one gets in, the other is a conflict."""
    other = await open_store()
    version: str | None = None
    for number in range(10):
        results = await asyncio.gather(
            store.put("seen", "key", f"left{number}", replaces=version),
            other.put("seen", "key", f"right{number}", replaces=version),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["StoreConflictError", "str"]
        (version,) = (result for result in results if isinstance(result, str))
        row = await store.get("seen", "key")
        assert row is not None
        assert row.version == version


async def test_no_count_is_lost(store: Store, open_store: OpenStore) -> None:
    """Read, add one, write, and again after each conflict: every one is counted."""
    stores = [store, *[await open_store() for _ in range(3)]]
    await asyncio.gather(*(count_up(stores[number % 4], "budget", "hour") for number in range(24)))
    row = await store.get("budget", "hour")
    assert row is not None
    assert row.value == 24
