"""The indexes inside the worker keep the contract, and so does a collection that all share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient, models

from context7_fabric.registry.rows import COLLECTION as NAME
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import EMBEDDED_ROWS
from context7_fabric.suggestions.worker.qdrant_index import (
    PRINCIPAL,
    EmbeddedIndexes,
    RowIndex,
    RowIndexes,
    SharedIndexes,
    prepare,
)
from contracts.index_contract import (
    ANN,
    BOB,
    COLLECTION,
    DIMENSION,
    EAST,
    HTTPX,
    REDIS,
    IndexContract,
    vector,
)


class TestEmbeddedIndex(IndexContract):
    @pytest.fixture
    def indexes(self) -> Iterator[RowIndexes]:
        with warnings.catch_warnings():
            indexes = EmbeddedIndexes(COLLECTION, "model", DIMENSION)
            yield indexes
            indexes.close()


class TestSharedIndex(IndexContract):
    """As on a Qdrant server, but for the wire."""

    @pytest.fixture
    def indexes(self) -> Iterator[RowIndexes]:
        indexes = SharedIndexes(QdrantClient(":memory:"), COLLECTION, "model", DIMENSION)
        yield indexes
        indexes.close()


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def prepared(client: QdrantClient, model: str = "model", dimension: int = DIMENSION) -> RowIndex:
    """The index that is the whole of a collection."""
    prepare(client, COLLECTION, model, dimension)
    return RowIndex(client, COLLECTION, model)


def test_points_have_the_ids_of_their_rows(client: QdrantClient) -> None:
    prepared(client).upsert([HTTPX, REDIS], [EAST, EAST])
    points, _ = client.scroll(NAME)
    assert {point.id for point in points} == {HTTPX.point_id, REDIS.point_id}


def test_a_collection_of_the_same_model_is_kept(client: QdrantClient) -> None:
    prepared(client).upsert([HTTPX], [EAST])
    assert prepared(client).count() == 1


def test_a_shared_collection_is_kept_as_others_left_it(client: QdrantClient) -> None:
    SharedIndexes(client, COLLECTION, "model", DIMENSION).open(ANN).upsert([HTTPX], [EAST])
    later = SharedIndexes(client, COLLECTION, "model", DIMENSION)
    assert [later.open(name).count() for name in (ANN, BOB)] == [1, 0]


def test_points_that_do_not_say_whose_they_are_leave_a_shared_collection(
    client: QdrantClient,
) -> None:
    prepared(client).upsert([HTTPX, REDIS], [EAST, EAST])
    SharedIndexes(client, COLLECTION, "model", DIMENSION).open(ANN).upsert([REDIS], [EAST])
    SharedIndexes(client, COLLECTION, "model", DIMENSION)
    points, _ = client.scroll(NAME)
    assert [(point.payload or {})[PRINCIPAL] for point in points] == [ANN]


@pytest.mark.parametrize(("name", "dimension"), [("another", DIMENSION), ("model", 3)])
def test_a_collection_of_another_model_is_begun_anew(
    client: QdrantClient, name: str, dimension: int
) -> None:
    prepared(client).upsert([HTTPX], [EAST])
    index = prepared(client, name, dimension)
    assert index.count() == 0
    made = vector(*range(1, dimension + 1))
    index.upsert([HTTPX], [made])
    assert index.query(made, 1)[0][0] == HTTPX.key


def test_a_foreign_collection_is_replaced(client: QdrantClient) -> None:
    params = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection(NAME, vectors_config=params)
    assert prepared(client).query(EAST, 1) == []


def test_as_many_rows_as_it_may_hold_come_and_go_without_a_complaint() -> None:
    with warnings.catch_warnings():
        indexes = EmbeddedIndexes(COLLECTION, "model", 1)
        index = indexes.open(ANN)
        rows = [Row(f"row-{number}", "npm") for number in range(EMBEDDED_ROWS + 1)]
        one = vector(1)
        for at in range(0, len(rows), 1_000):
            some = rows[at : at + 1_000]
            index.upsert(some, [one] * len(some))
        index.delete([rows[0].key])
        assert index.count() == EMBEDDED_ROWS
        indexes.close()
