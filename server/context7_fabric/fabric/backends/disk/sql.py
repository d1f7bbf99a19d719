"""What the table of the backend on disk is asked, in SQLite's words, and how SQLite is set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from zlib import crc32

from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.leases import lease_address

CHECKPOINT_PAGES = 4000
"""Pages (16 MB) after which the log is copied into the database: four times SQLite's own choice."""

PAGES_IN_MEMORY = 256
MAPPED_BYTES = 0
"""What SQLite keeps of the file, in each thread and in all: the system's own cache is as good.

With diskcache's 8,192 pages and 64 MiB a server grows with its store (tests/bench/peers.py).
"""

_MADE = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) IF NOT EXISTS (\w+)")

ALIVE = "(expire_time IS NULL OR expire_time > ?)"
DISPOSABLE = "(tag IS NULL OR tag < 0)"
BELOW = "raw = 1 AND key >= ? AND key < CAST(? AS TEXT)"
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
"""diskcache's tables and what keeps its counts: its own programs may open the file as well."""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS Fabric_in_time ON Cache (store_time, key, raw, expire_time)",
    f"CREATE INDEX IF NOT EXISTS Fabric_last_use ON Cache (access_time) WHERE {DISPOSABLE}",
    "CREATE INDEX IF NOT EXISTS Fabric_authored ON Cache (tag) WHERE tag > 0",
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
PASSING = (address(Scope.EXECUTION, ""), lease_address(""))
"""Where records of calls and leases lie, which come with every call; nothing is worked out from
them."""

TABLES = {
    "Cache": {"key", "raw", "store_time", "expire_time", "access_time", "access_count", "tag"}
    | {"size", "mode", "filename", "value"},
    "Settings": {"key", "value"},
}
"""The columns without which a table is none of ours."""

OWN = "(SELECT own.key IS {} FROM Cache AS own NOT INDEXED WHERE own.rowid = Cache.rowid)"
"""Whether the row itself bears a key, which an index that is damaged may tell wrongly."""

CHANGED = "SELECT count FROM Fabric_changes"
FOUND = (
    "SELECT mode, filename, value, tag, access_time FROM Cache"
    f" WHERE key = ? AND raw = 1 AND {ALIVE}"
)
FOUND_FOR_CERTAIN = FOUND.replace(
    "access_time FROM", f"access_time, {OWN.format('?1')} FROM"
).replace("key = ? ", "key = ?1 ")
ITEMS = (
    f"SELECT key, mode, filename, value, tag, {OWN.format('Cache.key')} FROM Cache"
    f" WHERE {BELOW} AND {ALIVE} ORDER BY key LIMIT ?"
)
AUTHORED = (
    "SELECT count(*), total(coalesce(size, 0) + coalesce(length(value), 0)) FROM Cache"
    " WHERE tag > 0"
)
TAKEN = "SELECT expire_time FROM Cache WHERE key = ? AND raw = 1"
COUNTED = f"SELECT count(*) FROM Cache WHERE {BELOW} AND {ALIVE}"
COUNTED_UP_TO = f"SELECT count(*) FROM (SELECT 1 FROM Cache WHERE {BELOW} LIMIT ?)"
"""Counts rows below a prefix, ended ones too; of the index alone, which takes no time."""

FEW = 2000
"""Keys below a prefix up to which sorting them beats walking all entries in the order of time."""

FILENAME = 7
"""Where in the values of a row of `upsert` the file's name stands."""

ROWS_AT_ONCE = 50
KEYS_AT_ONCE = 500
"""Rows and keys that one statement names; SQLite allows 999 values and more.

One statement for many gives Python's lock up once; one for each, once each, and has to wait for it.
"""


@cache
def upsert(rows: int) -> str:
    """Return what stores so many rows; behind their values it takes the time that is now."""
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
    """Return what lists the places below a prefix, the newest first, `behind` one of them if so.

    Where they are `few`, by sorting their keys; else in the order of time, of all that there are.
    """
    order = "+store_time" if few else "store_time"  # the sign keeps SQLite from that index
    below = BELOW if few else BELOW.replace("key", "+key")
    start = f"AND ({order}, key) < (?, ?)" if behind else ""
    return (
        f"SELECT store_time, key FROM Cache WHERE {below} AND {ALIVE} {start}"
        f" ORDER BY {order} DESC, key DESC LIMIT ?"
    )


def among(keys: Sequence[str]) -> str:
    """Return the condition that a row has one of `keys`, which are its values."""
    return f"raw = 1 AND key IN ({', '.join('?' * len(keys))})"


def schema(passing: Sequence[str]) -> tuple[str, ...]:
    """Return what makes the tables, the indexes, and the count of what is written, by whomever.

    What lies below one of `passing` (in ASCII, without quotes) is not counted, nor is the time of
    last use. Whoever opens a store with others to pass over counts beside that: rather too much.
    """
    mark = f"{crc32(repr(passing).encode()):08x}"
    return (
        *_DISKCACHE,
        *_INDEXES,
        *_COUNTING,
        *(_trigger(mark, passing, *event) for event in _EVENTS),
    )


def _trigger(mark: str, passing: Sequence[str], name: str, event: str, row: str) -> str:
    counted = " AND ".join(
        f"NOT ({row}.key >= '{start}' AND {row}.key < '{start[:-1]}{chr(ord(start[-1]) + 1)}')"
        for start in passing
    )
    return (
        f"CREATE TRIGGER IF NOT EXISTS Fabric_{name}_{mark} AFTER {event} ON Cache"
        f" WHEN {counted or 1}"
        " BEGIN UPDATE Fabric_changes SET count = count + 1; END"
    )


def name_of(statement: str) -> str:
    """Return the name of what a statement of the schema makes, empty if it makes nothing."""
    made = _MADE.match(statement)
    return made[1] if made else ""


def bounds(prefix: str) -> tuple[str, bytes]:
    """Return what `BELOW` takes: where keys that begin with `prefix` start and end."""
    return prefix, prefix.encode() + b"\xff"  # UTF-8 has no such last byte


def version_of(tag: object) -> int:
    """Return the version that the column `tag` tells."""
    return abs(tag) if isinstance(tag, int) and tag else 1
