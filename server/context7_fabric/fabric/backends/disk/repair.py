"""Repair of the database on disk: rebuilt indexes, or a copy of all readable entries.

An entry is never filed under another key: where an index and a row disagree about a key, an entry
without a checksum over its key is dropped.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from context7_fabric.fabric.backend import CHECKED_START
from context7_fabric.fabric.backends.disk.file import DATABASE, FILES, locked, prepare
from context7_fabric.fabric.backends.disk.schema import (
    AUTHORED,
    COLUMNS,
    COPY,
    DISPOSABLE,
    MODE_BINARY,
    MODE_RAW,
    TRIAL,
    UNCOUNTED,
    VALUE_FILE,
    ForeignDatabase,
    check_ours,
    schema,
)

log = logging.getLogger(__name__)

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_IN_TRIGGER = ("no such column", "no such table: main.")
"""SQLite's messages for a trigger with a damaged text; no statement of ours causes them."""

_MOST_HOLES = 10_000
"""Unreadable rows or pages after which the rest of a table is given up."""

_FARTHEST_ROW = 2**31

ASIDE = "damaged-"
"""Beginning of the names of a damaged database and its files, which are kept."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether `error` means that the file is damaged, or another program's."""
    if isinstance(error, ForeignDatabase) or str(error).startswith(_IN_TRIGGER):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def repair(folder: Path, why: str) -> None:
    """Repair the database in `folder`, unless another process has just done so; blocks.

    Raises:
        OSError, sqlite3.Error: That is not possible.
    """
    with locked(folder, alone=True):
        done = mended(folder)
    if done is not None:
        kept = "" if done.copied is None else f", the old one is kept as {ASIDE}{DATABASE}"
        log.warning("the store in %s was damaged (%s): %s%s", folder, why, done, kept)


@dataclass(frozen=True, slots=True)
class Repair:
    """Outcome of a repair: rebuilt indexes, or the number of entries copied to a new file."""

    copied: int | None

    def __str__(self) -> str:
        if self.copied is None:
            return "its indexes are rebuilt"
        return f"{self.copied} entries are copied to a new file"


def mended(folder: Path) -> Repair | None:
    """Repair a database that no other process changes; return None if it is whole; blocks.

    Raises:
        OSError, sqlite3.Error: That is not possible.
    """
    if _is_whole(folder):
        return None
    return Repair(None if _reindexed(folder) else _rebuilt(folder))


def _connected(folder: Path) -> sqlite3.Connection:
    uri = f"{(folder / DATABASE).as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, isolation_level=None, uri=True)
    connection.text_factory = bytes
    return connection


def _is_whole(folder: Path) -> bool:
    try:
        with closing(_connected(folder)) as database:
            check_ours(lambda statement: database.execute(statement).fetchall())
            return _is_sound(database)
    except sqlite3.Error:
        return False


def _is_sound(database: sqlite3.Connection) -> bool:
    """Return whether nothing is damaged, and a row can be written."""
    database.execute("SAVEPOINT trial")
    for statement in TRIAL:
        database.execute(statement)
    database.execute("ROLLBACK TO trial")
    database.execute("RELEASE trial")
    return database.execute("PRAGMA integrity_check(1)").fetchall() == [(b"ok",)]


def _reindexed(folder: Path) -> bool:
    """Rebuild the indexes if nothing else is damaged; return whether that was so."""
    with closing(_connected(folder)) as database:
        try:
            check_ours(lambda statement: database.execute(statement).fetchall())
            database.execute("BEGIN IMMEDIATE")
            _reindex(database)
            if _is_sound(database):
                database.execute("COMMIT")
                return True
        except sqlite3.Error:
            pass
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
    return False


def _reindex(database: sqlite3.Connection) -> None:
    misplaced = _misplaced(database)
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name = 'Cache'"
    ).fetchall()
    for name, _statement in indexes:
        database.execute(f'DROP INDEX "{name.decode()}"')
    for rowid in misplaced:
        database.execute("DELETE FROM Cache WHERE rowid = ?", (rowid,))
    for _name, statement in indexes:
        database.execute(statement.decode())


def _misplaced(database: sqlite3.Connection) -> set[int]:
    """Return the rows with an uncertain key, and the older ones of those with the same key."""
    indexed: dict[int, object] = {}
    with suppress(sqlite3.Error):
        indexed.update(
            database.execute("SELECT rowid, key FROM Cache INDEXED BY Cache_key_raw").fetchall()
        )
    misplaced, latest = set[int](), dict[tuple[object, object], int]()
    for rowid, key, raw, start in database.execute(
        f"SELECT rowid, key, raw, substr(value, 1, {len(CHECKED_START)}) FROM Cache NOT INDEXED"
        " ORDER BY store_time, rowid"
    ):
        if indexed.get(rowid, key) != key and start != CHECKED_START:
            misplaced.add(rowid)
        elif (key, raw) in latest:
            misplaced.add(latest[key, raw])
        latest[key, raw] = rowid
    return misplaced


