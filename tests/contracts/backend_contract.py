"""Contract of every backend of the fabric. A test file supplies the `backend` fixture.

Expiry is tested without waiting: an entry that was added for less than no time is past its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreError
from context7_fabric.fabric.backend import Backend, WriteRequest
from contracts.entries import LONG, PAST, everything, got, held, put, put_many
from contracts.order_contract import OrderContract
from contracts.swap_contract import SwapContract

ODD_KEYS = [
    "",
    " ",
    "a\x00b",
    "docs:/o/r?[a]*#b",
    "100%/_like_\\",
    "line\nbreak",
    "'; DROP TABLE Cache; --",
    "Ünïcödé/ключ/鍵/🗝️",
    "e\u0301",
    "\u00e9",
    "\uffff",
    "\U0010ffff",
    "x" * 100_000,
]
ODD_PREFIXES = ["a[", "a*", "a?", "a#", "a%", "a_", "a\\", "a'", "a\x00", "ä", "鍵", "🗝", "a\uffff"]


Spoil = Callable[[str], Awaitable[None]]


class BackendContract(OrderContract, SwapContract, ABC):
    """Inherit as `TestXBackend` and override `backend`."""

    @pytest.fixture
    @abstractmethod
    def backend(self) -> AsyncIterator[Backend]:
        """Give an empty backend, and close it."""

    @pytest.fixture
    def spoil(self, backend: Backend) -> Spoil:
        """Give a way to put, behind the backend's back, what is no entry in place of one."""
        pytest.skip("this medium holds nothing but what it was given")

    async def test_a_key_never_stored_gives_nothing(self, backend: Backend) -> None:
        assert await got(backend, "never") is None

    async def test_what_is_put_is_got(self, backend: Backend) -> None:
        await put(backend, "key", b"value")
        assert await got(backend, "key") == b"value"

    async def test_a_second_put_takes_the_place_of_the_first(self, backend: Backend) -> None:
        await put(backend, "key", b"one" * 20_000)
        await put(backend, "key", b"two")
        assert await got(backend, "key") == b"two"

    async def test_only_the_first_delete_finds_something(self, backend: Backend) -> None:
        await put(backend, "key", b"value")
        assert [await backend.delete("key"), await backend.delete("key")] == [True, False]
        assert await got(backend, "key") is None

    async def test_deleting_leaves_the_other_keys(self, backend: Backend) -> None:
        await put(backend, "key", b"value")
        await put(backend, "key2", b"kept")
        await backend.delete("key")
        assert await backend.keys("") == ["key2"]

    async def test_every_text_is_a_key_of_its_own(self, backend: Backend) -> None:
        for number, key in enumerate(ODD_KEYS):
            await put(backend, key, b"%d" % number)
        assert [await got(backend, key) for key in ODD_KEYS] == [
            b"%d" % number for number in range(len(ODD_KEYS))
        ]
        assert sorted(await backend.keys("")) == sorted(ODD_KEYS)

    async def test_a_key_that_is_no_unicode_is_kept_or_refused(self, backend: Backend) -> None:
        try:
            await put(backend, "\ud800", b"value")
        except StoreError:
            return
        assert await got(backend, "\ud800") == b"value"

    @pytest.mark.parametrize(
        "value", [b"", b"\x00", bytes(range(256)), b"x" * 2**20], ids=["none", "nul", "all", "1 MB"]
    )
    async def test_any_bytes_are_a_value(self, backend: Backend, value: bytes) -> None:
        await put(backend, "key", value)
        assert await got(backend, "key") == value

    async def test_keys_of_nothing_are_none(self, backend: Backend) -> None:
        assert await backend.keys("") == []

    async def test_keys_are_those_that_begin_with_the_prefix(self, backend: Backend) -> None:
        stored = ["docs:/a", "docs:/a/b", "docs:/A", "docs:/b", "Docs:/a", " docs:/a", "list:a"]
        for key in stored:
            await put(backend, key, b"")
        assert sorted(await backend.keys("docs:/a")) == ["docs:/a", "docs:/a/b"]

    @pytest.mark.parametrize("prefix", ODD_PREFIXES, ids=ascii)
    async def test_no_sign_in_a_prefix_means_anything_else(
        self, backend: Backend, prefix: str
    ) -> None:
        wanted = [prefix, prefix + "b", prefix + "\uffff", prefix + "\U0010ffff"]
        for key in (*wanted, "a", "ab", "b", prefix[:-1] + "!", chr(ord(prefix[0]) + 1)):
            await put(backend, key, b"")
        assert sorted(await backend.keys(prefix)) == sorted(wanted)

    async def test_items_are_the_entries_of_the_prefix(self, backend: Backend) -> None:
        entries = {"docs:/a": b"1", "docs:/a/b": b"x" * 2**17, "docs:/\U0010ffff": b""}
        for key, value in ({"docs": b"", "docs;": b"", "list:a": b""} | entries).items():
            await put(backend, key, value)
        assert held(await everything(backend, "docs:")) == entries
        assert await everything(backend, "nothing") == []

    async def test_items_past_their_end_are_not_among_them(self, backend: Backend) -> None:
        await put(backend, "later", b"value", expires_in=LONG)
        await put(backend, "past", b"value", expires_in=PAST)
        assert held(await everything(backend, "")) == {"later": b"value"}

    async def test_several_are_got_at_once(self, backend: Backend) -> None:
        await put(backend, "small", b"1")
        await put(backend, "large", b"x" * 2**17)
        await put(backend, "past", b"value", expires_in=PAST)
        found = await backend.get_many(["large", "never", "small", "past"])
        assert held(found) == {"small": b"1", "large": b"x" * 2**17}
        assert await backend.get_many([]) == []

    async def test_many_are_put_at_once(self, backend: Backend) -> None:
        await put(backend, "1", b"before")
        entries = {str(number): b"%d" % number for number in range(100)}
        await put_many(backend, entries)
        assert held(await everything(backend, "")) == entries
        await put_many(backend, {})
        assert len(await backend.keys("")) == 100

    async def test_of_many_all_are_put_or_none(self, backend: Backend) -> None:
        await put(backend, "first", b"before")
        refused = False
        try:
            await put_many(backend, {"first": b"after", "\ud800": b"no Unicode", "last": b""})
        except StoreError:
            refused = True
        assert await got(backend, "first") == (b"before" if refused else b"after")
        assert await got(backend, "last") == (None if refused else b"")

    async def test_deletes_are_made_with_the_puts(self, backend: Backend) -> None:
        await put_many(backend, {"old": b"1", "both": b"1"})
        await backend.write([WriteRequest("new", b"2")], ["old", "never"])
        assert held(await everything(backend, "")) == {"both": b"1", "new": b"2"}

    async def test_a_foreign_entry_is_reported_and_can_be_replaced(
        self, backend: Backend, spoil: Spoil
    ) -> None:
        await put_many(backend, {"key": b"value", "whole": b"value"})
        await spoil("key")
        with pytest.raises(CorruptEntry, match="'key'"):
            await backend.get("key")
        assert held(await backend.get_many(["key", "whole"])) == {"whole": b"value"}
        assert held(await everything(backend, "")) == {"whole": b"value"}
        await put(backend, "key", b"again")
        assert await got(backend, "key") == b"again"

    async def test_a_foreign_entry_never_equals_the_expected_one(
        self, backend: Backend, spoil: Spoil
    ) -> None:
        await put(backend, "key", b"value")
        await spoil("key")
        assert not await backend.swap("key", b"value", None)
        with pytest.raises(CorruptEntry):
            await backend.get("key")

    async def test_adding_takes_a_key_once(self, backend: Backend) -> None:
        assert await backend.add("key", b"one", expires_in=LONG)
        assert not await backend.add("key", b"two", expires_in=LONG)
        assert await got(backend, "key") == b"one"

    async def test_adding_does_not_touch_what_was_put(self, backend: Backend) -> None:
        await put(backend, "key", b"one")
        assert not await backend.add("key", b"two", expires_in=LONG)
        assert await got(backend, "key") == b"one"

    async def test_a_deleted_key_can_be_added_again(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=LONG)
        await backend.delete("key")
        assert await backend.add("key", b"two", expires_in=LONG)

    async def test_what_is_past_its_end_is_not_got(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=PAST)
        assert await got(backend, "key") is None

    async def test_what_is_past_its_end_is_not_listed(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=PAST)
        assert await backend.keys("") == []

    async def test_what_is_past_its_end_is_not_there_to_delete(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=PAST)
        assert not await backend.delete("key")

    async def test_what_is_before_its_end_is_got_and_listed(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=LONG)
        assert await got(backend, "key") == b"one"
        assert await backend.keys("") == ["key"]

    async def test_what_is_past_its_end_can_be_added_again(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=PAST)
        assert await backend.add("key", b"two", expires_in=LONG)
        assert await got(backend, "key") == b"two"

    async def test_what_is_put_with_an_end_is_there_until_then(self, backend: Backend) -> None:
        await put(backend, "later", b"value", expires_in=LONG)
        await put(backend, "past", b"value", expires_in=PAST)
        assert [await got(backend, "later"), await got(backend, "past")] == [b"value", None]
        assert await backend.keys("") == ["later"]

    async def test_what_is_put_over_an_added_entry_stays(self, backend: Backend) -> None:
        await backend.add("key", b"one", expires_in=PAST)
        await put(backend, "key", b"two")
        assert await got(backend, "key") == b"two"
        assert await backend.keys("") == ["key"]

    async def test_one_of_many_who_add_at_once_succeeds(self, backend: Backend) -> None:
        taken: list[bool] = []

        async def take() -> None:
            taken.append(await backend.add("key", b"mine", expires_in=LONG))

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(take)
        assert sorted(taken) == [False] * 29 + [True]

    async def test_a_hundred_writers_at_once_lose_nothing(self, backend: Backend) -> None:
        async def write(number: int) -> None:
            await put(backend, f"own/{number}", b"%d" % number)
            await put(backend, "shared", b"x" * number)

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(write, number)
        assert len(await backend.keys("own/")) == 100
        assert [await got(backend, f"own/{number}") for number in (0, 57, 99)] == [
            b"0",
            b"57",
            b"99",
        ]
        assert set(await got(backend, "shared") or b"x") == set(b"x")

    async def test_a_closed_backend_does_nothing_more(self, backend: Backend) -> None:
        await put(backend, "key", b"value")
        await backend.aclose()
        with pytest.raises(StoreClosed):
            await got(backend, "key")
        with pytest.raises(StoreClosed):
            await put(backend, "key", b"value")
        with pytest.raises(StoreClosed):
            await backend.add("other", b"value", expires_in=LONG)
        with pytest.raises(StoreClosed):
            await backend.swap("key", b"value", None)
        with pytest.raises(StoreClosed):
            await backend.delete("key")
        with pytest.raises(StoreClosed):
            await backend.keys("")
        with pytest.raises(StoreClosed):
            await everything(backend, "")
        with pytest.raises(StoreClosed):
            await backend.get_many(["key"])
        with pytest.raises(StoreClosed):
            await put_many(backend, {})
        with pytest.raises(StoreClosed):
            await backend.newest("", None, 1)
        with pytest.raises(StoreClosed):
            backend.info()
        with pytest.raises(StoreClosed):
            backend.dbsize()

    async def test_closing_twice_is_closing(self, backend: Backend) -> None:
        await backend.aclose()
        await backend.aclose()
