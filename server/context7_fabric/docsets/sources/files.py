"""Documents of a source on the disk: the bounded walk, safe reading, files that are included.

Nothing here trusts the tree: links are not followed, only regular files are opened, and without
waiting for them; a file that vanishes or cannot be read is named and left out.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

from context7_fabric.docsets.sources.selection import (
    BESIDE_SOURCES,
    Listing,
    has_version,
    reasons,
    refused_form,
    rendered_beside,
    unread_form,
)
from context7_fabric.docsets.sources.source import (
    SIZE_OPTION,
    Document,
    Omitted,
    SourceBounds,
    SourceTree,
)
from context7_fabric.errors import SourceTooLarge

LINK = "symbolic link"
SPECIAL = "not a regular file"
DENIED = "permission denied"
VANISHED = "vanished or changed while it was read"
UNREADABLE = "cannot be read"
TOO_LARGE = "over the size of a file"
BINARY = "binary"
EMPTY = "empty"
TOO_DEEP = "nested too deep"

_FEWER = "add a folder within it, or --path of a repository"
_FLAGS = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
_OPEN = os.O_RDONLY | sum(getattr(os, name, 0) for name in _FLAGS)  # no system has all of them
_GIT = ".git"
_PROBE = 8192
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SIGNS = ((b"%pdf-", ".pdf"), (b"{\\rtf", ".rtf"), (b"%!ps", ".ps"))
"""First bytes, in lower case, of forms that may hold no zero byte (ISO 32000, RTF 1.9.1)."""

_HTML = (b"<!doctype html", b"<html")
_DAMAGE = "\N{REPLACEMENT CHARACTER}"


def documents(tree: SourceTree, bounds: SourceBounds) -> Iterator[Document | Omitted]:
    """Yield the documents of `tree`, sorted by path, and whatever is left out of it.

    This blocks on the disk. It holds one document at a time.

    Raises:
        SourceTooLarge: There are more entries, documents or text than the bounds allow.
    """
    yield from tree.omitted
    count = size = 0
    for found in _chosen(list(_candidates(tree, bounds))):
        each = found if isinstance(found, Omitted) else _read(tree.root, *found, bounds.file_bytes)
        if isinstance(each, Document):
            count, size = count + 1, size + len(each.text)
            _check(tree, count, bounds.documents, "documents")
            _check(tree, size, bounds.text_bytes, "characters of text", SIZE_OPTION)
        yield each


def include_resolver(tree: SourceTree, bounds: SourceBounds) -> Callable[[str, str], str | None]:
    """Return the function that reads a file which a document includes.

    It takes the document's path within the source and the target as written there: relative to
    the document, or with a leading `/` to the source. None for a file outside of the source, a
    hidden one, one that a link leads to, one that is too large, binary or missing.
    """

    def include(path: str, target: str) -> str | None:
        inner = _inner(path, target) if tree.includes and tree.pages is None else None
        if inner is None or inner in tree.links or _has_link(tree.root, inner):
            return None
        read = _read(tree.root, inner, inner, bounds.file_bytes)
        return read.text if isinstance(read, Document) else None

    return include


def _inner(path: str, target: str) -> str | None:
    """Return the path within the source of a target, None if it leaves it or is hidden."""
    base = "" if target.startswith("/") else posixpath.dirname(path)
    inner = posixpath.normpath(posixpath.join(base, target.lstrip("/")))
    parts = inner.split("/")
    hidden = any(part.startswith(".") or "\0" in part or "\\" in part for part in parts)
    return None if hidden else inner


def _has_link(root: Path, inner: str) -> bool:
    parts = inner.split("/")
    return any(
        os.path.islink(root.joinpath(*parts[:count]))  # noqa: PTH114  # it raises for no name
        for count in range(1, len(parts) + 1)
    )


Candidate = tuple[str, str]
"""A file's name below the root, and the path that its document has."""


def _candidates(tree: SourceTree, bounds: SourceBounds) -> Iterator[Candidate | Omitted]:
    if tree.pages is not None:
        yield from ((name, path) for path, name in tree.pages.items())
        return
    walk = _Walk(tree, bounds)
    for part in _outermost(tree.parts):
        yield from walk.part(part)


def _chosen(found: Sequence[Candidate | Omitted]) -> Iterator[Candidate | Omitted]:
    """Yield the candidates, with rendered pages left out where most documents are no pages."""
    beside = rendered_beside([each[1] for each in found if not isinstance(each, Omitted)])
    for each in found:
        if isinstance(each, Omitted) or each[1] not in beside:
            yield each
        else:
            yield Omitted(each[1], BESIDE_SOURCES)


