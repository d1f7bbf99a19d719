"""A Qdrant server keeps the contract too: run where QDRANT_URL names one.

QDRANT_API_KEY is its key. The tests use a collection of their own, and remove it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient, models

from context7_fabric.registry.rows import CollectionSchema
from context7_fabric.suggestions.worker.qdrant_index import PRINCIPAL, RowIndexes, server_indexes
from contracts.index_contract import COLLECTION, DIMENSION, IndexContract

URL = os.environ.get("QDRANT_URL", "")
KEY = os.environ.get("QDRANT_API_KEY") or None

pytestmark = pytest.mark.skipif(not URL, reason="QDRANT_URL names no Qdrant server")


@pytest.fixture
def collection() -> Iterator[CollectionSchema]:
    """A collection like ours under an unused name."""
    collection = replace(COLLECTION, name=f"{COLLECTION.name}_{uuid4().hex}")
    yield collection
    client = QdrantClient(url=URL, api_key=KEY, check_compatibility=False)
    client.delete_collection(collection.name)
    client.close()


class TestServerIndex(IndexContract):
    @pytest.fixture
    def indexes(self, collection: CollectionSchema) -> Iterator[RowIndexes]:
        indexes = server_indexes(URL, KEY, collection, "model", DIMENSION)
        yield indexes
        indexes.close()


def test_the_server_keeps_the_declared_keyword_indexes(collection: CollectionSchema) -> None:
    server_indexes(URL, KEY, collection, "model", DIMENSION).close()
    client = QdrantClient(url=URL, api_key=KEY, check_compatibility=False)
    schema = client.get_collection(collection.name).payload_schema
    client.close()
    assert {name: kept.data_type for name, kept in schema.items()} == dict.fromkeys(
        (*collection.indexes, PRINCIPAL), models.PayloadSchemaType.KEYWORD
    )
