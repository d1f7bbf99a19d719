"""The shipped collections are what the index is made by, and a file that is not right says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.registry.rows import COLLECTION, Row
from context7_fabric.registry.schema import load_collection, row_key

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
    description: told
    schema: {library_name: string, ecosystem: string, aliases: "string[]"}
    indexes: [ecosystem]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "collections.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_collection_is_the_registrys() -> None:
    collection = load_collection()
    assert collection.name == COLLECTION
    assert collection.description
    assert collection.indexes == ("library_name", "library_id", "category", "ecosystem")


def test_a_payload_says_of_a_row_what_the_shipped_schema_names() -> None:
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
def test_a_payload_leads_back_to_its_row(row: Row) -> None:
    assert row_key(load_collection().payload(row)) == row.key


def test_a_collection_is_as_its_file_says(tmp_path: Path) -> None:
    collection = load_collection(path=written(tmp_path, GOOD))
    assert (collection.description, collection.indexes) == ("told", ("ecosystem",))
    assert collection.payload(ROW) == {
        "library_name": "httpx",
        "ecosystem": "pypi",
        "aliases": ["http-x"],
    }


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("", "there is no collection"),
        ("collections: nothing", "there is no collection"),
        ("collections: [nothing]", "there is no collection"),
        ("- a\n- [b", "line 2"),
        (GOOD.replace("library_registry", "else"), "there is no collection 'library_registry'"),
        (GOOD.replace('"string[]"', "int"), "`aliases: int`"),
        (GOOD.replace("aliases", "colour"), "`colour: string"),
        (GOOD.replace("indexes: [ecosystem]", "indexes: [category]"), "`indexes`"),
        (GOOD.replace("indexes: [ecosystem]", "indexes: ecosystem"), "`indexes`"),
        (GOOD.replace("library_name: string, ", ""), "library_name"),
        (GOOD.replace("schema", "scheme"), "`schema`"),
    ],
)
def test_a_file_that_is_not_right_is_told(tmp_path: Path, broken: str, told: str) -> None:
    with pytest.raises(SeedError) as caught:
        load_collection(path=written(tmp_path, broken))
    assert told in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="cannot be read"):
        load_collection(path=tmp_path / "none.yaml")
