"""No row of the database is trusted: foreign rows are corrupt, and never unpickled."""

from __future__ import annotations

import os
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from diskcache.core import MODE_BINARY, MODE_NONE, MODE_PICKLE, MODE_RAW, MODE_TEXT

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.disk.schema import PlainDisk
from contracts.disk_store import LARGE, execute, opened, value_file
from contracts.entries import got, held, put


class Touching:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Text(str):
    __slots__ = ()


class Bytes(bytes):
    __slots__ = ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fabric"


@pytest.fixture
async def backend(folder: Path) -> AsyncIterator[DiskBackend]:
    async with opened(folder) as backend:
        await put(backend, "key", b"value")
        yield backend


def change(folder: Path, **columns: object) -> None:
    """Write columns of the one row behind the backend's back."""
    for column, value in columns.items():
        execute(folder, f"UPDATE Cache SET {column} = ?", value)  # noqa: S608  # our own names


async def test_a_pickle_in_a_row_is_not_unpickled(
    folder: Path, backend: DiskBackend, tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    change(folder, mode=MODE_PICKLE, value=pickle.dumps(Touching(trap)))
    with pytest.raises(CorruptEntry, match=r"'key'.*its mode is 4"):
        await got(backend, "key")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Touching(trap)))  # noqa: S301  # shows that the trap works
    assert trap.exists()


async def test_a_pickle_in_a_file_is_not_unpickled(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    async with opened(folder) as backend:
        await put(backend, "key", LARGE)
        value_file(folder).write_bytes(pickle.dumps(Touching(trap)))
        change(folder, mode=MODE_PICKLE)
        with pytest.raises(CorruptEntry):
            await got(backend, "key")
    assert not trap.exists()


async def test_a_pickled_key_is_neither_unpickled_nor_listed(
    folder: Path, backend: DiskBackend, tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    change(folder, key=pickle.dumps(Touching(trap)), raw=0)
    assert await backend.keys("") == []
    assert await got(backend, "key") is None
    assert not trap.exists()


@pytest.mark.parametrize("key", [b"bytes", 7, 7.5, None])
async def test_a_key_that_is_no_text_is_not_listed(
    folder: Path, backend: DiskBackend, key: object
) -> None:
    change(folder, key=key)
    assert await backend.keys("") == []


@pytest.mark.parametrize(
    "columns",
    [
        {"value": "text"},
        {"value": 7},
        {"value": None},
        {"mode": MODE_NONE},
        {"mode": MODE_TEXT, "filename": "cache.db"},
        {"mode": MODE_BINARY},
        {"mode": None},
    ],
    ids=repr,
)
async def test_a_row_that_holds_no_bytes_of_ours_is_corrupt(
    folder: Path, backend: DiskBackend, columns: dict[str, object]
) -> None:
    change(folder, **columns)
    with pytest.raises(CorruptEntry):
        await got(backend, "key")


@pytest.mark.parametrize("name", ["../secret", "{home}/secret", "link/secret", "cache.db", "a\0b"])
async def test_a_file_that_is_no_value_is_neither_read_nor_removed(
    folder: Path, backend: DiskBackend, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path)
    change(folder, mode=MODE_BINARY, filename=name.format(home=tmp_path), value=None)
    with pytest.raises(CorruptEntry, match="its file is none of the cache's"):
        await got(backend, "key")
    assert await backend.delete("key")
    assert secret.read_bytes() == b"secret"
    assert (folder / "cache.db").exists()


async def test_the_file_of_a_deleted_value_goes_with_it(folder: Path) -> None:
    async with opened(folder) as backend:
        await put(backend, "key", LARGE)
        path = value_file(folder)
        await backend.delete("key")
        assert not path.exists()


async def test_a_value_file_that_is_gone_is_a_miss(folder: Path) -> None:
    async with opened(folder) as backend:
        await put(backend, "key", LARGE)
        value_file(folder).unlink()
        assert await got(backend, "key") is None


async def test_a_value_file_that_cannot_be_read_is_corrupt(folder: Path) -> None:
    async with opened(folder) as backend:
        await put(backend, "key", LARGE)
        path = value_file(folder)
        path.unlink()
        path.mkdir()
        with pytest.raises(CorruptEntry, match="its file cannot be read"):
            await got(backend, "key")


async def test_items_leave_out_what_cannot_be_read(folder: Path, backend: DiskBackend) -> None:
    change(folder, mode=MODE_PICKLE)
    await put(backend, "large", LARGE)
    value_file(folder).unlink()
    await put(backend, "whole", b"value")
    assert held((await backend.items("", None, 10))[0]) == {"whole": b"value"}
    assert held(await backend.get_many(["key", "large", "whole"])) == {"whole": b"value"}


async def test_what_was_corrupt_can_be_stored_again(folder: Path, backend: DiskBackend) -> None:
    change(folder, mode=MODE_PICKLE)
    await put(backend, "key", b"again")
    assert await got(backend, "key") == b"again"


@pytest.mark.parametrize("value", ["text", 7, None, ["list"], bytearray(b"x"), Bytes(b"x")])
async def test_nothing_but_bytes_is_stored(backend: DiskBackend, value: object) -> None:
    with pytest.raises(TypeError, match="a value is bytes"):
        await put(backend, "key", cast("bytes", value))
    assert await got(backend, "key") == b"value"


@pytest.mark.parametrize("key", [b"bytes", 7, None, ("tuple",)])
async def test_nothing_but_text_is_a_key(backend: DiskBackend, key: object) -> None:
    with pytest.raises(TypeError, match="a key is text"):
        await put(backend, cast("str", key), b"value")


async def test_text_of_a_class_of_its_own_is_the_same_key(backend: DiskBackend) -> None:
    assert await got(backend, Text("key")) == b"value"


def test_the_serialiser_reads_only_text_keys_and_no_open_files(tmp_path: Path) -> None:
    disk = PlainDisk(str(tmp_path))
    assert disk.get("key", raw=True) == "key"
    for key, raw in ((b"key", True), (pickle.dumps("key"), False)):
        with pytest.raises(Exception, match="its key is not text"):
            disk.get(key, raw)
    with pytest.raises(TypeError):
        disk.store(b"", read=True)
    with pytest.raises(Exception, match="its mode"):
        disk.fetch(MODE_BINARY, "name", None, read=True)
    assert disk.fetch(MODE_RAW, None, b"value", read=False) == b"value"
