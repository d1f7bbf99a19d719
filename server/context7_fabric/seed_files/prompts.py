"""The prompts that ship with the package, read from their file and checked as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from context7_fabric.errors import SeedError
from context7_fabric.seed_files.yaml_file import SeedFile, named, seed_folder, tell_left_out

FILE_NAME = "prompts.yaml"
_REQUIRED = ("title", "description", "text")
_KNOWN = frozenset({*_REQUIRED, "arguments"})


@dataclass(frozen=True, slots=True)
class PromptSeed:
    """One prompt; `arguments` describes the `{placeholders}` of its text by their names."""

    name: str
    title: str
    description: str
    text: str
    arguments: Mapping[str, str]


def load_prompts(path: Path | None = None) -> tuple[PromptSeed, ...]:
    """Read a file of prompts, the shipped one unless `path` names another; leave out bad ones.

    Raises:
        SeedError: It cannot be read, is not YAML, or has no prompts.
    """
    file = _PromptFile(path or seed_folder() / FILE_NAME)
    prompts = file.prompts()
    tell_left_out(file.left_out)
    return prompts


class _PromptFile(SeedFile):
    def prompts(self) -> tuple[PromptSeed, ...]:
        root = self.root()
        listed = self.first_fields(root).get("prompts")
        if listed is None:
            raise self.wrong(root, "there are no `prompts`")
        return tuple(self.kept(self.first_fields(listed).items(), self._named_prompt))

    def _named_prompt(self, given: tuple[str, yaml.Node]) -> PromptSeed:
        name, node = given
        try:
            return self._prompt(name, node)
        except SeedError as error:
            raise named(error, f"the prompt {name!r}") from error

    def _prompt(self, name: str, node: yaml.Node) -> PromptSeed:
        fields = self.fields(node)
        for field, value in fields.items():
            if field not in _KNOWN:
                raise self.wrong(value, f"`{field}` is no field of a prompt")
        title, description, text = (self._needed(field, fields, node) for field in _REQUIRED)
        described = fields.get("arguments")
        arguments = self.fields(described).items() if described else ()
        return PromptSeed(
            name, title, description, text, {each: self.text(value) for each, value in arguments}
        )

    def _needed(self, field: str, fields: Mapping[str, yaml.Node], node: yaml.Node) -> str:
        text = self.text(fields[field]) if field in fields else ""
        if not text:
            raise self.wrong(node, f"a prompt needs a `{field}`")
        return text
