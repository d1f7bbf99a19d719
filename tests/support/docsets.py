"""Documentation to add, and the library that it is added to."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.docsets.ingestion import DocsetRequest, IngestionReport
from context7_fabric.docsets.library import DocsetChange, DocsetLibrary
from context7_fabric.docsets.sources.source import FolderSource
from context7_fabric.models import Clock
from context7_fabric.settings.values import DocsetSettings

QUAY = "/harbour/quay"
PAGES = {
    "index.md": "# Quay\n\nQuay keeps ships in a harbour. Run `pip install quay` to install it.\n",
    "mooring.md": "# Mooring\n\n## Lines\n\nCall `mooringLine(ship)` to moor a ship.\n",
}
QUIET = IngestionReport()


def write_pages(folder: Path, pages: Mapping[str, str] = PAGES) -> Path:
    """Write documentation into a folder, which is made."""
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def library_in(home: Path, clock: Clock = lambda: 1e9, ticks: Clock = lambda: 0.0) -> DocsetLibrary:
    """The docsets of a home, as one process sees them."""
    return DocsetLibrary(home / "docsets", DocsetSettings(), clock, ticks)


def add(
    library: DocsetLibrary,
    folder: Path,
    docset_id: str = QUAY,
    version: str | None = None,
    also: tuple[str, ...] = (),
    report: IngestionReport = QUIET,
) -> DocsetChange:
    """Add a folder."""
    return library.add(DocsetRequest(FolderSource(folder), docset_id, version, also), report)


@contextmanager
def held_open(file: Path) -> Iterator[None]:
    """Refuse to remove a file for the block, as Windows does while a reader has it open."""
    unlink = os.unlink

    def refuse(path: str | Path, **options: Any) -> None:  # noqa: ANN401  # as the system's
        if Path(path) == file:
            raise PermissionError(errno.EACCES, "the file is open", str(path))
        unlink(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        yield
