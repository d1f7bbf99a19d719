"""File of one docset: facts, snippets and a full-text index over them, in SQLite.

The rows are the docset and can be read for ever; the index is derived from them. An index of
another form than `INDEX_FORM` is rebuilt in memory when the file is opened, and in the file when it
is written again. A file is never changed once it is in its place, so it is opened as immutable.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.page import estimated_tokens
from context7_fabric.docsets.postings import SCHEMA as POSTINGS_SCHEMA
from context7_fabric.docsets.postings import TOKENIZER, write_numbers, write_postings
from context7_fabric.docsets.retrieval import Match, Retrieval
from context7_fabric.docsets.search import NO_HIT, OPENINGS, Hit, search
from context7_fabric.docsets.words import Word, indexed, question_words, split_identifiers
from context7_fabric.errors import DamagedDocset, SearchUnavailable

T = TypeVar("T")

APPLICATION = 0x63376473
"""SQLite's application id of our files: "c7ds"."""

FORMAT = 1
"""Form of the rows; a greater one is of a later release."""

INDEX_FORM = 2
"""Form of the full-text index: its columns, its tokenizer, and the text that goes into them."""

PROBE = "CREATE VIRTUAL TABLE probe USING fts5(text)"
"""Statement that only an SQLite with FTS5 runs."""

COMPRESSED_FROM = 256
"""Characters from which a text is stored compressed; below, zlib saves next to nothing."""

MOST_CHARACTERS = 4 * 1024 * 1024
"""Bytes that a stored text may have when it is read: a damaged file must not fill the memory."""

MOST_EXPANSION = 1032
"""Bytes that one compressed byte stands for at most (zlib's technical details)."""

CACHE_KIB = 128
"""Page cache of an open docset. The system caches the file; a hundred docsets may be open."""

MOST_OPENINGS = 400
"""Snippets that an overview is made of."""

OPENING = 2
"""First snippets of a document that count as its opening."""

COLUMNS = {"path": 0.5, "title": 3.0, "names": 3.0, "text": 1.0, "parts": 0.3}
"""Columns of the index with their weights in BM25."""

HEADS = ("path", "title", "names")

_SCHEMA = {
    "facts": "CREATE TABLE facts (docset TEXT NOT NULL, format INTEGER NOT NULL,"
    " index_form INTEGER NOT NULL)",
    "snippets": "CREATE TABLE snippets (id INTEGER PRIMARY KEY, path TEXT NOT NULL,"
    " title TEXT NOT NULL, anchor TEXT NOT NULL, kind TEXT NOT NULL, language TEXT NOT NULL,"
    " names TEXT NOT NULL, place INTEGER NOT NULL, tokens INTEGER NOT NULL, text BLOB NOT NULL)",
    "words": f"CREATE VIRTUAL TABLE words USING fts5({', '.join(COLUMNS)}, content='',"
    f" tokenize='{TOKENIZER}')",
    "postings": POSTINGS_SCHEMA,
}
_GIVEN = "(SELECT value FROM json_each(?))"
_FIELDS = "id, path, title, anchor, kind, language, names, place, tokens"


def write_docset(path: Path, docset: Docset, snippets: Iterable[DocSnippet]) -> Docset:
    """Write a docset to `path` whole or not at all; return its facts with the counts filled in.

    `snippets` come document by document. The file has mode 0600 and replaces one that is there.
    Errors of the system, such as a full disk, come through as OSError.
    """
    probe_search()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        counted = _write(draft, docset, snippets)
        _sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return counted


def _write(draft: Path, docset: Docset, snippets: Iterable[DocSnippet]) -> Docset:
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA synchronous=OFF")
            return _fill(database, docset, snippets)
    except sqlite3.OperationalError as error:
        raise OSError(f"the docset could not be written to '{draft.parent}': {error}") from error


def _fill(database: sqlite3.Connection, docset: Docset, snippets: Iterable[DocSnippet]) -> Docset:
    """Create the tables in an empty database and write everything into them."""
    database.execute(f"PRAGMA application_id={APPLICATION}")
    for statement in _SCHEMA.values():
        database.execute(statement)
    database.execute("BEGIN")
    counted = _insert(database, docset, snippets)
    database.execute("INSERT INTO words (words) VALUES ('optimize')")
    _write_postings(database)
    facts = (json.dumps(asdict(counted)), FORMAT, INDEX_FORM)
    database.execute("INSERT INTO facts VALUES (?, ?, ?)", facts)
    database.execute("COMMIT")
    return counted


