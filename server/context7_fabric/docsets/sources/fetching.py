"""Fetching of a source of any kind into a tree on the disk."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from context7_fabric.docsets.sources.files import documents
from context7_fabric.docsets.sources.git import fetch_git, latest_commit
from context7_fabric.docsets.sources.packages import licence_of
from context7_fabric.docsets.sources.python_package import fetch_python, installed_revision
from context7_fabric.docsets.sources.selection import is_unread_form
from context7_fabric.docsets.sources.source import (
    Document,
    FolderSource,
    GitSource,
    LlmsSource,
    Progress,
    PythonSource,
    Source,
    SourceBounds,
    SourceFetch,
    SourceTree,
)
from context7_fabric.docsets.sources.web import fetch_llms, latest_web_revision
from context7_fabric.errors import SourceNotFound, SourceTooLarge
from context7_fabric.settings.values import DocsetSettings

_T = TypeVar("_T")

MOST_NAMED = 3
"""Reasons that an error names for which the files of a source are left out."""


async def fetch(
    source: Source,
    into: Path,
    bounds: SourceBounds,
    progress: Progress,
    settings: DocsetSettings,
    *,
    version: str | None = None,
) -> SourceTree:
    """Bring a source onto the disk, and return where it lies and what it is.

    `into` is an empty folder for what comes over the network; a folder source is read in place.
    `version` chooses a tag, and the folder of that version where several stand side by side. If
    this fails or is cancelled, `into` is empty again.

    Raises:
        DocsetSourceError: The source is missing, unsafe, too large or out of reach.
    """
    if isinstance(source, FolderSource):
        progress(f"reading {source.line}")
        return await _within(bounds, source, _read_folder(source, bounds, version))
    circumstances = SourceFetch(into, bounds, progress, settings, version)
    try:
        return await _within(bounds, source, _fetched(source, circumstances))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_empty, into)
        raise


async def latest_revision(
    source: Source,
    bounds: SourceBounds,
    settings: DocsetSettings,
    *,
    version: str | None = None,
    known: str = "",
) -> str:
    """Return the revision that `fetch` would give now, without fetching more than that takes.

    `known` is the revision of a docset that is compared, which spares a site sending its text.

    Raises:
        DocsetSourceError: As `fetch`.
    """
    if isinstance(source, FolderSource):
        return (await _within(bounds, source, _read_folder(source, bounds, version))).revision
    async with _temporary_folder() as folder:
        fetch = SourceFetch(folder, bounds, lambda _line: None, settings, version)
        return await _within(bounds, source, _revision(source, fetch, known))


async def _within(bounds: SourceBounds, source: Source, reading: Awaitable[_T]) -> _T:
    """Wait for the reading of a source, no longer than the bounds allow."""
    with anyio.move_on_after(bounds.seconds):
        return await reading
    reason = f"it takes longer than {bounds.seconds:g} s"
    raise SourceTooLarge(source.line, reason, "try again, or add a copy as a folder")


async def _fetched(source: GitSource | LlmsSource | PythonSource, fetch: SourceFetch) -> SourceTree:
    if isinstance(source, GitSource):
        tree = await fetch_git(source, fetch)
    elif isinstance(source, PythonSource):
        tree = await fetch_python(source, fetch)
    else:
        tree = await fetch_llms(source, fetch)
    return await _in_thread(partial(_described, tree, fetch.bounds))


async def _revision(
    source: GitSource | LlmsSource | PythonSource, fetch: SourceFetch, known: str
) -> str:
    if isinstance(source, GitSource):
        return await latest_commit(source, fetch)
    if isinstance(source, PythonSource):
        return await installed_revision(source)
    return await latest_web_revision(source, fetch, known)


async def _in_thread(read: Callable[[], SourceTree]) -> SourceTree:
    """Read a tree in a thread that is not one of those for answers, and is left if cancelled.

    The limiter is new: loops of several threads cannot share one.
    """
    return await to_thread.run_sync(read, limiter=CapacityLimiter(1), abandon_on_cancel=True)


async def _read_folder(
    source: FolderSource, bounds: SourceBounds, version: str | None
) -> SourceTree:
    """Return the tree of a folder, with its digest as the revision."""
    tree = await _in_thread(partial(_folder, source, bounds, version))
    return await _in_thread(partial(_described, tree, bounds))


def _folder(source: FolderSource, bounds: SourceBounds, version: str | None) -> SourceTree:
    path = source.path
    if not path.exists():
        raise SourceNotFound(source.line, "there is no such file or folder", "correct the path")
    is_folder = path.is_dir()
    root, part = (path.resolve(), "") if is_folder else (path.parent.resolve(), path.name)
    tree = SourceTree(
        root,
        source.line,
        revision="",
        version=version,
        documents=version,
        parts=(part,) if part else (),
        includes=is_folder,
    )
    return _with_digest(tree, bounds)


def _with_digest(tree: SourceTree, bounds: SourceBounds) -> SourceTree:
    """Return `tree` with the digest of its documents as the revision."""
    digest = hashlib.sha256()
    for each in documents(tree, bounds):
        if isinstance(each, Document):
            digest.update(f"{each.path}\0{len(each.text)}\0{each.text}".encode("utf-8", "replace"))
    return replace(tree, revision=digest.hexdigest()[:40])


def _described(tree: SourceTree, bounds: SourceBounds) -> SourceTree:
    """Return `tree` with its licence.

    Raises:
        SourceNotFound: There is no documentation in it.
    """
    left_out = Counter[str]()
    for each in documents(tree, bounds):
        if isinstance(each, Document):
            break
        left_out[each.reason] += 1
    else:
        raise _nothing_read(tree.source, left_out)
    return replace(tree, licence=licence_of(tree.root) if _has_files(tree) else tree.licence)


def _nothing_read(source: str, left_out: Counter[str]) -> SourceNotFound:
    """Return the error for a source without a document, by the reasons why it has none."""
    named = [f"{count:,} left out: {reason}" for reason, count in left_out.most_common(MOST_NAMED)]
    listed = f" ({'; '.join(named)})" if named else ""
    remedy = "give a folder of Markdown, reST or text"
    if any(is_unread_form(reason) for reason in left_out):
        remedy = "give what it was made from, or convert it to Markdown, reST or plain text (.txt)"
    return SourceNotFound(source, f"no documentation stands in it{listed}", remedy)


def _has_files(tree: SourceTree) -> bool:
    """Tell whether a tree is a folder of its own, in which a licence may lie."""
    return tree.includes and tree.pages is None


def _empty(folder: Path) -> None:
    """Remove what stands in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@asynccontextmanager
async def _temporary_folder() -> AsyncIterator[Path]:
    name = await to_thread.run_sync(lambda: Path(tempfile.mkdtemp()).resolve())
    try:
        yield name
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(shutil.rmtree, name, True)  # noqa: FBT003  # ignore errors
