"""The seam between the client and where library ids are known: values and one small Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import TypeAdapter

from context7_fabric.answers.library_choice import UNKNOWN, shown_moment
from context7_fabric.fabric.context import Json
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import name_key


@dataclass(frozen=True, slots=True)
class CachedLibrary:
    """A library whose id is known.

    `last_verified` is when upstream last listed the id, in ISO 8601, and empty when it never did.
    `relevance_score` is 1.0 for an exact match.
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
        """When upstream last listed the id, in epoch seconds; None when it never did."""
        if not self.last_verified:
            return None
        return datetime.fromisoformat(self.last_verified).timestamp()


@dataclass(frozen=True, slots=True)
class CachedHit:
    """A library, and how many tokens the list has that a look-up of its name would bring."""

    library: CachedLibrary
    list_tokens: int


class LibrarySource(Protocol):
    """Knows libraries by name. A fault of its medium is a miss, never an error."""

    async def find(self, name: str) -> CachedHit | None:
        """Return the library that `name` means beyond doubt, however old the knowledge is."""
        ...

    async def learn(self, name: str, library_id: LibraryId) -> CachedHit:
        """Remember what `name` means, for every client of the source, and return it."""
        ...

    async def used(self, uses: Mapping[str, int]) -> None:
        """Count so many uses of the libraries with these ids."""
        ...

    async def aclose(self) -> None:
        """Let go of the medium; what is called afterwards opens it again."""
        ...


_LIBRARY = TypeAdapter(CachedLibrary)


def library_of(metadata: Mapping[str, Json]) -> CachedLibrary:
    """Return the library that `metadata` tells of, which a name means exactly.

    Raises:
        ValueError: They tell of none.
    """
    library = _LIBRARY.validate_python({**metadata, "relevance_score": 1.0})
    _ = library.verified_at
    return library


def bare_library(name: str, library_id: LibraryId, now: float) -> CachedLibrary:
    """Return a library of which no more is known than that `name` means it, since `now`."""
    return CachedLibrary(
        name_key(name), str(library_id), [], UNKNOWN, shown_moment(now), 1, relevance_score=1.0
    )
