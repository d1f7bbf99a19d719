"""Values of docsets: snippets of documentation, and the facts about a docset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from context7_fabric.models import PUBLIC
from context7_fabric.parsing.snippets import SnippetKind

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, slots=True)
class DocSnippet:
    """Piece of a document: a section, or a part of one.

    `title` is the path of headings, joined by " > "; `text` is Markdown with its code whole,
    without the heading; `path` is the document's path within the source, with `/`; `anchor` is the
    heading's anchor in the rendered page, empty where there is none; `language` is that of the
    code or of the side of a page that covers several languages, empty where it is not known;
    `names` are the identifiers that the snippet defines.
    """

    title: str
    text: str
    path: str
    anchor: str = ""
    kind: SnippetKind = "info"
    language: str = ""
    names: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """Title, path and text, each from the beginning of a line."""
        return f"{self.title}\n{self.path}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Docset:
    """Facts about the documentation of one library at one version from one source.

    `id` is `/org/project`, without a version; `also` are the other ids that it answers for.
    `source` is the line that adds it again, `revision` the commit, the ETag or the digest of what
    was read, `address` a format string with `{path}` for the web address of a document (empty for
    a folder that is on no server). `licence` is an SPDX id or "unknown". `added_at`, when its
    snippets were read, `checked_at`, when the source was last compared, and `filed_at`, when `add`
    filed it last (0 in older files), are in epoch seconds.
    `owner` is the one who may read it, PUBLIC for all; `fetched` tells that no person added it.
    `left_out` counts what was not read, by the reason; `purged` are digests of purged lines.
    """

    id: str
    version: str | None
    source: str
    revision: str
    added_at: float
    checked_at: float
    address: str = ""
    licence: str = UNKNOWN_LICENCE
    also: tuple[str, ...] = ()
    owner: str = PUBLIC
    fetched: bool = False
    files: int = 0
    snippets: int = 0
    characters: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    filed_at: float = 0.0
    purged: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The id with its version, if any: `/org/project@1.2`."""
        return self.id if self.version is None else f"{self.id}@{self.version}"

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids that it answers for."""
        return (self.id, *self.also)
