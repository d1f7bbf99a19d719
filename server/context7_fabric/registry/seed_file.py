"""Seed files: where they lie, and a walk through one that knows the line of every complaint."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml

from context7_fabric.errors import SeedError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


def seed_folder() -> Path:
    """Return the folder of the seed files: inside an installed package, beside `server/` else."""
    packaged = Path(str(files("context7_fabric"))) / "seeds"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "seeds"


class SeedFile:
    """One YAML file as a tree; each method raises `SeedError` with the line of what is wrong."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path

    def root(self) -> yaml.Node:
        """Return the tree of the whole file.

        Raises:
            SeedError: It cannot be read, is not YAML, or is empty.
        """
        try:
            root = yaml.compose(self._path.read_text("utf-8"), Loader=_LOADER)
        except (OSError, UnicodeDecodeError) as error:
            raise SeedError(str(self._path), f"cannot be read: {error}") from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise SeedError(str(self._path), error.problem or "is not YAML", line) from error
        except yaml.YAMLError as error:  # characters that YAML does not allow
            reason = " ".join(str(error).split())
            raise SeedError(str(self._path), f"is not YAML: {reason}") from error
        if root is None:
            raise SeedError(str(self._path), "is empty")
        return root

    def fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return what a mapping holds, each name once."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, "a mapping is wanted here")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if fields.setdefault(self.text(key), value) is not value:
                raise self.wrong(key, f"`{self.text(key)}` stands here twice")
        return fields

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """Return what a list holds."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, "a list is wanted here")
        return list(node.value)

    def text(self, node: yaml.Node) -> str:
        """Return a scalar as it is written, without space around it."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, "a text is wanted here")
        return str(node.value).strip()

    def wrong(self, node: yaml.Node, reason: str) -> SeedError:
        """Return the error for what is wrong at `node`."""
        return SeedError(str(self._path), reason, node.start_mark.line + 1)
