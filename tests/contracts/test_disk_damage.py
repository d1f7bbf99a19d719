"""A damaged database is mended: whole indexes, else all that can be read in a new file."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.fabric import Fabric
from contracts.disk_store import LARGE, execute, opened, value_files
from contracts.entries import got, put
from support.disks import fabric_on_disk

PAGE = 4096
ENTRIES = 120
DISPOSABLE = [number for number in range(ENTRIES) if number % 4]

Damage = Callable[[Path], None]


def key_of(number: int) -> str:
    return f"docs:/o/library-{number}#how is {number} used"


def text_of(number: int) -> str:
    return f"the text of {number}. " * (5 + number * 7 % 90)


async def fill(fabric: Fabric) -> None:
    for number in range(ENTRIES):
        assert await fabric.set_context(
            key_of(number), text_of(number), disposable=number in DISPOSABLE
        )


async def read_back(fabric: Fabric) -> list[int]:
    """The numbers that are not there; what is there has its own text, whatever way it is read."""
    missing = []
    for number in range(ENTRIES):
        context = await fabric.get_context(key_of(number))
        if context is None:
            missing.append(number)
        else:
            assert context.value == text_of(number)
    texts = {key_of(number): text_of(number) for number in range(ENTRIES)}
    for context in [
        *await fabric.get_many(list(texts)),
        *await fabric.query("docs:*"),
        *[each async for page in fabric.scan("docs:") for each in page],
    ]:
        assert context.value == texts[context.key]
    return missing


@pytest.fixture(scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with entries; some of their values lie in files of their own."""
    folder = tmp_path_factory.mktemp("filled") / "fabric"
    fabric = await fabric_on_disk(folder)
    await fill(fabric)
    await fabric.set_context("large", LARGE.decode())
    await fabric.aclose()
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(filled, tmp_path / "fabric")


def root_of(folder: Path, name: str) -> int:
    """The offset in the file of the first page of a table or an index."""
    ((page,),) = execute(folder, "SELECT rootpage FROM sqlite_master WHERE name = ?", name)
    assert isinstance(page, int)
    return (page - 1) * PAGE


def overwrite(folder: Path, start: int, content: bytes) -> None:
    with (folder / "cache.db").open("r+b") as file:
        file.seek(start)
        file.write(content)


def spoil_index(name: str) -> Damage:
    return lambda folder: overwrite(folder, root_of(folder, name), b"\xa5" * PAGE)


def spoil_leaf(folder: Path) -> None:
    ((page,),) = execute(
        folder,
        "SELECT pageno FROM dbstat WHERE name = 'Cache' AND pagetype = 'leaf' LIMIT 1 OFFSET 4",
    )
    assert isinstance(page, int)
    overwrite(folder, (page - 1) * PAGE, b"\x00" * PAGE)


def spoil_freelist(folder: Path) -> None:
    execute(folder, "PRAGMA auto_vacuum = 0")
    overwrite(folder, 32, b"\x00\x00\x00\x03\x00\x00\x00\x09")


def drop_counts(folder: Path) -> None:
    execute(folder, "DROP TABLE Settings")


def spoil_text(old: str, new: str) -> Damage:
    """Write another text of the same length into what the schema says."""

    def spoil(folder: Path) -> None:
        content = (folder / "cache.db").read_bytes()
        assert old.encode() in content
        _write(folder / "cache.db", content.replace(old.encode(), new.encode()))

    return spoil


