"""Fabrics that search by meaning, texts to find, and an embedder that counts what it embeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from context7_fabric.embedding import AsyncEmbedder
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend, QdrantVectorIndex
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import Vector, VectorSearch
from context7_fabric.fabric.vector_index_memory import MemoryVectorIndex

TEXTS = {
    "prompt:python": "You are a helpful assistant focused on Python",
    "prompt:cooking": "Season the soup with salt and let it simmer",
    "prompt:garden": "Roses want sun, water and a cut in spring",
    "prompt:tax": "The declaration is due at the end of July",
}
QUESTION = "Python programming help"


class Counting(AsyncEmbedder):
    """The real embedder, which counts the texts that it embeds."""

    embedded = 0

    async def of_texts(self, texts: Sequence[str]) -> list[Vector]:
        self.embedded += len(texts)
        return await super().of_texts(texts)


def on_folder(path: Path, embedder: AsyncEmbedder, at_most: int = 2000) -> Fabric:
    backend = DiskBackend(path)
    return Fabric(backend, searcher=VectorSearch(MemoryVectorIndex(backend), embedder, at_most))


def on_server(url: str, embedder: AsyncEmbedder) -> Fabric:
    backend = QdrantBackend(url)
    return Fabric(backend, searcher=VectorSearch(QdrantVectorIndex(backend), embedder))


async def keys(fabric: Fabric, question: str = QUESTION, limit: int = 5) -> list[str]:
    found = await fabric.search(question, limit=limit)
    assert {match.ranked_by for match in found} <= {"vectors"}
    return [match.key for match in found]


def embedded_by(embedder: Counting) -> int:
    """Return the number of texts embedded; a call, because the type checker narrows attributes."""
    return embedder.embedded
