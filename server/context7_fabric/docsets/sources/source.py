"""Values of sources: the line that names one, the tree that it is read into, its documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from context7_fabric.docsets.models import UNKNOWN_LICENCE
from context7_fabric.errors import UnusableSource
from context7_fabric.process import harmless
from context7_fabric.settings.values import DocsetSettings

LLMS_FILES = ("llms-full.txt", "llms.txt")
"""Names of files with a site's documentation for models, the fullest first (llmstxt.org)."""

SIZE_OPTION = "--max-size"
"""Option of `add` that sets the bounds of the text and of what comes over the network."""

Progress = Callable[[str], None]
"""Takes one line about the step that begins."""

_GIT = "git+"
_PYTHON = "python:"
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)
_PATH = "--path"
_REF = re.compile(r"[\w@][\w@./+#=~-]{0,254}")
CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
"""Name and password of an address; never shown."""

_FORMS = "give a folder, a file, git+https://host/org/repo, or https://host/llms.txt"


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder or a file on this machine, by its absolute path."""

    path: Path

    @property
    def line(self) -> str:
        """The text that `parse_source` reads back."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class GitSource:
    """A git repository at an https address, without credentials.

    `ref` is a branch, a tag or a commit; without one a tag that fits the version is looked for.
    `paths` are folders or files within the repository, with `/`; none for all of it.
    """

    url: str
    ref: str | None = None
    paths: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The text that `parse_source` reads back."""
        ref = f"@{self.ref}" if self.ref else ""
        return " ".join([f"{_GIT}{self.url}{ref}", *(_option(path) for path in self.paths)])


@dataclass(frozen=True, slots=True)
class LlmsSource:
    """A web address of an `llms.txt` or `llms-full.txt`."""

    url: str

    @property
    def line(self) -> str:
        """The text that `parse_source` reads back."""
        return self.url


@dataclass(frozen=True, slots=True)
class PythonSource:
    """An installed Python package by its name on PyPI, in the environment of a project."""

    name: str
    environment: Path

    @property
    def line(self) -> str:
        """The text that `parse_source` reads back."""
        return f"{_PYTHON}{shlex.quote(self.name)} --env {shlex.quote(str(self.environment))}"


Source = FolderSource | GitSource | LlmsSource | PythonSource


@dataclass(frozen=True, slots=True)
class SourceBounds:
    """Bounds of one source, so that none fills the memory, the disk or the day.

    `entries` counts whatever stands in its folders, `documents` those that are read; sizes are in
    bytes: of one file, of all text, and of all that comes over the network. `seconds` bounds the
    whole transfer, `idle` the wait for its next byte. `pages` are those that an llms.txt lists.
    """

    entries: int = 200_000
    documents: int = 20_000
    file_bytes: int = 2**20
    text_bytes: int = 50_000_000
    transfer_bytes: int = 500_000_000
    seconds: float = 300.0
    idle: float = 20.0
    pages: int = 500
    depth: int = 40


@dataclass(frozen=True, slots=True)
class SourceFetch:
    """Circumstances of one fetch.

    `into` is an empty folder for what comes over the network. `version` is the one wanted, None
    for the newest.
    """

    into: Path
    bounds: SourceBounds
    progress: Progress
    settings: DocsetSettings
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file of documentation, decoded; `path` is within the source, with `/`, printable."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Omitted:
    """A file or folder that is not read, and the reason in a few words, to be counted by."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A source on this machine's disk.

    Documents are the files below `root`, only those in `parts` (folders or files, with `/`) where
    there are any. With `pages` they are exactly those: the file's name in `root` by the path that
    the document has. `address` is a format string with `{path}`, empty where there is no server.
    `links` are files that stand for symbolic links, `omitted` what was not fetched. Without
    `includes` no other file is read into a document. `note` is a line for the user, if any.

    `version` is the one wanted, by which folders are chosen; `documents` is the one that it is of:
    that of its tag or of a folder in it, or the one that the user gave for this very source, else
    None.
    """

    root: Path
    source: str
    revision: str
    address: str = ""
    version: str | None = None
    licence: str = UNKNOWN_LICENCE
    parts: tuple[str, ...] = ()
    pages: Mapping[str, str] | None = None
    links: frozenset[str] = frozenset()
    omitted: tuple[Omitted, ...] = ()
    includes: bool = True
    note: str = ""
    documents: str | None = None


def parse_source(text: str, cwd: Path, paths: tuple[str, ...] = ()) -> Source:
    """Read a source as a user wrote it, or as a docset keeps it.

    `text` is a folder or file, relative to `cwd`; `git+https://host/org/repo[@REF]`, which
    ` --path FOLDER` may follow; `python:NAME --env FOLDER`; or the address of an llms.txt.
    `paths` adds folders of a repository. Nothing is looked for on the disk or in the network.

    Raises:
        UnusableSource: It is none of these, or holds a credential.
    """
    written = text.strip()
    if written.startswith("-") or not written or "\0" in written:
        raise UnusableSource(_shown(text), "it names no source", _FORMS)
    if written.startswith(_GIT):
        return _git_source(written, paths)
    if paths:
        raise UnusableSource(_shown(text), "--path is for git sources", "name the folder itself")
    if written.startswith(_PYTHON):
        return _python_source(written)
    if "://" in written:
        return _llms_source(written)
    return FolderSource(_folder(text, cwd))


def _python_source(text: str) -> PythonSource:
    name, *words = _words(text.removeprefix(_PYTHON)) or [""]
    if not _PACKAGE.fullmatch(name):
        raise UnusableSource(_shown(text), f"{name!r} is no name of a package", "correct it")
    if len(words) != 2 or words[0] != "--env" or not Path(words[1]).is_absolute():  # noqa: PLR2004
        raise UnusableSource(
            _shown(text), "the environment of the project is not named", "add it with --python"
        )
    return PythonSource(name, Path(words[1]))


def _folder(text: str, cwd: Path) -> Path:
    try:
        return Path(cwd, Path(text).expanduser()).absolute()
    except RuntimeError as error:  # `~name` of no user
        raise UnusableSource(_shown(text), str(error), _FORMS) from error


def _git_source(text: str, paths: tuple[str, ...]) -> GitSource:
    address, *words = _words(text)
    url, ref = _split_ref(_checked(address.removeprefix(_GIT), text))
    given = (*_path_options(words, text), *paths)
    return GitSource(url, ref, tuple(dict.fromkeys(_inner(path, text) for path in given)))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UnusableSource(_shown(text), "a quotation mark is not closed", _FORMS) from error


def _path_options(words: list[str], text: str) -> list[str]:
    if any(option != _PATH for option in words[::2]) or len(words) % 2:
        raise UnusableSource(
            _shown(text), "only --path FOLDER may follow a repository", "leave the rest out"
        )
    return words[1::2]


def _split_ref(url: str) -> tuple[str, str | None]:
    """Return the address and the ref after the first `@` of its path."""
    base, at, ref = url.partition("@")
    if at and (not _REF.fullmatch(ref) or ".." in ref):
        raise UnusableSource(_shown(url), f"{ref!r} is no branch, tag or commit", "correct it")
    return base.rstrip("/"), ref if at else None


def _inner(path: str, text: str) -> str:
    """Return a path within a repository in its shortest form; refuse one that leaves it."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not path.isprintable() or path.startswith("-"):
        reason = f"--path {path!r} is not a folder within the repository"
        raise UnusableSource(_shown(text), reason, "give a path such as docs/")
    return "" if pure == PurePosixPath() else str(pure)


