"""Form of a bug report: versions, platform and the lines of `doctor`, without what is private."""

from __future__ import annotations

import getpass
import platform
import re
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from context7_fabric.answers.docset_names import is_local
from context7_fabric.cli.checks import HealthCheck
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.sources.addresses import FORGES
from context7_fabric.docsets.sources.source import GitSource, parse_source
from context7_fabric.errors import UnusableSource
from context7_fabric.models import PUBLIC
from context7_fabric.privacy.redaction import redact
from context7_fabric.process import harmless
from context7_fabric.settings import Settings
from context7_fabric.variables import PREFIX, VARIABLES
from context7_fabric.version import __version__

_PACKAGES = ("mcp", "httpx2", "fastembed", "qdrant-client", "redis")
_SHORTEST_NAME = 3
"""Letters of a name from which it is replaced: shorter ones are parts of words."""

_FORM = """\
### What happened, and what should have happened?



### How to see it again



### Versions

{versions}

### `context7-fabric doctor`

| part | state | found |
|---|---|---|
{lines}
"""


def report(checks: Sequence[HealthCheck], settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the Markdown form; the first two parts are for the user to fill in."""
    hidden = hidden_words(settings, environ)
    versions = [*_versions(), f"settings that are set: {_names(environ)}"]
    lines = [
        f"| {check.name} | {check.state} | {_cell(hide(check.line, hidden))} |" for check in checks
    ]
    listed = "\n".join(f"- {each}" for each in versions)
    return _FORM.format(versions=listed, lines="\n".join(lines)).rstrip()


def _versions() -> list[str]:
    packages = []
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages.append(f"{name} {version(name)}")
    return [
        f"context7-fabric {__version__}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"{platform.system()} {platform.release()}, {platform.machine()}",
        ", ".join(packages),
    ]


def _names(environ: Mapping[str, str]) -> str:
    """Return the names of the settings of a shell, without their values."""
    names = [name for name in ("CONTEXT7_API_KEY", "CONTEXT7_API_URL") if environ.get(name)]
    names += [PREFIX + name for name in VARIABLES if environ.get(PREFIX + name)]
    return ", ".join(names) or "none"


def hidden_words(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what has to be hidden, each with what stands in its place, the longest first."""
    library = DocsetLibrary(settings.home / "docsets", settings.docsets)
    words = _paths(settings) | _files(settings.home / "docsets")
    words |= _private(library.of_all_owners())
    words |= _credentials(settings, environ)
    for name, place in ((_user(), "<user>"), (socket.gethostname(), "<host>")):
        if len(name) >= _SHORTEST_NAME:
            words.setdefault(name, place)
    return dict(sorted(words.items(), key=lambda each: -len(each[0])))


def hide(text: str, hidden: Mapping[str, str]) -> str:
    """Return `text` with each of the hidden words, and each secret, replaced."""
    for word, place in hidden.items():
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", place.replace("\\", r"\\"), text)
    return redact(text)


def _paths(settings: Settings) -> dict[str, str]:
    named = {
        settings.old_home: "<old home>",
        settings.cache_folder: "<cache>",
        settings.home: "<home>",
        settings.suggestions.model_path: "<model path>",
        Path.home(): "~",
    }
    return {str(path): place for path, place in named.items() if path is not None}


def _files(folder: Path) -> dict[str, str]:
    """Return the names of the files of docsets, which have the library's in them.

    A damaged file is hidden as well, although it cannot be read which library it is about.
    """
    names = sorted(path.name for path in folder.rglob("*") if not path.is_dir())
    return {name: f"<file {number}>" for number, name in enumerate(names, 1)}


def _private(docsets: Sequence[Docset]) -> dict[str, str]:
    """Return the ids and sources of docsets that are not from a public forge."""
    words: dict[str, str] = {}
    for number, docset in enumerate(docsets, 1):
        if not _is_public(docset):
            words |= dict.fromkeys(docset.ids, f"<library {number}>")
            words[docset.source] = f"<source {number}>"
    return words


def _is_public(docset: Docset) -> bool:
    """Tell whether a docset is of a repository that everyone can find."""
    if docset.owner != PUBLIC or is_local(docset.id):
        return False
    try:
        source = parse_source(docset.source, Path("/"))
    except UnusableSource:
        return False
    return isinstance(source, GitSource) and urlsplit(source.url).hostname in FORGES


def _credentials(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the settings that are secret, or that may hold one."""
    kinds = {PREFIX + name: kind for name, (kind, *_) in VARIABLES.items()}
    secret = [name for name, kind in kinds.items() if kind == "secret"]
    values = [environ.get(name, "") for name in ("CONTEXT7_API_KEY", *secret)]
    values += [settings.upstream.credential or "", settings.principal or ""]
    return {value: "<secret>" for value in values if value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name is known, as for the user of a container
        return ""


def _cell(text: str) -> str:
    """Return a text for a cell of a Markdown table."""
    return " ".join(harmless(text).split()).replace("|", "\\|")
