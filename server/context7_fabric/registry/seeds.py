"""The seed file: libraries that people ask for, known before upstream was ever asked.

Its ids are hints, unverified until upstream said so; a seed answers alone only when upstream
cannot. The file is checked as it is read, so that a mistake is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from context7_fabric.documents.ids import parse_id
from context7_fabric.documents.keys import name_key
from context7_fabric.errors import SeedError
from context7_fabric.registry.rows import Row

ECOSYSTEMS = frozenset({"pypi", "npm", "crates", "go", "maven", "other"})
FILE_NAME = "library-seed.yaml"
DEFAULT_TTL_DAYS = 30.0
_DAYS = re.compile(r"[0-9]{1,6}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


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


def seed_folder() -> Path:
    """Return the folder of the seed files: inside an installed package, beside `server/` else."""
    packaged = Path(str(files("context7_fabric"))) / "seeds"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "seeds"


def load_seeds(path: Path | None = None) -> Seeds:
    """Read a seed file, the shipped one unless `path` names another.

    Raises:
        SeedError: It cannot be read, or breaks the form; with the line where that shows.
    """
    path = path or seed_folder() / FILE_NAME
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=_LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(str(path), f"cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise SeedError(str(path), error.problem or "is not YAML", line) from error
    except yaml.YAMLError as error:  # characters that YAML does not allow
        reason = " ".join(str(error).split())
        raise SeedError(str(path), f"is not YAML: {reason}") from error
    reader = _Reader(str(path))
    return Seeds(tuple(reader.libraries(root)), reader.ttl_days(root))


class _Reader:
    """Walks the YAML tree, knowing the line of every complaint."""

    def __init__(self, path: str) -> None:
        self.path = path

    def ttl_days(self, root: yaml.Node | None) -> float:
        node = None if root is None else self._fields(root).get("ttl_days")
        if node is None:
            return DEFAULT_TTL_DAYS
        text = self._text(node)
        if not _DAYS.fullmatch(text):
            raise self._wrong(node, f"`ttl_days`: {text!r} is not a number of days")
        return float(text)

    def libraries(self, root: yaml.Node | None) -> Iterator[Seed]:
        if root is None:
            raise SeedError(self.path, "is empty")
        categories = self._fields(root).get("categories")
        if categories is None:
            raise self._wrong(root, "there are no `categories`")
        for category, node in self._fields(categories).items():
            listed = self._fields(node).get("libraries")
            for entry in self._items(listed) if listed else ():
                yield self._seed(category, entry)

    def _seed(self, category: str, node: yaml.Node) -> Seed:
        fields = self._fields(node)
        if "name" not in fields or not self._text(fields["name"]):
            raise self._wrong(node, "a library needs a `name`")
        aliases = fields.get("aliases")
        return Seed(
            name=self._text(fields["name"]),
            aliases=tuple(self._text(item) for item in self._items(aliases)) if aliases else (),
            id=self._id(fields.get("id")),
            ecosystem=self._ecosystem(fields.get("ecosystem")),
            category=category,
            description=self._text(fields["description"]) if "description" in fields else "",
        )

    def _id(self, node: yaml.Node | None) -> str:
        text = self._text(node) if node else ""
        if node is not None and text and parse_id(text) is None:
            raise self._wrong(node, f"{text!r} is no library id (/org/project)")
        return text

    def _ecosystem(self, node: yaml.Node | None) -> str:
        text = self._text(node) if node else "other"
        if node is not None and text not in ECOSYSTEMS:
            raise self._wrong(node, f"{text!r} is none of {', '.join(sorted(ECOSYSTEMS))}")
        return text

    def _fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, "a mapping is wanted here")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if fields.setdefault(self._text(key), value) is not value:
                raise self._wrong(key, f"`{self._text(key)}` stands here twice")
        return fields

    def _items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, "a list is wanted here")
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, "a text is wanted here")
        return str(node.value).strip()

    def _wrong(self, node: yaml.Node, reason: str) -> SeedError:
        return SeedError(self.path, reason, node.start_mark.line + 1)
