"""What the table of the backend on disk is asked, in SQLite's words, and how SQLite is set."""

from __future__ import annotations

CHECKPOINT_PAGES = 4000
"""Pages (16 MB) after which the log is copied into the database: four times SQLite's own choice."""

PAGES_IN_MEMORY = 256
MAPPED_BYTES = 0
"""What SQLite keeps of the file, in each thread and in all: the system's own cache is as good.

With diskcache's 8,192 pages and 64 MiB a server grows with its store (tests/bench/peers.py).
"""

ALIVE = "(expire_time IS NULL OR expire_time > ?)"
DISPOSABLE = "(tag IS NULL OR tag < 0)"
BELOW = "raw = 1 AND key >= ? AND key < CAST(? AS TEXT)"
INDEXES = (
    "CREATE INDEX IF NOT EXISTS Fabric_newest ON Cache (store_time, key)",
    f"CREATE INDEX IF NOT EXISTS Fabric_last_use ON Cache (access_time) WHERE {DISPOSABLE}",
    "CREATE INDEX IF NOT EXISTS Fabric_authored ON Cache (tag) WHERE tag > 0",
)
FOUND = (
    "SELECT mode, filename, value, tag, access_time FROM Cache"
    f" WHERE key = ? AND raw = 1 AND {ALIVE}"
)
UPSERT = f"""
INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, tag, size, mode,
                   filename, value)
VALUES (?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)
ON CONFLICT (key, raw) DO UPDATE SET
  tag = excluded.tag * CASE WHEN {ALIVE} THEN abs(coalesce(tag, -1)) + 1 ELSE 1 END,
  store_time = excluded.store_time, expire_time = excluded.expire_time,
  access_time = excluded.access_time, size = excluded.size, mode = excluded.mode,
  filename = excluded.filename, value = excluded.value
"""
COUNTED = f"SELECT count(*) FROM Cache WHERE {BELOW} AND {ALIVE}"
COUNTED_UP_TO = f"SELECT count(*) FROM (SELECT 1 FROM Cache WHERE {BELOW} LIMIT ?)"
FEW = 2000
"""Keys below a prefix up to which sorting them beats walking all entries in the order of time."""

FILENAME = 7
"""Where in the values of `UPSERT` the file's name stands."""


def bounds(prefix: str) -> tuple[str, bytes]:
    """Return what `BELOW` takes: where keys that begin with `prefix` start and end."""
    return prefix, prefix.encode() + b"\xff"  # UTF-8 has no such last byte
