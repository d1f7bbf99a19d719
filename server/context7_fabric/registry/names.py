"""Which row does a name mean? Stand-by with exact names only, until the rule stands here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from context7_fabric.documents.keys import name_key
from context7_fabric.registry.rows import Row


@dataclass(frozen=True, slots=True)
class Asked:
    """What a name was read as."""

    name: str
    ecosystems: frozenset[str] | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """The row that a name means."""

    row: Row
    tier: Literal["name", "alias"]
    version: str | None = None


def read_name(text: str) -> Asked:
    """Read a name."""
    return Asked(name_key(text))


def languages_in(question: str) -> frozenset[str] | None:  # noqa: ARG001
    """Return the ecosystems that a question names."""
    return None


class NameIndex:
    """Rows by name and alias."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Row]] = {}

    def add(self, row: Row) -> None:
        """Take `row` in."""
        for name in (row.name, *row.aliases):
            self._rows.setdefault(name_key(name), {})[row.key] = row

    def find(self, text: str, question: str = "") -> Match | None:  # noqa: ARG002
        """Return the only row that goes by `text`."""
        found = list(self._rows.get(name_key(text), {}).values())
        if len(found) != 1:
            return None
        return Match(found[0], "name" if found[0].name == name_key(text) else "alias")
