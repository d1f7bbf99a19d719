"""The shipped collection declares the index, and a wrong file is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.registry.rows import COLLECTION, Row, load_collection, row_key

ROW = Row(
    "httpx",
    "pypi",
    id="/encode/httpx",
    aliases=("http-x",),
    category="web",
    title="HTTPX",
    description="HTTP client",
    versions=("1.0",),
    last_verified=12.5,
    usage_count=3,
    source="context7",
)
GOOD = """
collections:
  - name: other
    schema: {library_name: string, ecosystem: string}
  - name: library_registry
    description: a note
    schema: {library_name: string, ecosystem: string, aliases: "string[]"}
    indexes: [ecosystem]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "collections.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_collection_is_that_of_the_registry() -> None:
    collection = load_collection()
    assert collection.name == COLLECTION
    assert collection.description
    assert collection.indexes == ("library_name", "library_id", "category", "ecosystem")


def test_payload_has_the_fields_of_the_shipped_schema() -> None:
    assert load_collection().payload(ROW) == {
        "library_name": "httpx",
        "library_id": "/encode/httpx",
        "aliases": ["http-x"],
        "category": "web",
        "ecosystem": "pypi",
        "description": "HTTP client",
        "last_verified": 12.5,
        "usage_count": 3,
        "source": "context7",
    }


@pytest.mark.parametrize("row", [ROW, Row("o/r", ""), Row("a-b", "npm"), Row("ключ", "other")])
def test_payload_has_the_key_of_its_row(row: Row) -> None:
    assert row_key(load_collection().payload(row)) == row.key


def test_a_collection_is_as_its_file_says(tmp_path: Path) -> None:
    collection = load_collection(path=written(tmp_path, GOOD))
    assert (collection.description, collection.indexes) == ("a note", ("ecosystem",))
    assert collection.payload(ROW) == {
        "library_name": "httpx",
        "ecosystem": "pypi",
        "aliases": ["http-x"],
    }


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("", "is empty"),
        ("collections: nothing", "a list is wanted here"),
        ("collections: [nothing]", "a mapping is wanted here"),
        ("- x\n b: c\n", "line 2"),
        (GOOD.replace("library_registry", "else"), "there is no collection 'library_registry'"),
        (GOOD.replace('"string[]"', "int"), "`aliases: int`"),
        (GOOD.replace("aliases", "colour"), "`colour: string"),
        (GOOD.replace("indexes: [ecosystem]", "indexes: [category]"), "`indexes`"),
        (GOOD.replace("indexes: [ecosystem]", "indexes: ecosystem"), "a list is wanted here"),
        (GOOD.replace("library_name: string, ", ""), "library_name"),
        (GOOD.replace("schema", "scheme"), "`schema`"),
    ],
)
def test_load_collection_of_a_wrong_file_fails(tmp_path: Path, broken: str, reason: str) -> None:
    with pytest.raises(SeedError) as caught:
        load_collection(path=written(tmp_path, broken))
    assert reason in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_load_collection_without_a_file_fails(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="cannot be read"):
        load_collection(path=tmp_path / "none.yaml")