def _llms_source(text: str) -> LlmsSource:
    url = _checked(text, text)
    if not urlsplit(url).path.endswith(LLMS_FILES):
        reason = "the address is not that of an llms.txt or llms-full.txt"
        raise UnusableSource(_shown(text), reason, f"if it is a repository, type git+{_shown(url)}")
    return LlmsSource(url)


def _checked(url: str, text: str) -> str:
    """Return an address of a known form; refuse another scheme, credentials and odd signs."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UnusableSource(_shown(text), "the address cannot be read", _FORMS) from error
    if parts.scheme != "https" and not (parts.scheme == "http" and not text.startswith(_GIT)):
        raise UnusableSource(
            _shown(text), f"{parts.scheme or 'no scheme'!r} is not allowed", "use https"
        )
    if "@" in parts.netloc:
        reason = "the address holds a user name or a password"
        raise UnusableSource(_shown(text), reason, "leave it out: only public sources are read")
    if not parts.hostname or not url.isprintable() or set(url) & set(' "<>\\^`{|}'):
        raise UnusableSource(_shown(text), "the address cannot be read", _FORMS)
    if parts.query or parts.fragment:
        raise UnusableSource(_shown(text), "the address has a query or a fragment", "leave it out")
    return url


def _option(path: str) -> str:
    return f"{_PATH} {shlex.quote(path)}"


def _shown(text: str) -> str:
    """Return `text` for a message: without credentials and control characters, cut."""
    return harmless(CREDENTIALS.sub("…@", text.strip())).replace("\n", " ")[:200]