def _rebuilt(folder: Path) -> int:
    """Replace the file by a copy of its readable entries; return their number."""
    for left in folder.glob("mending-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = folder / f"mending-{token_hex(4)}"
    prepare(fresh)
    try:
        files = _copied(folder, fresh)
        for name in FILES:
            aside = folder / f"{ASIDE}{name}"
            aside.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                (folder / name).rename(aside)
        (fresh / DATABASE).rename(folder / DATABASE)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _remove_unnamed(folder, {name for name in files if name})
    return len(files)


def _copied(folder: Path, fresh: Path) -> list[str | None]:
    """Copy the entries, authored ones first; return the names of their files, None without one."""
    files: list[str | None] = []
    with closing(_connected(folder)) as source, closing(_connected(fresh)) as target:
        for statement in ("PRAGMA auto_vacuum = 1", "PRAGMA journal_mode = wal"):
            target.execute(statement)
        source.execute("PRAGMA writable_schema = 1")  # also reads a truncated file
        for statement in schema(UNCOUNTED):
            target.execute(statement)
        for which in (AUTHORED, DISPOSABLE):
            target.execute("BEGIN")
            for row in _readable(source, which):
                copy = _checked(folder, row, authored=which == AUTHORED)
                if copy is not None:
                    target.execute(COPY, copy)
                    files.append(copy[-2])
            target.execute("COMMIT")
    return files


def _readable(source: sqlite3.Connection, which: str) -> Iterator[tuple[Any, ...]]:
    """Yield the readable rows, and continue behind each hole."""
    statement = (
        f"SELECT {COLUMNS} FROM Cache NOT INDEXED WHERE rowid BETWEEN ? AND ? AND {which}"
        " ORDER BY rowid"
    )
    first, last = 1, _last_row(source)
    for _hole in range(_MOST_HOLES):
        if first > last:
            return
        try:
            for row in source.execute(statement, (first, last)):
                first = max(first, row[0] + 1)
                yield row
        except sqlite3.Error as error:
            if not _is_corrupt(error):  # not a database, or one without the table
                return
        else:
            return
        first = _behind_hole(source, first, last)


def _behind_hole(source: sqlite3.Connection, hole: int, last: int) -> int:
    """Return the first row behind `hole` that can be searched for, or the one behind `last`."""
    step, end = 1, hole + 1
    while end <= last and not _is_found(source, end):
        hole, step = end, 2 * step
        end = min(hole + step, last + 1)
    while end - hole > 1:
        middle = (hole + end) // 2
        if _is_found(source, middle):
            end = middle
        else:
            hole = middle
    return end


def _is_found(source: sqlite3.Connection, row: int) -> bool:
    with suppress(sqlite3.Error):
        source.execute(
            "SELECT rowid FROM Cache NOT INDEXED WHERE rowid >= ? LIMIT 1", (row,)
        ).fetchall()
        return True
    return False


def _is_corrupt(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)


def _last_row(source: sqlite3.Connection) -> int:
    for index in ("NOT INDEXED", "INDEXED BY Cache_key_raw", "INDEXED BY Cache_expire_time"):
        with suppress(sqlite3.Error):
            ((last,),) = source.execute(f"SELECT max(rowid) FROM Cache {index}").fetchall()
            return int(last or 0)
    return _FARTHEST_ROW


def _checked(folder: Path, row: tuple[Any, ...], *, authored: bool) -> tuple[Any, ...] | None:
    """Return the values of `COPY` for a row, None if the row is unreliable.

    Entries without a checksum over their key are copied only if they are `authored`.
    """
    _rowid, key, raw, at, until, used, tag, size, mode, filename, value = row
    times = (at, until, used)
    if raw != 1 or not all(each is None or isinstance(each, int | float) for each in times):
        return None
    try:
        key, filename = key.decode(), filename and filename.decode()
    except (AttributeError, UnicodeError):
        return None
    length = len(CHECKED_START)
    start = value[:length] if mode == MODE_RAW and isinstance(value, bytes) else None
    if mode == MODE_BINARY and filename and VALUE_FILE.fullmatch(filename):
        with suppress(OSError), (folder / filename).open("rb") as file:
            start = file.read(length)
    if start is None or not (authored or start == CHECKED_START):
        return None
    size = size if isinstance(size, int) else 0
    return key, raw, at, until, used, tag, size, mode, filename, value


def _remove_unnamed(folder: Path, kept: set[str]) -> None:
    """Remove the files of values that no row names."""
    for path in folder.glob("??/??/*.val"):
        if str(path.relative_to(folder)) not in kept:
            with suppress(OSError):
                path.unlink()
