"""The table of diskcache: its schema, its statements, and its serialisation of values.

No other module imports diskcache. Of its columns, `store_time` is the time of an entry, `tag` its
version (negative: disposable; none: disposable, and written by another program), and `access_time`
its last use, with the precision of `TOUCH_SECONDS`. tests/contracts/test_disk_schema.py pins what
is assumed about diskcache.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import diskcache
from diskcache import core

from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.leases import lease_address

MODE_RAW: int = core.MODE_RAW
MODE_BINARY: int = core.MODE_BINARY
"""Values in the row itself, and in a file of their own."""

SMALL = 2**15
"""Bytes from which a value has a file of its own, as in diskcache."""

VALUE_FILE = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")

TOUCH_SECONDS = 3600.0
"""Age of the time of last use at which a read updates it."""

UNCOUNTED = (address(Scope.EXECUTION, ""), lease_address(""))
"""Prefixes of call records and leases, which every call writes and no derived value depends on."""

TABLES = {
    "Cache": {"key", "raw", "store_time", "expire_time", "access_time", "access_count", "tag"}
    | {"size", "mode", "filename", "value"},
    "Settings": {"key", "value"},
}
"""The columns that our tables have at least."""

ALIVE = "(expire_time IS NULL OR expire_time > ?)"
DISPOSABLE = "(tag IS NULL OR tag < 0)"
AUTHORED = "tag > 0"
BELOW = "raw = 1 AND key >= ? AND key < CAST(? AS TEXT)"
_ROW_HAS_KEY = "(SELECT own.key IS {} FROM Cache AS own NOT INDEXED WHERE own.rowid = Cache.rowid)"
"""Compares the key in the row itself, which a damaged index may report wrongly."""

CHANGED = "SELECT count FROM Fabric_changes"
FOUND = (
    "SELECT mode, filename, value, tag, access_time FROM Cache"
    f" WHERE key = ? AND raw = 1 AND {ALIVE}"
)
FOUND_AND_CHECKED = FOUND.replace(
    "access_time FROM", f"access_time, {_ROW_HAS_KEY.format('?1')} FROM"
).replace("key = ? ", "key = ?1 ")
ITEMS = (
    f"SELECT key, mode, filename, value, tag, {_ROW_HAS_KEY.format('Cache.key')} FROM Cache"
    f" WHERE {BELOW} AND {ALIVE} ORDER BY key LIMIT ?"
)
AUTHORED_TOTAL = (
    "SELECT count(*), total(coalesce(size, 0) + coalesce(length(value), 0)) FROM Cache"
    f" WHERE {AUTHORED}"
)
TAKEN = "SELECT expire_time FROM Cache WHERE key = ? AND raw = 1"
TOUCH = "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1"
COUNTED = f"SELECT count(*) FROM Cache WHERE {BELOW} AND {ALIVE}"
COUNTED_UP_TO = f"SELECT count(*) FROM (SELECT 1 FROM Cache WHERE {BELOW} LIMIT ?)"
"""Counts rows below a prefix, also ended ones; it reads the index alone, which takes no time."""

FEW = 2000
"""Keys below a prefix up to which sorting them beats walking all entries in the order of time."""

FILENAME = 7
"""The index of the file's name in a row of `upsert`."""

ROWS_AT_ONCE = 50
KEYS_AT_ONCE = 500
"""Rows and keys in one statement; SQLite allows 999 values and more.

A statement releases Python's lock once: one for many rows waits for the lock less often.
"""

COLUMNS = "rowid, key, raw, store_time, expire_time, access_time, tag, size, mode, filename, value"
COPY = f"""
INSERT INTO Cache (key, raw, store_time, expire_time, access_time, tag, size, mode, filename, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, raw) DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", ")[3:])}
WHERE excluded.store_time > store_time
"""
"""Copies a row; of two with one key the later one stays."""

TRIAL = (
    "INSERT INTO Cache (key, raw, store_time, size) VALUES ('', 2, 0, 0)",
    "UPDATE Cache SET value = 1, size = 1 WHERE key = '' AND raw = 2",
    "DELETE FROM Cache WHERE key = '' AND raw = 2",
)
"""Statements that run every trigger."""

