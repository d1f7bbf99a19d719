"""Addresses of resources: reading and writing their URIs. Pure.

`fabric://GLOBAL`, `fabric://GLOBAL?after=KEY`, `fabric://GLOBAL/KEY`, `fabric://stats`,
`library://registry`, `library://registry?q=WORDS`, `library://ORG/PROJECT`. Parts are
percent-encoded UTF-8; parts that a client left unencoded are read as they are, slashes included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from context7_fabric.fabric.context import KEY_LIMIT, Scope
from context7_fabric.parsing.ids import LibraryId, parse_id

ENTRY_TEMPLATE = "fabric://{scope}/{key}"
INDEX_TEMPLATE = "fabric://{scope}{?after}"
REGISTRY_TEMPLATE = "library://registry{?q}"
LIBRARY_TEMPLATE = "library://{org}/{project}"
REGISTRY = "library://registry"
STATS = "fabric://stats"

_PARTS = re.compile(r"(?P<scheme>fabric|library)://(?P<head>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class IndexUri:
    """A page of a scope: the newest entries, or those behind the key `after`."""

    scope: Scope
    after: str | None = None


@dataclass(frozen=True, slots=True)
class EntryUri:
    """One entry."""

    scope: Scope
    key: str


@dataclass(frozen=True, slots=True)
class RegistryUri:
    """The known libraries; with a `phrase`, those that it may mean."""

    phrase: str = ""


@dataclass(frozen=True, slots=True)
class LibraryUri:
    """One library."""

    library: LibraryId


@dataclass(frozen=True, slots=True)
class StatsUri:
    """Figures of calls and of the store."""


ResourceUri = IndexUri | EntryUri | RegistryUri | LibraryUri | StatsUri


def read_uri(uri: str) -> ResourceUri | None:
    """Return the address that `uri` is, None when it is none of ours."""
    parts = _PARTS.fullmatch(uri)
    if parts is None:
        return None
    read = _read_fabric if parts["scheme"] == "fabric" else _read_library
    return read(parts["head"], parts["rest"])


def index_uri(scope: Scope, after: str | None = None) -> str:
    """Return the URI of the newest entries of `scope`, or of those behind the key `after`."""
    return f"fabric://{scope}" + ("" if after is None else f"?after={_encoded(after)}")


def entry_uri(scope: Scope, key: str) -> str:
    """Return the URI of an entry."""
    return f"fabric://{scope}/{_encoded(key)}"


def _read_fabric(head: str, rest: str) -> ResourceUri | None:
    if head == "stats":
        return None if rest else StatsUri()
    scope = scope_named(head)
    if scope is None:
        return None
    if rest.startswith("/"):
        key = _decoded(rest[1:])
        return None if key is None else EntryUri(scope, key)
    after = _parameter("after", rest)
    return None if after is None else IndexUri(scope, after or None)


def _read_library(head: str, rest: str) -> ResourceUri | None:
    if head == "registry" and not rest.startswith("/"):
        phrase = _parameter("q", rest)
        return None if phrase is None else RegistryUri(phrase)
    org, project = _decoded(head), _decoded(rest.removeprefix("/"))
    library = parse_id(f"/{org}/{project}") if org and project else None
    return LibraryUri(library) if library and library.version is None else None


def scope_named(name: str) -> Scope | None:
    """Return the scope called `name`, in any case: some clients lower the host of a URI."""
    return Scope.__members__.get(name.upper())


def _parameter(name: str, query: str) -> str | None:
    """Return the parameter `name` of a query, "" without a query, None where it has others."""
    if not query:
        return ""
    start = f"?{name}="
    return _decoded(query.removeprefix(start)) if query.startswith(start) else None


def _decoded(part: str) -> str | None:
    """Return `part` without percent-encoding; None when it is broken, or longer than any key."""
    if _BROKEN.search(part):
        return None
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeError:
        return None
    return text if len(text) <= KEY_LIMIT else None


def _encoded(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")
