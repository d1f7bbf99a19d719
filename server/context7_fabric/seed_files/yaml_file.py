"""Seed files: where they lie, and a walk through one that knows the line of every complaint."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml

from context7_fabric.errors import SeedError

LARGEST_FILE = 2**25
"""Bytes that are read of a file; 100,000 libraries take about 20 million."""

DEEPEST = 16
"""Levels of nesting: libyaml ends the process at some ten thousand."""

MOST_TOLD = 20
"""Rows that are left out of one file, as far as they are logged one by one."""

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
    """Return the folder of the seed files: inside an installed package, beside `server/` else."""
    packaged = Path(str(files("context7_fabric"))) / "seeds"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "seeds"


class SeedFile:
    """One YAML file as a tree; each method raises `SeedError` with the line of what is wrong."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet; what `kept` leaves out is in `left_out`."""
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

    def _text(self) -> str:
        """Return the file's text; a character that YAML refuses only spoils where it stands."""
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
            return  # ours, and in the way of every start
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise SeedError(str(self._path), f"is nested more than {DEEPEST} deep", line)

    def kept(self, each: Iterable[_T], read: Callable[[_T], _U]) -> Iterator[_U]:
        """Yield what `read` makes of each; what it raises a `SeedError` for is left out."""
        for one in each:
            try:
                yield read(one)
            except SeedError as error:
                self.left_out.append(error)

    def fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return what a mapping holds, each name once."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, "a mapping is wanted here")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if fields.setdefault(self.text(key), value) is not value:
                raise self.wrong(key, f"`{self.text(key)}` stands here twice")
        return fields

    def first_fields(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return what a mapping holds; a name that stands there again is left out."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, "a mapping is wanted here")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            for name in self.kept([key], self.text):
                if fields.setdefault(name, value) is not value:
                    self.left_out.append(self.wrong(key, f"`{name}` stands here twice"))
        return fields

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """Return what a list holds."""
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
        """Return the error for what is wrong at `node`."""
        return SeedError(str(self._path), reason, node.start_mark.line + 1)


def named(error: SeedError, what: str) -> SeedError:
    """Return `error` with the name of the row that is left out for it."""
    return SeedError(error.path, f"{what} is left out: {error.reason}", error.line)


def tell_left_out(left_out: Sequence[SeedError]) -> None:
    """Log each row that is left out, and how many more there are."""
    for error in left_out[:MOST_TOLD]:
        log.warning("%s", error)
    if left_out[MOST_TOLD:]:
        log.warning("%d more rows are left out", len(left_out) - MOST_TOLD)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
