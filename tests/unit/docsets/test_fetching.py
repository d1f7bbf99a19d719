"""Fetching of a source into a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.docsets.sources.fetching import fetch
from context7_fabric.docsets.sources.source import FolderSource, SourceBounds, SourceTree
from context7_fabric.errors import SourceNotFound
from context7_fabric.settings.values import DocsetSettings


async def fetched(path: Path, into: Path) -> SourceTree:
    return await fetch(
        FolderSource(path), into, SourceBounds(), lambda _line: None, DocsetSettings()
    )


async def test_fetch_of_a_folder_has_a_revision_of_its_documents(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# A")
    first = await fetched(docs, tmp_path)
    (docs / "logo.png").write_bytes(b"\0")
    assert (await fetched(docs, tmp_path)).revision == first.revision
    (docs / "a.md").write_text("# B")
    assert (await fetched(docs, tmp_path)).revision != first.revision
    assert (first.root, first.address, first.licence) == (docs, "", "unknown")


async def test_fetch_of_a_file_is_that_file_alone(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "b.md").write_text("# B")
    tree = await fetched(tmp_path / "a.md", tmp_path)
    assert (tree.parts, tree.includes) == (("a.md",), False)


async def test_fetch_of_a_folder_that_fails_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1")
    with pytest.raises(SourceNotFound):
        await fetched(tmp_path, tmp_path)
    assert (tmp_path / "code.py").read_text() == "x = 1"


async def test_fetch_of_a_folder_without_documentation_raises(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no documentation"):
        await fetched(tmp_path, tmp_path)
    with pytest.raises(SourceNotFound, match="no such file or folder"):
        await fetched(tmp_path / "gone", tmp_path)
