"""The seed file: libraries that people ask for, known before upstream was ever asked.

Its ids are hints, unverified until upstream said so; a seed answers alone only when upstream
cannot. The file is checked as it is read, so that a mistake is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from context7_fabric.documents.ids import parse_id
from context7_fabric.documents.keys import name_key
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seed_file import SeedFile, seed_folder

ECOSYSTEMS = frozenset({"pypi", "npm", "crates", "go", "maven", "other"})
FILE_NAME = "library-seed.yaml"
DEFAULT_TTL_DAYS = 30.0
_DAYS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Seed:
    """One library of the seed file; `id` is empty where nobody knows it."""

    name: str
    aliases: tuple[str, ...]
    id: str
    ecosystem: str
    category: str
    description: str

    @property
    def row(self) -> Row:
        """The registry's row for it, unverified."""
        return Row(
            name=name_key(self.name),
            ecosystem=self.ecosystem,
            id=self.id,
            aliases=self.aliases,
            category=self.category,
            title=self.name,
            description=self.description,
        )


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seed file's content; `ttl_days` is how long what was resolved from it stays fresh."""

    libraries: tuple[Seed, ...]
    ttl_days: float = DEFAULT_TTL_DAYS


def load_seeds(path: Path | None = None) -> Seeds:
    """Read a seed file, the shipped one unless `path` names another.

    Raises:
        SeedError: It cannot be read, or breaks the form; with the line where that shows.
    """
    reader = _Reader(path or seed_folder() / FILE_NAME)
    root = reader.root()
    return Seeds(tuple(reader.libraries(root)), reader.ttl_days(root))


class _Reader(SeedFile):
    def ttl_days(self, root: yaml.Node) -> float:
        node = self.fields(root).get("ttl_days")
        if node is None:
            return DEFAULT_TTL_DAYS
        text = self.text(node)
        if not _DAYS.fullmatch(text):
            raise self.wrong(node, f"`ttl_days`: {text!r} is not a number of days")
        return float(text)

    def libraries(self, root: yaml.Node) -> Iterator[Seed]:
        categories = self.fields(root).get("categories")
        if categories is None:
            raise self.wrong(root, "there are no `categories`")
        for category, node in self.fields(categories).items():
            listed = self.fields(node).get("libraries")
            for entry in self.items(listed) if listed else ():
                yield self._seed(category, entry)

    def _seed(self, category: str, node: yaml.Node) -> Seed:
        fields = self.fields(node)
        if "name" not in fields or not self.text(fields["name"]):
            raise self.wrong(node, "a library needs a `name`")
        aliases = fields.get("aliases")
        return Seed(
            name=self.text(fields["name"]),
            aliases=tuple(self.text(item) for item in self.items(aliases)) if aliases else (),
            id=self._id(fields.get("id")),
            ecosystem=self._ecosystem(fields.get("ecosystem")),
            category=category,
            description=self.text(fields["description"]) if "description" in fields else "",
        )

    def _id(self, node: yaml.Node | None) -> str:
        text = self.text(node) if node else ""
        if node is not None and text and parse_id(text) is None:
            raise self.wrong(node, f"{text!r} is no library id (/org/project)")
        return text

    def _ecosystem(self, node: yaml.Node | None) -> str:
        text = self.text(node) if node else "other"
        if node is not None and text not in ECOSYSTEMS:
            raise self.wrong(node, f"{text!r} is none of {', '.join(sorted(ECOSYSTEMS))}")
        return text
