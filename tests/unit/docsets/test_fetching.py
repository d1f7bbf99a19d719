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


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("notes.org", b"* Quay moors ships.", "format .org is not read"),
        ("NOTES.TEXTILE", b"h1. Quay", "format .textile is not read"),
        ("manual.pdf", b"%PDF-1.7 no zero byte", "format .pdf is not read"),
        ("manual.txt", b"%PDF-1.7 no zero byte", "format .pdf is not read"),
        ("manual", b"{\\rtf1 text}", "format .rtf is not read"),
        ("page.txt", b"\xef\xbb\xbf\n<!DOCTYPE HTML>\n<p>Quay", "format .html is not read"),
        ("quay.py", b"print('quay')", "format .py is not read"),
        ("quay.docx", b"PK\x03\x04", "format .docx is not read"),
        ("quay.md", b"quay\0", "binary"),
        ("quay.md", b" \n", "empty"),
    ],
)
async def test_fetch_of_a_form_that_is_not_read_is_refused_as_a_file_and_in_a_folder(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / name).write_bytes(data)
    with pytest.raises(SourceNotFound, match=f"left out: {reason}") as caught:
        await fetched(folder / name, tmp_path)
    converts = "give what it was made from, or convert it to Markdown, reST or plain text (.txt)"
    assert (caught.value.remedy == converts) is reason.startswith("format")
    with pytest.raises(SourceNotFound, match="no documentation stands in it"):
        await fetched(folder, tmp_path)


async def test_fetch_of_markdown_that_begins_with_html_reads_it(tmp_path: Path) -> None:
    for name in ("README", "README.md", "licence.txt"):
        text = "A text." if "." not in name else "# Quay\n\n<html>Moors.</html>"
        (tmp_path / name).write_text(text)
        await fetched(tmp_path / name, tmp_path)
    (tmp_path / "page.md").write_text("<!doctype html>\n\n# Quay\n")
    await fetched(tmp_path / "page.md", tmp_path)


async def test_fetch_of_a_folder_without_documentation_raises(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no documentation"):
        await fetched(tmp_path, tmp_path)
    with pytest.raises(SourceNotFound, match="no such file or folder"):
        await fetched(tmp_path / "gone", tmp_path)
