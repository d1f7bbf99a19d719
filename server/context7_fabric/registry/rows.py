"""Row of the registry, its stored form, and its payload in the collection of a vector index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import yaml

from context7_fabric.errors import SeedError
from context7_fabric.models import read_as
from context7_fabric.seed_files import SeedFile, seed_folder

NAMESPACE = UUID("6f1c5cf5-5d0e-5b0c-9d1e-2a4c2d1b7f10")
"""Namespace of the ids that rows have in a vector index; it never changes."""

COLLECTION = "library_registry"
FILE_NAME = "collections.yaml"

OTHER = "other"
"""Ecosystem of what is published in none, such as a database: no language is that of it."""

LIVE = "context7-live-resolve"
"""Source of rows that callers added."""


@dataclass(frozen=True, slots=True)
class Row:
    """Library by name and ecosystem, which together are its key.

    `ecosystem` says where it is published (pypi, npm, crates, go, maven, other) and is "" if that
    is not known; so is `id`. `last_verified` (epoch seconds) is None until upstream listed the id.
    `source` is `seed`, `context7` or `context7-live-resolve` (a caller's own resolver).
    """

    name: str
    ecosystem: str
    id: str = ""
    aliases: tuple[str, ...] = ()
    category: str = ""
    title: str = ""
    description: str = ""
    versions: tuple[str, ...] = ()
    snippets: int | None = None
    reputation: str | None = None
    score: float | None = None
    last_verified: float | None = None
    usage_count: int = 0
    source: str = "seed"
    broken: bool = False

    @property
    def key(self) -> str:
        """The row's key, readable: `lib-{ecosystem}-{name}`."""
        return f"lib-{self.ecosystem}-{self.name}"

    @property
    def point_id(self) -> str:
        """The row's id in a vector index, a UUID derived from its key."""
        return str(uuid5(NAMESPACE, self.key))

    @property
    def text(self) -> str:
        """Text of the row's embedding: names, aliases, description."""
        names = ", ".join(dict.fromkeys(filter(None, (self.title, self.name, *self.aliases))))
        return f"{names}: {self.description}" if self.description else names


def row_value(row: Row) -> dict[str, Any]:
    """Return the JSON form of a row: its fields that differ from their defaults."""
    return {
        each.name: value
        for each in fields(row)
        if (value := getattr(row, each.name)) != each.default
    }


def row_of(value: object) -> Row | None:
    """Return the row that `value` is the JSON form of, None if it is not a row's."""
    return read_as(Row, value)


def naming(row: Row) -> tuple[object, ...]:
    """Return the fields that decide which names mean the row."""
    return row.name, row.aliases, row.ecosystem, row.id


def vouched(row: Row, seed: Row | None) -> Row | None:
    """Return the part of a stored row that upstream or the `seed` of its key vouches for.

    Aliases are the seed's alone. A row that a caller added, or an id that upstream never listed,
    which shows in the missing title, is not trusted. None if nothing is left.
    """
    if row.source == LIVE:
        return seed
    known = seed or replace(row, id="", aliases=(), last_verified=None)
    is_listed = bool(row.title) or row.last_verified is None
    kept = row if is_listed else replace(row, id=known.id, last_verified=known.last_verified)
    return replace(kept, aliases=known.aliases)


CollectionPayload = dict[str, Any]
"""JSON values beside a vector, by the names of the schema's fields."""

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
"""Fields that tell rows apart; every schema has them."""


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """Collection as its file declares it: types by field, and the fields with an index.

    Payloads are made by the schema, field by field, so the two cannot differ.
    """

    name: str
    description: str
    schema: Mapping[str, str]
    indexes: tuple[str, ...]

    def payload(self, row: Row) -> CollectionPayload:
        """Return the payload of `row`: all fields of the schema and no other."""
        return {name: _FIELDS[name][1](row) for name in self.schema}


def row_key(payload: CollectionPayload) -> str:
    """Return the key of the row that `payload` was made from."""
    name, ecosystem = (payload[field] for field in KEY_FIELDS)
    return Row(name, ecosystem).key


def load_collection(name: str = COLLECTION, path: Path | None = None) -> CollectionSchema:
    """Read the collection `name` from its file, by default the shipped one.

    Raises:
        SeedError: The file cannot be read, breaks the form, or has no such collection.
    """
    path = path or seed_folder() / FILE_NAME
    file = SeedFile(path)
    listed = file.fields(file.root()).get("collections")
    for entry in map(file.fields, file.items(listed) if listed else ()):
        if "name" in entry and file.text(entry["name"]) == name:
            return _collection(path, file, entry)
    raise SeedError(str(path), f"there is no collection {name!r}")


def _collection(path: Path, file: SeedFile, entry: Mapping[str, yaml.Node]) -> CollectionSchema:
    types = file.fields(entry["schema"]) if "schema" in entry else {}
    schema = {field: file.text(kind) for field, kind in types.items()}
    indexes = tuple(map(file.text, file.items(entry["indexes"]))) if "indexes" in entry else ()
    description = file.text(entry["description"]) if "description" in entry else ""
    if not set(KEY_FIELDS) <= set(schema):
        raise SeedError(str(path), f"the `schema` has no {' and '.join(KEY_FIELDS)}")
    for field, kind in schema.items():
        if field not in _FIELDS or _FIELDS[field][0] != kind:
            raise SeedError(str(path), f"the schema's `{field}: {kind}` is not a field of a row")
    if not set(indexes) <= set(schema):
        raise SeedError(str(path), "`indexes` names a field that the schema does not have")
    return CollectionSchema(file.text(entry["name"]), description, schema, indexes)
