"""Repair of the database on disk: its indexes are made anew, or all that can be read is copied.

An entry is never filed under another key: one without a checksum over its key that an index and its
row name differently is dropped.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from diskcache.core import MODE_BINARY, MODE_RAW

from context7_fabric.fabric.backend import SEALED
from context7_fabric.fabric.backends.disk.file import DATABASE, FILES, locked, prepare
from context7_fabric.fabric.backends.disk.sql import DISPOSABLE, PASSING, schema
from context7_fabric.fabric.backends.disk.table import VALUE_FILE, ForeignDatabase, check_ours

log = logging.getLogger(__name__)

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_IN_TRIGGER = ("no such column", "no such table: main.")
"""SQLite's message for a trigger whose text is damaged; no statement of ours causes it."""

_TRIAL = (
    "INSERT INTO Cache (key, raw, store_time, size) VALUES ('', 2, 0, 0)",
    "UPDATE Cache SET value = 1, size = 1 WHERE key = '' AND raw = 2",
    "DELETE FROM Cache WHERE key = '' AND raw = 2",
)
_MOST_HOLES = 10_000
"""Rows or pages that cannot be read, after which the rest of a table is given up."""

_FARTHEST_ROW = 2**31
_COLUMNS = "rowid, key, raw, store_time, expire_time, access_time, tag, size, mode, filename, value"
_COPY = f"""
INSERT INTO Cache (key, raw, store_time, expire_time, access_time, tag, size, mode, filename, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, raw) DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[3:])}
WHERE excluded.store_time > store_time
"""  # the later one of two


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether `error` says that the file is damaged, or another program's."""
    if isinstance(error, ForeignDatabase) or str(error).startswith(_IN_TRIGGER):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def mend(folder: Path, why: str) -> None:
    """Mend the database in `folder`, which another process may have done just before; blocks.

    Raises:
        OSError, sqlite3.Error: That is not possible.
    """
    with locked(folder, alone=True):
        if _is_whole(folder):
            return
        if _reindexed(folder):
            log.warning("the store in %s was damaged (%s): its indexes are made anew", folder, why)
            return
        copied = _rebuilt(folder)
        log.warning(
            "the store in %s was damaged (%s): %d entries are copied to a new file, the old one"
            " is set aside as damaged-%s",
            folder,
            why,
            copied,
            DATABASE,
        )


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
    """Tell whether nothing is damaged, and a row can be written."""
    database.execute("SAVEPOINT trial")
    for statement in _TRIAL:
        database.execute(statement)
    database.execute("ROLLBACK TO trial")
    database.execute("RELEASE trial")
    return database.execute("PRAGMA integrity_check(1)").fetchall() == [(b"ok",)]


def _reindexed(folder: Path) -> bool:
    """Make the indexes anew if nothing else is damaged; tell whether that was so."""
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
    doomed = _misplaced(database)
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name = 'Cache'"
    ).fetchall()
    for name, _statement in indexes:
        database.execute(f'DROP INDEX "{name.decode()}"')
    for rowid in doomed:
        database.execute("DELETE FROM Cache WHERE rowid = ?", (rowid,))
    for _name, statement in indexes:
        database.execute(statement.decode())


def _misplaced(database: sqlite3.Connection) -> set[int]:
    """Return the rows of which another stands under the same key, or nobody knows the key."""
    told: dict[int, object] = {}
    with suppress(sqlite3.Error):
        told.update(
            database.execute("SELECT rowid, key FROM Cache INDEXED BY Cache_key_raw").fetchall()
        )
    doomed, latest = set[int](), dict[tuple[object, object], int]()
    for rowid, key, raw, start in database.execute(
        f"SELECT rowid, key, raw, substr(value, 1, {len(SEALED)}) FROM Cache NOT INDEXED"
        " ORDER BY store_time, rowid"
    ):
        if told.get(rowid, key) != key and start != SEALED:
            doomed.add(rowid)
        elif (key, raw) in latest:
            doomed.add(latest[key, raw])
        latest[key, raw] = rowid
    return doomed


def _rebuilt(folder: Path) -> int:
    """Copy what can be read to a new file, and put that in the place; return how many entries."""
    for left in folder.glob("mending-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = folder / f"mending-{token_hex(4)}"
    prepare(fresh)
    try:
        files = _copied(folder, fresh)
        for name in FILES:
            aside = folder / f"damaged-{name}"
            aside.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                (folder / name).rename(aside)
        (fresh / DATABASE).rename(folder / DATABASE)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _sweep(folder, {name for name in files if name})
    return len(files)


def _copied(folder: Path, fresh: Path) -> list[str | None]:
    """Copy the entries, authored ones first; return the names of their files, None without one."""
    files: list[str | None] = []
    with closing(_connected(folder)) as source, closing(_connected(fresh)) as target:
        for statement in ("PRAGMA auto_vacuum = 1", "PRAGMA journal_mode = wal"):
            target.execute(statement)
        source.execute("PRAGMA writable_schema = 1")  # also reads a file that is cut off
        for statement in schema(PASSING):
            target.execute(statement)
        for which in ("tag > 0", DISPOSABLE):
            target.execute("BEGIN")
            for row in _readable(source, which):
                copy = _checked(folder, row, authored=which != DISPOSABLE)
                if copy is not None:
                    target.execute(_COPY, copy)
                    files.append(copy[-2])
            target.execute("COMMIT")
    return files


def _readable(source: sqlite3.Connection, which: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that can be read, and go on behind each hole."""
    statement = (
        f"SELECT {_COLUMNS} FROM Cache NOT INDEXED WHERE rowid BETWEEN ? AND ? AND {which}"
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
            if not _is_corrupt(error):  # no database, or none with such a table
                return
        else:
            return
        first = _behind_hole(source, first, last)


def _behind_hole(source: sqlite3.Connection, hole: int, last: int) -> int:
    """Return the first row behind `hole` that can be looked for, or one behind the `last`."""
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
    """Return what is copied of a row, None if it cannot be relied on.

    What was written without a checksum over its key is copied only where nothing brings it back.
    """
    _rowid, key, raw, at, until, used, tag, size, mode, filename, value = row
    times = (at, until, used)
    if raw != 1 or not all(each is None or isinstance(each, int | float) for each in times):
        return None
    try:
        key, filename = key.decode(), filename and filename.decode()
    except (AttributeError, UnicodeError):
        return None
    start = value[: len(SEALED)] if mode == MODE_RAW and isinstance(value, bytes) else None
    if mode == MODE_BINARY and filename and VALUE_FILE.fullmatch(filename):
        with suppress(OSError), (folder / filename).open("rb") as file:
            start = file.read(len(SEALED))
    if start is None or not (authored or start == SEALED):
        return None
    size = size if isinstance(size, int) else 0
    return key, raw, at, until, used, tag, size, mode, filename, value


def _sweep(folder: Path, kept: set[str]) -> None:
    """Remove the files of values that no row names any more."""
    for path in folder.glob("??/??/*.val"):
        if str(path.relative_to(folder)) not in kept:
            with suppress(OSError):
                path.unlink()
