"""Ids of one library among those of the docsets, joined by the exact name rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row


def joined_ids(library_id: str, held: Iterable[str], registry: Registry) -> set[str]:
    """Return those of the ids `held` that are the library `library_id` by another id.

    Context7 lists one product by several ids. Two are joined if both are listed, one of them is the
    id of a package in the registry, and the package's name means exactly these two.
    """
    row = registry.row(library_id)
    if row is None or not row.title:
        return set()
    return {each for each in held if _are_one(row, registry.row(each), registry)}


def _are_one(row: Row, other: Row | None, registry: Registry) -> bool:
    if other is None or not other.title or other.id == row.id:
        return False
    if _names(row).isdisjoint(_names(other)):
        return False
    titles = {each.id: each.title for each in (row, other)}
    packages = (each for each in (row, other) if each.ecosystem)
    return any(registry.named(each.name, titles) == titles.keys() for each in packages)


def _names(row: Row) -> set[str]:
    """Return the names that a row may share with another; the exact rule decides later."""
    return {name_key(name) for name in (row.title, row.name, *row.aliases, *_project(row.id))}


def _project(library_id: str) -> Iterator[str]:
    library = parse_id(library_id)
    if library is not None:
        yield library.project