def _insert(database: sqlite3.Connection, docset: Docset, snippets: Iterable[DocSnippet]) -> Docset:
    places, characters = Counter[str](), 0
    for number, snippet in enumerate(snippets, start=1):
        row = _row(number, snippet, places[snippet.path])
        database.execute("INSERT INTO snippets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute(_INDEX_INSERT, _indexed(number, snippet))
        places[snippet.path] += 1
        characters += len(snippet.text)
    return replace(docset, files=len(places), snippets=places.total(), characters=characters)


_INDEX_INSERT = f"INSERT INTO words (rowid, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"


def _write_postings(database: sqlite3.Connection) -> None:
    tokens = database.execute("SELECT tokens FROM snippets ORDER BY id")
    write_postings(database, [length for (length,) in tokens], COLUMNS, HEADS)
    openings = database.execute("SELECT id FROM snippets WHERE place < ? ORDER BY id", (OPENING,))
    write_numbers(database, OPENINGS, [number for (number,) in openings])


def _row(number: int, snippet: DocSnippet, place: int) -> tuple[Any, ...]:
    text: str | bytes = snippet.text
    if len(snippet.text) >= COMPRESSED_FROM:
        text = zlib.compress(snippet.text.encode("utf-8", "replace"))
    fields = (snippet.path, snippet.title, snippet.anchor, snippet.kind, snippet.language)
    source = f"{quote(snippet.path)}#{snippet.anchor}"
    tokens = estimated_tokens(f"{snippet.title}\n{source}\n{snippet.text}")
    return (number, *fields, "\n".join(snippet.names), place, tokens, text)


def _indexed(number: int, snippet: DocSnippet) -> tuple[Any, ...]:
    names = " ".join(snippet.names)
    path = snippet.path.rpartition(".")[0] or snippet.path
    title, text = indexed(snippet.title), indexed(snippet.text)
    parts = split_identifiers(f"{path} {title} {names} {text}")
    return (number, indexed(path), title, indexed(names), text, parts)


def _sync(draft: Path) -> None:
    with draft.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name last where the system can; Windows has no handles of folders."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def probe_search() -> None:
    """Raise `SearchUnavailable` if this Python's SQLite has no FTS5."""
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute(PROBE)
        except sqlite3.OperationalError as error:
            raise SearchUnavailable(sqlite3.sqlite_version) from error


def open_docset(path: Path) -> DocsetIndex:
    """Open the docset in `path`; raise `DamagedDocset` if it cannot be read as one."""
    probe_search()
    with _as_damage(path):
        database = _connect(_read_only(path))
    try:
        return _opened(path, database)
    except BaseException:
        database.close()
        raise


def is_outdated(path: Path) -> bool:
    """Tell whether the index in a docset's file has another form than those written now.

    Raises:
        DamagedDocset: The file cannot be read as a docset.
    """
    with _as_damage(path), closing(_connect(_read_only(path))) as database:
        _check(path, database)
        return _facts(path, database)[1] != INDEX_FORM


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def memory_index(snippets: Iterable[DocSnippet]) -> DocsetIndex:
    """Return an index in memory over snippets that belong to no docset."""
    probe_search()
    database = _connect("file::memory:")
    facts = Docset(id="", version=None, source="", revision="", added_at=0, checked_at=0)
    return DocsetIndex(_fill(database, facts, snippets), database, None)


def _connect(uri: str) -> sqlite3.Connection:
    """Open a database that threads share; `DocsetIndex` has them take turns."""
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    for pragma in (f"cache_size=-{CACHE_KIB}", "trusted_schema=OFF", "temp_store=MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _opened(path: Path, database: sqlite3.Connection) -> DocsetIndex:
    with _as_damage(path):
        database.execute("PRAGMA query_only=ON")
        _check(path, database)
        docset, index_form = _facts(path, database)
        if index_form == INDEX_FORM:
            database.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchall()
            return DocsetIndex(docset, database, path)
        with closing(database):
            rebuilt = memory_index(_snippets(database))
            return DocsetIndex(docset, rebuilt.database, path, is_outdated=True)


def _check(path: Path, database: sqlite3.Connection) -> None:
    """Raise `DamagedDocset` unless the file is whole and has the very tables that we write."""
    pragma = {
        name: database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "page_size", "page_count")
    }
    if pragma["application_id"] != APPLICATION:
        raise DamagedDocset(str(path), "it is no docset")
    if path.stat().st_size != pragma["page_size"] * pragma["page_count"]:
        raise DamagedDocset(str(path), "a part of the file is missing")
    found = dict(database.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    allowed = {f"words_{each}" for each in ("data", "idx", "docsize", "config")}
    if found.keys() - allowed - _SCHEMA.keys():
        raise DamagedDocset(str(path), "it has tables that no docset has")
    if any(found.get(name) != _SCHEMA[name] for name in ("facts", "snippets")):
        raise DamagedDocset(str(path), "its tables are not those of a docset")


def _facts(path: Path, database: sqlite3.Connection) -> tuple[Docset, int]:
    row = database.execute("SELECT docset, format, index_form FROM facts").fetchone()
    if row is None:
        raise DamagedDocset(str(path), "it is not complete")
    text, form, index_form = row
    if form > FORMAT:
        raise DamagedDocset(str(path), f"its format {form} is of a later release")
    return _docset(json.loads(text)), index_form


def _docset(fields: Mapping[str, Any]) -> Docset:
    known = {name: fields[name] for name in Docset.__dataclass_fields__ if name in fields}
    tuples = {name: tuple(known.get(name, ())) for name in ("also", "purged")}
    return Docset(**{**known, **tuples})


class _as_damage:  # noqa: N801 - it reads as a statement
    """Context that turns errors of reading a file into `DamagedDocset`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        damage = (sqlite3.Error, zlib.error, ValueError, TypeError, KeyError, OSError)
        if isinstance(error, damage):
            raise DamagedDocset(str(self._path), str(error)) from error


def _text(stored: str | bytes) -> str:
    if isinstance(stored, str):
        return stored
    if len(stored) > MOST_CHARACTERS // MOST_EXPANSION:
        return zlib.decompressobj().decompress(stored, MOST_CHARACTERS).decode("utf-8")
    return zlib.decompress(stored).decode("utf-8")


def _snippets(database: sqlite3.Connection) -> Iterator[DocSnippet]:
    for row in database.execute(f"SELECT {_FIELDS}, text FROM snippets ORDER BY id"):
        yield _snippet(row, _text(row[-1]))


def _snippet(row: Sequence[Any], text: str) -> DocSnippet:
    _, path, title, anchor, kind, language, names, *_ = row
    return DocSnippet(
        title, text, path, anchor, kind, language, tuple(names.split("\n")) if names else ()
    )


class DocsetIndex:
    """Open docset. Its methods block; threads may share it, and then take turns."""

    def __init__(
        self,
        docset: Docset,
        database: sqlite3.Connection,
        path: Path | None,
        *,
        is_outdated: bool = False,
    ) -> None:
        """Answer from `database`; `is_outdated`: the index in the file has an older form."""
        self.docset = docset
        self.path = path
        self.is_outdated = is_outdated
        self.database = database
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close the file. A later call raises `DamagedDocset`."""
        with self._turn:
            self.database.close()

    def snippets(self) -> list[DocSnippet]:
        """Return all snippets, in the order in which they were written."""
        return self._read(lambda: list(_snippets(self.database)))

    def retrieve(self, question: str) -> Retrieval:
        """Return the snippets that may answer `question`; of an empty one, the overview."""
        words = question_words(question)
        return self._read(lambda: self._retrieve(words) if words else self._overview())

    def _read(self, work: Callable[[], T]) -> T:
        with self._turn, _as_damage(self.path):
            return work()

    def _retrieve(self, words: Sequence[Word]) -> Retrieval:
        found = search(self.database, self.docset.snippets, words)
        return Retrieval(self.docset, words, found.counts, self._matches(found.hits))

    def _matches(self, hits: Mapping[int, Hit]) -> list[Match]:
        return [self._match(row, hits[row[0]]) for row in self._rows(hits)]

    def _rows(self, numbers: Iterable[int]) -> list[tuple[Any, ...]]:
        query = f"SELECT {_FIELDS}, text FROM snippets WHERE id IN {_GIVEN}"
        return self.database.execute(query, (json.dumps([*numbers]),)).fetchall()

    def _match(self, row: Sequence[Any], hit: Hit = NO_HIT) -> Match:
        number, *_, place, tokens, text = row
        return Match(number, _snippet(row, _text(text)), place, tokens, *hit)

    def _overview(self) -> Retrieval:
        query = f"SELECT {_FIELDS}, text FROM snippets WHERE place < ? ORDER BY id LIMIT ?"
        rows = self.database.execute(query, (OPENING, MOST_OPENINGS)).fetchall()
        return Retrieval(self.docset, (), {}, [self._match(row) for row in rows])
