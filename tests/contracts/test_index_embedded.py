"""The index inside the worker keeps the contract."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient, models

from context7_fabric.registry.rows import COLLECTION as NAME
from context7_fabric.registry.rows import Row
from context7_fabric.registry.worker.index import Index, QdrantIndex, embedded_index
from context7_fabric.registry.worker.settings import EMBEDDED_ROWS
from contracts.index_contract import (
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
    def index(self) -> Iterator[Index]:
        with warnings.catch_warnings():
            index = embedded_index(COLLECTION, "model", DIMENSION)
            yield index
            index.close()


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_points_have_the_ids_of_their_rows(client: QdrantClient) -> None:
    QdrantIndex(client, COLLECTION, "model", DIMENSION).upsert([HTTPX, REDIS], [EAST, EAST])
    points, _ = client.scroll(NAME)
    assert {point.id for point in points} == {HTTPX.point_id, REDIS.point_id}


def test_a_collection_of_the_same_model_is_kept(client: QdrantClient) -> None:
    QdrantIndex(client, COLLECTION, "model", DIMENSION).upsert([HTTPX], [EAST])
    assert QdrantIndex(client, COLLECTION, "model", DIMENSION).count() == 1


@pytest.mark.parametrize(("name", "dimension"), [("another", DIMENSION), ("model", 3)])
def test_a_collection_of_another_model_is_begun_anew(
    client: QdrantClient, name: str, dimension: int
) -> None:
    QdrantIndex(client, COLLECTION, "model", DIMENSION).upsert([HTTPX], [EAST])
    index = QdrantIndex(client, COLLECTION, name, dimension)
    assert index.count() == 0
    made = vector(*range(1, dimension + 1))
    index.upsert([HTTPX], [made])
    assert index.query(made, 1)[0][0] == HTTPX.key


def test_a_collection_of_somebody_elses_making_is_begun_anew(client: QdrantClient) -> None:
    params = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection(NAME, vectors_config=params)
    assert QdrantIndex(client, COLLECTION, "model", DIMENSION).query(EAST, 1) == []


def test_as_many_rows_as_it_may_hold_come_and_go_without_a_complaint() -> None:
    with warnings.catch_warnings():
        index = embedded_index(COLLECTION, "model", 1)
        rows = [Row(f"row-{number}", "npm") for number in range(EMBEDDED_ROWS + 1)]
        one = vector(1)
        for at in range(0, len(rows), 1_000):
            some = rows[at : at + 1_000]
            index.upsert(some, [one] * len(some))
        index.delete([rows[0].key])
        assert index.count() == EMBEDDED_ROWS
        index.close()