_CREATED = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) IF NOT EXISTS (\w+)")
_DISKCACHE = (
    "CREATE TABLE IF NOT EXISTS Settings (key TEXT NOT NULL UNIQUE, value)",
    (
        "CREATE TABLE IF NOT EXISTS Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER,"
        " store_time REAL, expire_time REAL, access_time REAL, access_count INTEGER DEFAULT 0,"
        " tag BLOB, size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0, filename TEXT, value BLOB)"
    ),
    "CREATE UNIQUE INDEX IF NOT EXISTS Cache_key_raw ON Cache(key, raw)",
    "CREATE INDEX IF NOT EXISTS Cache_expire_time ON Cache (expire_time)",
    "INSERT OR IGNORE INTO Settings SELECT 'count', count(*) FROM Cache",
    "INSERT OR IGNORE INTO Settings SELECT 'size', CAST(total(size) AS INTEGER) FROM Cache",
    *(
        f"CREATE TRIGGER IF NOT EXISTS Settings_{name} AFTER {event} ON Cache FOR EACH ROW"
        f" BEGIN UPDATE Settings SET value = value {change} WHERE key = '{counted}'; END"
        for name, event, counted, change in (
            ("count_insert", "INSERT", "count", "+ 1"),
            ("count_delete", "DELETE", "count", "- 1"),
            ("size_insert", "INSERT", "size", "+ NEW.size"),
            ("size_update", "UPDATE", "size", "+ NEW.size - OLD.size"),
            ("size_delete", "DELETE", "size", "- OLD.size"),
        )
    ),
)
"""diskcache's tables and the triggers of its counts, so that its own programs can open the file."""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS Fabric_in_time ON Cache (store_time, key, raw, expire_time)",
    f"CREATE INDEX IF NOT EXISTS Fabric_last_use ON Cache (access_time) WHERE {DISPOSABLE}",
    f"CREATE INDEX IF NOT EXISTS Fabric_authored ON Cache (tag) WHERE {AUTHORED}",
)
_COUNTING = (
    "CREATE TABLE IF NOT EXISTS Fabric_changes (id INTEGER PRIMARY KEY CHECK (id = 0), count)",
    "INSERT OR IGNORE INTO Fabric_changes VALUES (0, 0)",
)
_EVENTS = (
    ("inserted", "INSERT", "NEW"),
    ("updated", "UPDATE OF value, filename, mode, tag, store_time, expire_time", "NEW"),
    ("deleted", "DELETE", "OLD"),
)


class ForeignRow(Exception):
    """A row that this package did not write."""


class ForeignDatabase(sqlite3.DatabaseError):
    """A database of another program."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's serialisation, restricted to text keys and bytes values; it never unpickles."""

    def put(self, key: Any) -> tuple[str, bool]:
        """Return the database form of `key`, which must be text."""
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """Return the key in a row, which must be text."""
        if not raw or not isinstance(key, str):
            raise ForeignRow("its key is not text")
        return key

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        """Return the database form of `value`, which must be bytes."""
        if read or type(value) is not bytes:  # diskcache would pickle a subclass
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        return super().store(value, read=False, key=key)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> bytes:
        """Return the bytes of a row."""
        if mode == MODE_RAW and isinstance(value, bytes):
            return value
        if mode == MODE_BINARY and isinstance(filename, str) and not read:
            return self._contents(filename)
        raise ForeignRow(f"its mode is {mode!r}")

    def remove(self, file_path: Any) -> None:
        """Remove the file of a value, and no other file that a row may name."""
        if isinstance(file_path, str) and VALUE_FILE.fullmatch(file_path):
            super().remove(file_path)

    def _contents(self, filename: str) -> bytes:
        if not VALUE_FILE.fullmatch(filename):
            raise ForeignRow("its file is none of the cache's")
        try:
            return (Path(self._directory) / filename).read_bytes()
        except FileNotFoundError:
            raise  # overwritten or deleted meanwhile, which is a miss
        except OSError as error:
            raise ForeignRow(f"its file cannot be read ({error.strerror})") from error