def cut(share: float) -> Damage:
    def cut_short(folder: Path) -> None:
        with (folder / "cache.db").open("r+b") as file:
            file.truncate(int((folder / "cache.db").stat().st_size * share) // 512 * 512)

    return cut_short


def of_another_program(folder: Path) -> None:
    (folder / "cache.db").unlink()
    execute(folder, "CREATE TABLE bookmarks (id, url)")


def of_another_shape(folder: Path) -> None:
    (folder / "cache.db").unlink()
    execute(folder, "CREATE TABLE Cache (id, url)")


MENDED: dict[str, tuple[Damage, int]] = {
    "the index of keys": (spoil_index("Cache_key_raw"), 0),
    "the index of times": (spoil_index("Fabric_in_time"), 0),
    "the index of last use": (spoil_index("Fabric_last_use"), 0),
    "the index of authored entries": (spoil_index("Fabric_authored"), 0),
    "the index of ends": (spoil_index("Cache_expire_time"), 0),
    "a leaf of the table": (spoil_leaf, 10),
    "the table of counts": (spoil_index("Settings"), 0),
    "the list of free pages": (spoil_freelist, 0),
    "the last tenth cut off": (cut(0.9), 30),
    "a table that is gone": (drop_counts, 0),
    "the column of a trigger": (spoil_text("+ NEW.size", "+ NEW.sjze"), 0),
    "the table of a trigger": (spoil_text("UPDATE Fabric_changes", "UPDATE Fabrik_changes"), 0),
    "the condition of a trigger": (spoil_text("WHERE key = 'size'", "WHERE kgy = 'size'"), 0),
    "garbage in the log": (lambda folder: _write(folder / "cache.db-wal", b"\x37" * 9999), 0),
    "garbage in the log's index": (
        lambda folder: _write(folder / "cache.db-shm", b"\x7f" * 32768),
        0,
    ),
}
"""Damages, and the number of entries that each may lose."""

BEGUN_ANEW: dict[str, Damage] = {
    "a text": lambda folder: _write(folder / "cache.db", b"no database at all " * 900),
    "a header of zeros": lambda folder: overwrite(folder, 0, b"\x00" * 100),
    "a first page of zeros": lambda folder: overwrite(folder, 0, b"\x00" * PAGE),
    "no bytes": lambda folder: _write(folder / "cache.db", b""),
    "half a page": lambda folder: _write(
        folder / "cache.db", b"SQLite format 3\x00" + b"\x10" * 2000
    ),
    "another program's": of_another_program,
    "another program's table": of_another_shape,
}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [*MENDED, *BEGUN_ANEW])
async def test_a_damaged_store_answers_right_and_keeps_again(folder: Path, damage: str) -> None:
    spoil, most_lost = MENDED.get(damage) or (BEGUN_ANEW[damage], ENTRIES)
    spoil(folder)
    fabric = await fabric_on_disk(folder)
    assert len(await read_back(fabric)) <= most_lost
    await fill(fabric)
    assert await read_back(fabric) == []
    assert await fabric.delete_context(key_of(1))
    await fabric.aclose()
    following = await fabric_on_disk(folder)
    assert await read_back(following) == [1]
    await following.aclose()
    assert execute(folder, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("damage", ["the index of keys", "a leaf of the table"])
async def test_another_process_follows_a_repaired_store(folder: Path, damage: str) -> None:
    other = await fabric_on_disk(folder)
    assert await other.get_context(key_of(2))
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    MENDED[damage][0](folder)
    fabric = await fabric_on_disk(folder)
    await fill(fabric)
    await fabric.set_context("here", 1)
    await other.set_context("there", 2)
    await fabric.aclose()
    await other.aclose()
    following = await fabric_on_disk(folder)
    found = [await following.get_context(key) for key in ("here", "there")]
    assert [context and context.value for context in found] == [1, 2]
    assert await read_back(following) == []
    await following.aclose()


async def test_what_no_entry_names_any_more_goes_with_the_damaged_file(folder: Path) -> None:
    assert len(value_files(folder)) == 1
    _write(folder / "cache.db", b"no database " * 2000)
    async with opened(folder):
        pass
    assert value_files(folder) == []
    assert (folder / "damaged-cache.db").exists()
    assert (folder / "cache.db").stat().st_mode & 0o777 == 0o600


SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
async def test_wrong_bits_anywhere_never_give_a_wrong_text(folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same bits each time
    content = bytearray((folder / "cache.db").read_bytes())
    for _ in range(1 + seed % 3 * 20):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    _write(folder / "cache.db", bytes(content))
    fabric = await fabric_on_disk(folder)
    await read_back_or_junk(fabric)
    await fill(fabric)
    await fabric.aclose()
    following = await fabric_on_disk(folder)
    assert [number for number in range(ENTRIES) if not await is_kept(following, number)] == []
    await following.aclose()


async def read_back_or_junk(fabric: Fabric) -> None:
    for number in range(ENTRIES):
        context = await fabric.get_context(key_of(number))
        assert context is None or context.value == text_of(number)


async def is_kept(fabric: Fabric, number: int) -> bool:
    context = await fabric.get_context(key_of(number))
    return context is not None and context.value == text_of(number)


@pytest.mark.parametrize("kind", ["another's row", "another's key", "no row"])
@pytest.mark.parametrize("value", [b'{"format":1,"of":"%d"}', b"%d", LARGE + b"%d"], ids=len)
async def test_an_index_that_names_another_row_is_detected_and_repaired(
    tmp_path: Path, kind: str, value: bytes
) -> None:
    """Also for values that have no checksum over their key."""
    async with opened(tmp_path) as backend:
        await backend.write([WriteRequest(f"key-{number}", value % number) for number in range(9)])
    if kind == "another's key":
        exchange(tmp_path, b"key-3", b"key-7", "Cache_key_raw")
    elif kind == "another's row":
        exchange(tmp_path, b"key-3", b"key-7", "Cache")
    else:
        exchange(tmp_path, b"key-3", b"kez-3", "Cache_key_raw")
    async with opened(tmp_path) as backend:
        for number in range(9):
            try:
                assert await got(backend, f"key-{number}") in (None, value % number)
            except CorruptEntry:
                continue
        for entry in (await backend.items("", None, 20))[0]:
            assert entry.value == value % int(entry.key[-1])
        for number in range(9):
            await put(backend, f"key-{number}", value % number)
        found = [await got(backend, f"key-{number}") for number in range(9)]
    assert found == [value % number for number in range(9)]


def exchange(folder: Path, old: bytes, new: bytes, name: str) -> None:
    """Write another key of the same length into the first page of a table or an index."""
    start = root_of(folder, name)
    with (folder / "cache.db").open("r+b") as file:
        file.seek(start)
        page = file.read(PAGE)
        assert old in page
        file.seek(start)
        file.write(page.replace(old, new))
