"""Vectors that lie with their entries on a Qdrant server, which finds by them."""

from __future__ import annotations

from collections.abc import Sequence

from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.search import ContextWrite, EmbeddedContext, Vector, VectorHit


class QdrantVectorIndex:
    """A `VectorIndex` of the contexts in a `QdrantBackend`, for all who share its server."""

    def __init__(self, backend: QdrantBackend) -> None:
        """Index `backend`, which is not closed here."""
        self._backend = backend

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Return the newest writes whose points are not marked as shown to `model`."""
        below = address(scope, "")
        found = await self._backend.ask(
            "search", lambda collection: collection.vectors.lacking(below, model, limit)
        )
        return [
            ContextWrite(str(each["key"]).removeprefix(below), str(each["written"]))
            for each in found
        ]

    async def take(
        self,
        scope: Scope,
        model: str,
        shown: Sequence[ContextWrite],
        embedded: Sequence[EmbeddedContext],
    ) -> None:
        """Give vectors to points; one whose entry was overwritten meanwhile is not marked."""
        writes = {address(scope, write.key): write.token for write in shown}
        vectors = {address(scope, each.context.key): each.vector for each in embedded}
        await self._backend.ask(
            "put", lambda collection: collection.vectors.give(writes, vectors, model)
        )

    async def nearest(
        self, scope: Scope, model: str, vector: Vector, limit: int
    ) -> list[VectorHit]:
        """Return the nearest points of `scope`."""
        below = address(scope, "")
        found = await self._backend.ask(
            "search", lambda collection: collection.vectors.nearest(below, model, vector, limit)
        )
        return [
            VectorHit(str(each["key"]).removeprefix(below), each["version"], each["at"], cosine)
            for each, cosine in found
        ]

    async def aclose(self) -> None:
        """Do nothing: the backend is closed by its owner."""
