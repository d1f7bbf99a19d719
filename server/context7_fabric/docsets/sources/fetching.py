"""Fetching of a source of any kind into a tree on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from context7_fabric.docsets.sources.files import documents
from context7_fabric.docsets.sources.source import (
    Document,
    FolderSource,
    Progress,
    Source,
    SourceBounds,
    SourceTree,
)
from context7_fabric.errors import SourceNotFound, UnusableSource
from context7_fabric.settings.values import DocsetSettings

_LIMITER = CapacityLimiter(2)
"""Threads that read sources, apart from those of answers."""


async def fetch(
    source: Source,
    into: Path,  # noqa: ARG001  # a folder is read in place
    bounds: SourceBounds,
    progress: Progress,
    settings: DocsetSettings,  # noqa: ARG001  # a folder is on this machine
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
        return await to_thread.run_sync(_folder, source, bounds, version, limiter=_LIMITER)
    raise UnusableSource(source.line, "this kind of source is not read yet", "give a folder")


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
        parts=(part,) if part else (),
        includes=is_folder,
    )
    return _with_digest(tree, bounds)


def _with_digest(tree: SourceTree, bounds: SourceBounds) -> SourceTree:
    """Return `tree` with the digest of its documents as the revision."""
    digest, found = hashlib.sha256(), False
    for each in documents(tree, bounds):
        if isinstance(each, Document):
            found = True
            digest.update(f"{each.path}\0{len(each.text)}\0{each.text}".encode("utf-8", "replace"))
    if not found:
        raise SourceNotFound(
            tree.source, "no documentation stands in it", "give a folder of Markdown, reST or text"
        )
    return replace(tree, revision=digest.hexdigest()[:40])