def _outermost(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts without those that lie in another one; the root if there are none."""
    within = {part for part in parts for other in parts if part.startswith(f"{other}/")}
    return tuple(part for part in parts if part not in within) or ("",)


def holds_version(tree: SourceTree, bounds: SourceBounds) -> bool:
    """Tell whether a folder of the tree is the documentation of its version; this blocks.

    Raises:
        SourceTooLarge: There are more entries than the bounds allow.
    """
    walk = _Walk(tree, bounds)
    for part in _outermost(tree.parts):
        deque(walk.part(part), maxlen=0)
    return walk.has_version


class _Walk:
    """Walk over folders, depth first, in the order of names, with a bound on all of it."""

    def __init__(self, tree: SourceTree, bounds: SourceBounds) -> None:
        self._tree = tree
        self._bounds = bounds
        self._entries = 0
        self.has_version = False

    def part(self, part: str) -> Iterator[Candidate | Omitted]:
        """Yield what stands below one folder, or one file, of the tree."""
        path = self._tree.root / part
        if part in self._tree.links or (part and _has_link(self._tree.root, part)):
            yield Omitted(_printable(part), LINK)
        elif path.is_dir():
            yield from self._folders(part)
        elif reason := refused_form(part):
            yield Omitted(_printable(part), reason)
        else:
            yield part, _printable(part)

    def _folders(self, part: str) -> Iterator[Candidate | Omitted]:
        waiting = [part]
        while waiting:
            folder = waiting.pop()
            if folder.count("/") >= self._bounds.depth:
                yield Omitted(_printable(folder), TOO_DEEP)
                continue
            names, odd, error = self._listing(folder)
            yield from odd
            if error:
                yield Omitted(_printable(folder), error)
            version = self._tree.version
            left_out = reasons(names, version)
            self.has_version |= version is not None and has_version(names, version)
            for name, reason in left_out.items():
                if name != _GIT:
                    yield Omitted(_printable(_joined(folder, name)), reason)
            kept = [_joined(folder, name) for name in names.files if name not in left_out]
            yield from ((path, _printable(path)) for path in kept)
            waiting += [
                _joined(folder, name) for name in reversed(names.folders) if name not in left_out
            ]

    def _listing(self, folder: str) -> tuple[Listing, list[Omitted], str | None]:
        folders, files, odd = list[str](), list[str](), list[Omitted]()
        error = None
        try:
            with os.scandir(self._tree.root / folder) as entries:
                for entry in entries:
                    self._count()
                    path = _joined(folder, entry.name)
                    if entry.is_symlink() or path in self._tree.links:
                        odd.append(Omitted(_printable(path), LINK))
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(entry.name)
                    else:
                        odd.append(Omitted(_printable(path), SPECIAL))
        except OSError as failure:
            error = _reason(failure)
        odd.sort(key=lambda each: each.path)
        return Listing(folder, sorted(folders), sorted(files)), odd, error

    def _count(self) -> None:
        self._entries += 1
        _check(self._tree, self._entries, self._bounds.entries, "files and folders")


def _check(tree: SourceTree, count: int, most: int, things: str, option: str | None = None) -> None:
    if count > most:
        raise SourceTooLarge(tree.source, f"it has more than {most:,} {things}", _FEWER, option)


def _read(root: Path, name: str, path: str, most: int) -> Document | Omitted:
    try:
        data = _bytes(root / name, most)
    except (OSError, ValueError) as error:  # a name may be too long, or hold what none can
        return Omitted(path, _reason(error))
    if isinstance(data, str):
        return Omitted(path, data)
    form = _rendered_form(name, data)
    if form is not None:
        return Omitted(path, unread_form(form))
    text = decoded(data)
    if text is None:
        return Omitted(path, BINARY)
    return Document(path, text) if text.strip() else Omitted(path, EMPTY)


def text_of(path: Path, most: int = 2**20) -> str | None:
    """Return the text of one regular file of at most `most` bytes, None if it has none."""
    read = _read(path.parent, path.name, path.name, most)
    return read.text if isinstance(read, Document) else None


def _bytes(path: Path, most: int) -> bytes | str:
    """Return the bytes of a regular file, or the reason why it is left out."""
    descriptor = os.open(path, _OPEN)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return SPECIAL
        data = file.read(most + 1)
    return TOO_LARGE if len(data) > most else data


def _rendered_form(name: str, data: bytes) -> str | None:
    """Return the form of a file that is no text for readers, whatever its name says."""
    start = data[:_PROBE].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    form = next((form for sign, form in _SIGNS if start.startswith(sign)), None)
    is_plain = name.lower().endswith(".txt") or not PurePath(name).suffix
    return form or (".html" if is_plain and start.startswith(_HTML) else None)


def decoded(data: bytes) -> str | None:
    """Return the text of a document, None if it is binary.

    A byte order mark decides; else it is UTF-8, with single damaged characters replaced; else
    Windows-1252, of which Latin-1 is a part.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data[:_PROBE]:
        return None
    text = data.decode("utf-8", "replace")
    damaged = text.count(_DAMAGE)
    if damaged and damaged >= sum(sign > "\x7f" for sign in text) - damaged:
        return data.decode("cp1252", "replace")
    return text


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _printable(path: str) -> str:
    """Return a path without what cannot be stored or shown: bytes that are not UTF-8, controls."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else _DAMAGE for sign in text)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return DENIED
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return VANISHED
    is_link = isinstance(error, OSError) and error.errno == errno.ELOOP
    return LINK if is_link else UNREADABLE
