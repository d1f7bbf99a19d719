"""The facts about diskcache that the backend on disk relies on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import diskcache

from context7_fabric.fabric.backends.disk.schema import (
    MODE_BINARY,
    MODE_RAW,
    SMALL,
    VALUE_FILE,
    PlainDisk,
)
from contracts.disk_store import LARGE, execute, opened
from contracts.entries import put


async def test_our_tables_and_triggers_are_those_of_diskcache(tmp_path: Path) -> None:
    with closing(diskcache.Cache(tmp_path / "theirs")):
        pass
    async with opened(tmp_path / "ours"):
        pass
    theirs = _schema(tmp_path / "theirs")
    ours = {name: each for name, each in _schema(tmp_path / "ours").items() if "Fabric" not in name}
    assert {"Cache", "Settings", "Cache_key_raw", "Cache_expire_time"} <= ours.keys()
    assert ours == {name: theirs[name] for name in ours}


def test_modes_and_files_of_values_are_those_of_diskcache(tmp_path: Path) -> None:
    disk = PlainDisk(str(tmp_path), min_file_size=SMALL)
    assert (MODE_RAW, MODE_BINARY) == (1, 2)
    small = disk.store(b"x", read=False)
    assert (*small[:3], bytes(small[3])) == (0, MODE_RAW, None, b"x")
    size, mode, filename, value = disk.store(LARGE, read=False)
    assert (size, mode, value) == (len(LARGE), MODE_BINARY, None)
    assert VALUE_FILE.fullmatch(filename)
    assert (tmp_path / filename).read_bytes() == LARGE
    disk.remove(filename)
    assert not (tmp_path / filename).exists()


async def test_diskcache_reads_our_entries_and_keeps_their_counts(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        await put(backend, "small", b"value")
        await put(backend, "large", LARGE)
    with closing(diskcache.Cache(tmp_path)) as cache:
        assert (cache.get("small"), cache.get("large"), len(cache)) == (b"value", LARGE, 2)
        assert cache.delete("large")
    assert execute(tmp_path, "SELECT key, value FROM Settings WHERE key IN ('count', 'size')") == [
        ("count", 1),
        ("size", 0),
    ]


def _schema(folder: Path) -> dict[str, str]:
    """The statements of a database by the names of what they create, without white space."""
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {
            name: "".join(sql.split()).replace("IFNOTEXISTS", "").replace('"', "'").rstrip(";")
            for name, sql in rows
        }
