"""Seed file: popular libraries, known before upstream was ever asked.

Its ids are hints until upstream lists them; a seed answers alone only if upstream cannot. The file
is checked while it is read, so that each mistake is reported with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from context7_fabric.errors import SeedError
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.readings import MAX_NAME_LENGTH
from context7_fabric.registry.rows import Row
from context7_fabric.seed_files import SeedFile, left_out, seed_folder

ECOSYSTEMS = frozenset({"pypi", "npm", "crates", "go", "maven", "other"})
FILE_NAME = "library-seed.yaml"
DEFAULT_TTL_DAYS = 30.0
MOST_ROWS = 100_000
MOST_ALIASES = 50
LONGEST_DESCRIPTION = 2_000
_DAYS = re.compile(r"[0-9]{1,6}")
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Seed:
    """One library of the seed file; `id` is empty if it is not known."""

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
    """Content of the seed file; `ttl_days` bounds the freshness of what was resolved from it.

    `left_out` has an error for each row that cannot be used.
    """

    libraries: tuple[Seed, ...]
    ttl_days: float = DEFAULT_TTL_DAYS
    left_out: tuple[SeedError, ...] = ()


def load_seeds(path: Path | None = None) -> Seeds:
    """Read a seed file, by default the shipped one; leave out bad rows.

    Raises:
        SeedError: It cannot be read, is not YAML, or has no categories.
    """
    reader = _Reader(path or seed_folder() / FILE_NAME)
    root = reader.root()
    fields = reader.first_fields(root)
    if "categories" not in fields:
        raise reader.wrong(root, "there are no `categories`")
    libraries = tuple(reader.libraries(fields["categories"]))
    days = next(reader.kept([fields.get("ttl_days")], reader.ttl_days), DEFAULT_TTL_DAYS)
    return Seeds(libraries, days, tuple(reader.left_out))


class _Reader(SeedFile):
    def ttl_days(self, node: yaml.Node | None) -> float:
        if node is None:
            return DEFAULT_TTL_DAYS
        text = self.text(node)
        if not _DAYS.fullmatch(text):
            raise self.wrong(node, f"`ttl_days`: {text!r} is not a number of days")
        return float(text)

    def libraries(self, categories: yaml.Node) -> Iterator[Seed]:
        taken: set[str] = set()
        for category, entries in self.kept(self.first_fields(categories).items(), self._category):
            for seed, node in self.kept(entries, partial(self._named_seed, category)):
                if seed.row.key in taken:
                    twice = self.wrong(node, "the name stands here twice in one ecosystem")
                    self.left_out.append(left_out(twice, _entry(seed.name)))
                elif len(taken) < MOST_ROWS:
                    taken.add(seed.row.key)
                    yield seed
                else:
                    raise self.wrong(node, f"there are more than {MOST_ROWS:,} libraries")

    def _category(self, given: tuple[str, yaml.Node]) -> tuple[str, list[yaml.Node]]:
        category, node = given
        listed = self.first_fields(node).get("libraries")
        return category, self.items(listed) if listed else []

    def _named_seed(self, category: str, node: yaml.Node) -> tuple[Seed, yaml.Node]:
        try:
            return self._seed(category, node), node
        except SeedError as error:
            raise left_out(error, _entry(self._name_in(node))) from error

    def _name_in(self, node: yaml.Node) -> str:
        """Return the name of the row at `node`, empty if it has none."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        name = next((value for key, value in pairs if key.value == "name"), None)
        return str(name.value).strip() if isinstance(name, yaml.ScalarNode) else ""

    def _seed(self, category: str, node: yaml.Node) -> Seed:
        fields = self.fields(node)
        name = self._name(fields["name"]) if "name" in fields else ""
        if not name:
            raise self.wrong(node, "a library needs a `name`")
        described = fields.get("description")
        return Seed(
            name=name,
            aliases=self._aliases(fields.get("aliases")),
            id=self._id(fields.get("id")),
            ecosystem=self._ecosystem(fields.get("ecosystem")),
            category=category,
            description=self.text(described, LONGEST_DESCRIPTION) if described else "",
        )

    def _aliases(self, node: yaml.Node | None) -> tuple[str, ...]:
        items = self.items(node) if node else []
        if node and len(items) > MOST_ALIASES:
            raise self.wrong(node, f"there are more than {MOST_ALIASES} aliases")
        return tuple(map(self._name, items))

    def _name(self, node: yaml.Node) -> str:
        """Return a name or an alias, in one line."""
        text = " ".join(self.text(node, MAX_NAME_LENGTH).split())
        if not text.isprintable():
            raise self.wrong(node, "a name here has an invisible character")
        return text

    def _id(self, node: yaml.Node | None) -> str:
        text = self.text(node) if node else ""
        if node is not None and text and parse_id(text) is None:
            raise self.wrong(node, f"{text!r} is not a library id (/org/project)")
        return text

    def _ecosystem(self, node: yaml.Node | None) -> str:
        text = self.text(node) if node else "other"
        if node is not None and text not in ECOSYSTEMS:
            raise self.wrong(node, f"{text!r} is none of {', '.join(sorted(ECOSYSTEMS))}")
        return text


def _entry(name: str) -> str:
    return f"the library {name[:_LONGEST_SHOWN]!r}" if name else "a library without a name"
