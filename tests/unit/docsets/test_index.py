"""The file of one docset: written whole, read for ever, damage named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from context7_fabric.docsets.index import DocsetIndex, memory_index, open_docset, write_docset
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.errors import DamagedDocset

FACTS = Docset(
    id="/harbour/quay",
    version="1.2",
    source="./docs",
    revision="abc",
    added_at=10.0,
    checked_at=20.0,
    address="https://example.org/{path}",
    also=("/websites/quay",),
    left_out={"binary": 2},
)
SNIPPETS = (
    DocSnippet("Quay > Install", "Run `pip install quay`.", "guide/index.md", names=("quay",)),
    DocSnippet("Quay > Mooring", "Ships moor by `mooringLine`. " * 40, "guide/mooring.md", "moor"),
    DocSnippet(
        "Quay > C++ bindings", "```cpp\nmoor();\n```", "api.md", kind="code", language="cpp"
    ),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_docset(tmp_path / "quay.docset", FACTS, SNIPPETS)
    return tmp_path / "quay.docset"


def test_write_docset_fills_in_the_counts(tmp_path: Path) -> None:
    written = write_docset(tmp_path / "quay.docset", FACTS, SNIPPETS)
    characters = sum(len(each.text) for each in SNIPPETS)
    assert written == replace(FACTS, files=3, snippets=3, characters=characters)


def test_open_docset_reads_facts_and_snippets_as_written(file: Path) -> None:
    index = open_docset(file)
    assert index.docset == replace(FACTS, files=3, snippets=3, characters=index.docset.characters)
    assert tuple(index.snippets()) == SNIPPETS


def test_write_docset_keeps_the_file_to_its_user_and_leaves_nothing_beside(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_retrieve_matches_parts_of_identifiers_and_names_with_signs(file: Path) -> None:
    index = open_docset(file)
    assert _first(index, "mooring line") == "Quay > Mooring"
    assert _first(index, "c++") == "Quay > C++ bindings"


def test_memory_index_answers_like_a_file(file: Path) -> None:
    written, kept = open_docset(file), memory_index(SNIPPETS)
    for question in ("install quay", "mooringLine", ""):
        assert _titles(written, question) == _titles(kept, question)


def test_open_docset_of_a_truncated_file_names_it(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4096])
    with pytest.raises(DamagedDocset, match="quay"):
        open_docset(file)


def _titles(index: DocsetIndex, question: str) -> list[str]:
    return [each.title for each in index.retrieve(question).page().snippets]


def _first(index: DocsetIndex, question: str) -> str:
    return _titles(index, question)[0]