@cache
def upsert(rows: int) -> str:
    """Return the statement that stores `rows` rows; the last value is the time now."""
    return f"""
INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, tag, size, mode,
                   filename, value)
VALUES {", ".join(["(?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)"] * rows)}
ON CONFLICT (key, raw) DO UPDATE SET
  tag = excluded.tag * CASE WHEN {ALIVE} THEN abs(coalesce(tag, -1)) + 1 ELSE 1 END,
  store_time = excluded.store_time, expire_time = excluded.expire_time,
  access_time = excluded.access_time, size = excluded.size, mode = excluded.mode,
  filename = excluded.filename, value = excluded.value
"""


def newest(*, few: bool, behind: bool) -> str:
    """Return the query for positions below a prefix, the newest first, `behind` one of them.

    A `few` keys are sorted; else all entries are walked in the order of time.
    """
    order = "+store_time" if few else "store_time"  # the sign keeps SQLite from that index
    below = BELOW if few else BELOW.replace("key", "+key")
    start = f"AND ({order}, key) < (?, ?)" if behind else ""
    return (
        f"SELECT store_time, key FROM Cache WHERE {below} AND {ALIVE} {start}"
        f" ORDER BY {order} DESC, key DESC LIMIT ?"
    )


def evictable(where: str) -> str:
    """Return the query for some rows of `where`, with the files and sizes of their values."""
    return (
        "SELECT rowid, filename, coalesce(size, 0) + coalesce(length(value), 0)"
        f" FROM Cache WHERE {where} LIMIT 64"
    )


def among(keys: Sequence[str]) -> str:
    """Return the condition for rows with one of `keys`, which are its values."""
    return f"raw = 1 AND key IN ({', '.join('?' * len(keys))})"


def bounds(prefix: str) -> tuple[str, bytes]:
    """Return the values of `BELOW`: both ends of the keys that begin with `prefix`."""
    return prefix, prefix.encode() + b"\xff"  # UTF-8 has no such last byte


def version_of(tag: object) -> int:
    """Return the version in the column `tag`."""
    return abs(tag) if isinstance(tag, int) and tag else 1


def schema(uncounted: Sequence[str]) -> tuple[str, ...]:
    """Return the statements of the schema.

    Triggers count the writes of all programs, except those below `uncounted` prefixes (in ASCII,
    without quotes) and those of the time of last use. Processes with different prefixes add their
    triggers to each other's, so a write may be counted twice.
    """
    mark = f"{crc32(repr(uncounted).encode()):08x}"
    return (
        *_DISKCACHE,
        *_INDEXES,
        *_COUNTING,
        *(_trigger(mark, uncounted, *event) for event in _EVENTS),
    )


def _trigger(mark: str, uncounted: Sequence[str], name: str, event: str, row: str) -> str:
    counted = " AND ".join(
        f"NOT ({row}.key >= '{start}' AND {row}.key < '{start[:-1]}{chr(ord(start[-1]) + 1)}')"
        for start in uncounted
    )
    return (
        f"CREATE TRIGGER IF NOT EXISTS Fabric_{name}_{mark} AFTER {event} ON Cache"
        f" WHEN {counted or 1}"
        " BEGIN UPDATE Fabric_changes SET count = count + 1; END"
    )


def created_by(statements: Sequence[str]) -> set[str]:
    """Return the names of what statements of the schema create."""
    return {created[1] for each in statements if (created := _CREATED.match(each))}


def check_ours(sql: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Check that a database, queried by `sql`, is empty or ours.

    Raises:
        ForeignDatabase: It has other tables, or our tables with other columns.
    """
    there = sql("SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'")
    names = {name.decode(errors="replace") for (name,) in there}
    if names and names.isdisjoint(TABLES):
        raise ForeignDatabase("it is another program's database")
    for table in names & TABLES.keys():
        rows = sql(f"SELECT CAST(name AS BLOB) FROM pragma_table_info('{table}')")
        if not {name.decode(errors="replace") for (name,) in rows} >= TABLES[table]:
            raise ForeignDatabase(f"its table {table} is another program's")
