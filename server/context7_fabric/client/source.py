"""Source of library ids: its protocol and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from context7_fabric.answers.library_choice import UNKNOWN, shown_moment
from context7_fabric.fabric.context import Json
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import name_key


@dataclass(frozen=True, slots=True)
class CachedLibrary:
    """Library with a known id.

    `last_verified` is the ISO 8601 time at which upstream last listed the id, empty if it never
    did; `relevance_score` is 1.0 for an exact match.
    """

    library_name: str
    library_id: str
    aliases: list[str]
    category: str
    last_verified: str
    usage_count: int
    relevance_score: float

    @property
    def verified_at(self) -> float | None:
        """The same time in epoch seconds, None if upstream never listed the id."""
        if not self.last_verified:
            return None
        return datetime.fromisoformat(self.last_verified).timestamp()


@dataclass(frozen=True, slots=True)
class CachedHit:
    """Library, and the tokens of the list that a look-up of its name would return."""

    library: CachedLibrary
    list_tokens: int


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """Shared server: its URL without a slash at the end, and the access token for it."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The URL without credentials, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class LibrarySource(Protocol):
    """Look-up of libraries by name; a fault of its medium is a miss, never an error."""

    async def find(self, name: str) -> CachedHit | None:
        """Return the library that `name` means exactly, of any age."""
        ...

    async def docs(self, library_id: str, question: str) -> str | None:
        """Return a docset's page that answers `question` without Context7, None without one."""
        ...

    async def learn(self, name: str, library_id: LibraryId) -> CachedHit:
        """Store the id that `name` means, for every client of the source."""
        ...

    async def used(self, uses: Mapping[str, int]) -> None:
        """Count the uses of libraries by id."""
        ...

    async def aclose(self) -> None:
        """Close the medium; a later call opens it again."""
        ...


_LIBRARY = TypeAdapter(CachedLibrary)


def library_of(metadata: Mapping[str, Json]) -> CachedLibrary:
    """Return the exactly matching library that `metadata` describe.

    Raises:
        ValueError: They describe none.
    """
    library = _LIBRARY.validate_python({**metadata, "relevance_score": 1.0})
    _ = library.verified_at
    return library


def bare_library(name: str, library_id: LibraryId, now: float) -> CachedLibrary:
    """Return a library of which only the name and id are known, since `now`."""
    return CachedLibrary(
        name_key(name), str(library_id), [], UNKNOWN, shown_moment(now), 1, relevance_score=1.0
    )
