"""The vector index's collections as their file declares them: names, descriptions, payloads.

The file's schema is what a payload is made by, field by field, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from context7_fabric.errors import SeedError
from context7_fabric.registry.rows import COLLECTION, Row
from context7_fabric.seed_files.yaml_file import seed_folder

FILE_NAME = "collections.yaml"

CollectionPayload = dict[str, Any]
"""What stands beside a vector: JSON values by the names of the schema's fields."""

_FIELDS: Mapping[str, tuple[str, Callable[[Row], Any]]] = {
    "library_name": ("string", lambda row: row.name),
    "library_id": ("string", lambda row: row.id),
    "aliases": ("string[]", lambda row: list(row.aliases)),
    "category": ("string", lambda row: row.category),
    "ecosystem": ("string", lambda row: row.ecosystem),
    "description": ("string", lambda row: row.description),
    "last_verified": ("timestamp", lambda row: row.last_verified),
    "usage_count": ("int", lambda row: row.usage_count),
    "source": ("string", lambda row: row.source),
}
"""Every field that a schema may have: its type, and its value for a row."""

KEY_FIELDS = ("library_name", "ecosystem")
"""The fields that tell rows apart; a schema has them."""


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """One collection: its schema gives each field's type, `indexes` names those to find by."""

    name: str
    description: str
    schema: Mapping[str, str]
    indexes: tuple[str, ...]

    def payload(self, row: Row) -> CollectionPayload:
        """Return the payload of `row`: all fields of the schema and no other."""
        return {name: _FIELDS[name][1](row) for name in self.schema}


def load_collection(name: str = COLLECTION, path: Path | None = None) -> CollectionSchema:
    """Read the collection `name` from its file, the shipped one unless `path` names another.

    Raises:
        SeedError: The file cannot be read, breaks the form, or has no such collection.
    """
    path = path or seed_folder() / FILE_NAME
    try:
        root = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(str(path), f"cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise SeedError(str(path), error.problem or "is not YAML", line) from error
    for entry in _listed(root):
        if entry.get("name") == name:
            return _collection(str(path), entry)
    raise SeedError(str(path), f"there is no collection {name!r}")


def row_key(payload: CollectionPayload) -> str:
    """Return the key of the row that `payload` was made from."""
    name, ecosystem = (payload[field] for field in KEY_FIELDS)
    return Row(name, ecosystem).key


def _listed(root: object) -> list[dict[str, Any]]:
    entries = root.get("collections") if isinstance(root, dict) else None
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _collection(path: str, entry: dict[str, Any]) -> CollectionSchema:
    schema, indexes = entry.get("schema"), entry.get("indexes", [])
    if not isinstance(schema, dict) or not set(KEY_FIELDS) <= set(schema):
        raise SeedError(path, f"the `schema` has no {' and '.join(KEY_FIELDS)}")
    for field, kind in schema.items():
        if field not in _FIELDS or _FIELDS[field][0] != kind:
            raise SeedError(path, f"the schema's `{field}: {kind}` is no field of a row")
    if not isinstance(indexes, list) or not set(indexes) <= set(schema):
        raise SeedError(path, "`indexes` names a field that the schema has not")
    return CollectionSchema(
        entry["name"], str(entry.get("description", "")), schema, tuple(indexes)
    )
