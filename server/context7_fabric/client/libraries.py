"""Libraries as the client's users see them, made of what is known about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter

from context7_fabric.answers.library_choice import UNKNOWN, shown_moment
from context7_fabric.client.source import CachedLibrary
from context7_fabric.fabric.context import Json
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import name_key

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
