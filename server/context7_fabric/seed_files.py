"""YAML seed files: reader that reports the line of each mistake, and the shipped prompts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml

from context7_fabric.errors import SeedError

LARGEST_FILE = 2**25
"""Bytes that are read of a file; 100,000 libraries take about 20 million."""

DEEPEST = 16
"""Levels of nesting: libyaml ends the process at some ten thousand."""

MOST_LOGGED = 20
"""Skipped entries of one file that are logged one by one."""

PROMPTS_FILE = "prompts.yaml"
_REQUIRED = ("title", "description", "text")
_PROMPT_FIELDS = frozenset({*_REQUIRED, "arguments"})

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_T = TypeVar("_T")
_U = TypeVar("_U")

_DAMAGE = "\N{REPLACEMENT CHARACTER}"
# YAML refuses the whole file for one of these.
_UNPRINTABLE = re.compile(
    "[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# JSON writes a character beyond the first plane as two of these escapes, which YAML does not know.
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

log = logging.getLogger(__name__)


def seed_folder() -> Path:
    """Return the folder of the seed files: in an installed package, or beside `server/`."""
    packaged = Path(str(files("context7_fabric"))) / "seeds"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "seeds"


class SeedFile:
    """One YAML file as a tree; each method raises `SeedError` with the line of a mistake."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet; the errors of the entries that `kept` skips are in `left_out`."""
        self._path = path
        self._damaged = False
        self.left_out: list[SeedError] = []

    def root(self) -> yaml.Node:
        """Return the tree of the whole file.

        Raises:
            SeedError: It cannot be read, is not YAML, or is empty.
        """
        text = self._text()
        try:
            self._check_depth(text)
            root = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise SeedError(str(self._path), error.problem or "is not YAML", line) from error
        if root is None:
            raise SeedError(str(self._path), "is empty")
        return root

    def kept(self, each: Iterable[_T], read: Callable[[_T], _U]) -> Iterator[_U]:
        """Yield the result of `read` for each; skip those for which it raises a `SeedError`."""
        for one in each:
            try:
                yield read(one)
            except SeedError as error:
                self.left_out.append(error)

    def fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return the values of a mapping by name; a repeated name is an error."""
        fields: dict[str, yaml.Node] = {}
        for key, value in self._pairs(node):
            if fields.setdefault(self.text(key), value) is not value:
                raise self.wrong(key, f"`{self.text(key)}` stands here twice")
        return fields

    def first_fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return the values of a mapping by name; a repeated name is skipped."""
        fields: dict[str, yaml.Node] = {}
        for key, value in self._pairs(node):
            for name in self.kept([key], self.text):
                if fields.setdefault(name, value) is not value:
                    self.left_out.append(self.wrong(key, f"`{name}` stands here twice"))
        return fields

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """Return the items of a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, "a list is wanted here")
        return list(node.value)

    def text(self, node: yaml.Node, most: int = LARGEST_FILE) -> str:
        """Return a scalar as it is written, without space around it."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, "a text is wanted here")
        text = str(node.value).strip()
        if self._damaged and _DAMAGE in text:
            raise self.wrong(node, "a character here is a control character or not UTF-8")
        if len(text) > most:
            raise self.wrong(node, f"a text here has more than {most:,} characters")
        if _CONTROL.search(text):
            raise self.wrong(node, "a text here has a control character")
        return text

    def wrong(self, node: yaml.Node, reason: str) -> SeedError:
        """Return the error for a mistake at `node`."""
        return SeedError(str(self._path), reason, node.start_mark.line + 1)

    def _pairs(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, "a mapping is wanted here")
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        return pairs

    def _text(self) -> str:
        """Return the file's text; a character that YAML refuses spoils only its own entry."""
        try:
            with self._path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise SeedError(str(self._path), f"cannot be read: {error}") from error
        if len(data) > LARGEST_FILE:
            raise SeedError(str(self._path), f"has more than {LARGEST_FILE:,} bytes")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SeedError(str(self._path), "is UTF-16: save it as UTF-8")
        text = _PAIR.sub(_joined, data.decode("utf-8-sig", "surrogateescape"))
        clean = _HALF.sub(_DAMAGE, _UNPRINTABLE.sub(_DAMAGE, text))
        self._damaged = clean != text
        return clean

    def _check_depth(self, text: str) -> None:
        if self._path.parent == seed_folder():
            return  # ours, and read at every start
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise SeedError(str(self._path), f"is nested more than {DEEPEST} deep", line)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def left_out(error: SeedError, entry: str) -> SeedError:
    """Return `error` with the name of the entry that is left out because of it."""
    return SeedError(error.path, f"{entry} is left out: {error.reason}", error.line)


def log_left_out(errors: Sequence[SeedError]) -> None:
    """Log the entries that are left out, and the number of those beyond `MOST_LOGGED`."""
    for error in errors[:MOST_LOGGED]:
        log.warning("%s", error)
    if errors[MOST_LOGGED:]:
        log.warning("%d more rows are left out", len(errors) - MOST_LOGGED)


@dataclass(frozen=True, slots=True)
class PromptSeed:
    """Shipped prompt; `arguments` describes the `{placeholders}` of its text by their names."""

    name: str
    title: str
    description: str
    text: str
    arguments: Mapping[str, str]


def load_prompts(path: Path | None = None) -> tuple[PromptSeed, ...]:
    """Read a file of prompts, by default the shipped one; leave out bad ones.

    Raises:
        SeedError: It cannot be read, is not YAML, or has no prompts.
    """
    file = _PromptFile(path or seed_folder() / PROMPTS_FILE)
    prompts = file.prompts()
    log_left_out(file.left_out)
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
            raise left_out(error, f"the prompt {name!r}") from error

    def _prompt(self, name: str, node: yaml.Node) -> PromptSeed:
        fields = self.fields(node)
        for field, value in fields.items():
            if field not in _PROMPT_FIELDS:
                raise self.wrong(value, f"`{field}` is not a field of a prompt")
        title, description, text = (self._required(field, fields, node) for field in _REQUIRED)
        described = fields.get("arguments")
        arguments = self.fields(described).items() if described else ()
        return PromptSeed(
            name, title, description, text, {each: self.text(value) for each, value in arguments}
        )

    def _required(self, field: str, fields: Mapping[str, yaml.Node], node: yaml.Node) -> str:
        text = self.text(fields[field]) if field in fields else ""
        if not text:
            raise self.wrong(node, f"a prompt needs a `{field}`")
        return text
