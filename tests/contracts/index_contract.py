"""What every vector index must do. An index's test file supplies the `index` fixture.

Vectors are made by hand: four dimensions, so that nearness can be seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from context7_fabric.registry.collections import Payload, load_collection, row_key
from context7_fabric.registry.rows import Row
from context7_fabric.registry.worker.embedder import Vector
from context7_fabric.registry.worker.index import Index

DIMENSION = 4
COLLECTION = load_collection()


def vector(*numbers: float) -> Vector:
    """A vector of length one in this direction."""
    made = np.array(numbers, dtype=np.float32)
    return np.asarray(made / np.linalg.norm(made), dtype=np.float32)


EAST, NORTH, UP = vector(1, 0, 0, 0), vector(0, 1, 0, 0), vector(0, 0, 1, 0)
NORTH_EAST = vector(1, 1, 0, 0)

HTTPX = Row(
    "httpx",
    "pypi",
    id="/encode/httpx",
    aliases=("http-x",),
    category="web",
    title="HTTPX",
    description="An HTTP client, “fully featured”",
    versions=("1.0",),
    last_verified=1_700_000_000.25,
    usage_count=7,
    source="context7",
)
REDIS = Row("redis", "npm", category="databases")
REDIS_PY = Row("redis", "pypi", category="databases")
NO_ECOSYSTEM = Row("org/project", "")


def payloads(index: Index) -> dict[str, Payload]:
    """All payloads, by the keys of their rows."""
    found = list(index.payloads())
    by_key = {row_key(payload): payload for payload in found}
    assert len(by_key) == len(found) == index.count()
    return by_key


def of_rows(*rows: Row) -> Mapping[str, Payload]:
    """The payloads that an index holding these rows has."""
    return {row.key: COLLECTION.payload(row) for row in rows}


class IndexContract(ABC):
    """Inherit as `TestXIndex` and override `index`."""

    @pytest.fixture
    @abstractmethod
    def index(self) -> Iterator[Index]:
        """Give an empty index of `DIMENSION` dimensions, and close it."""

    def test_a_new_index_is_empty(self, index: Index) -> None:
        assert index.count() == 0
        assert list(index.payloads()) == []
        assert index.query(EAST, 5) == []

    def test_payloads_are_those_of_the_rows(self, index: Index) -> None:
        rows = (HTTPX, REDIS, REDIS_PY, NO_ECOSYSTEM)
        index.upsert(rows, [EAST, NORTH, UP, NORTH_EAST])
        assert payloads(index) == of_rows(*rows)

    def test_the_nearest_come_first_with_their_cosine(self, index: Index) -> None:
        index.upsert([REDIS, HTTPX, REDIS_PY], [NORTH, EAST, UP])
        near = index.query(vector(2, 1, 0, 0), 2)
        assert [key for key, _ in near] == [HTTPX.key, REDIS.key]
        assert [score for _, score in near] == pytest.approx([2 / 5**0.5, 1 / 5**0.5], abs=1e-5)

    def test_no_more_than_asked_for_are_found(self, index: Index) -> None:
        index.upsert([REDIS, HTTPX, REDIS_PY], [NORTH, EAST, UP])
        assert [len(index.query(EAST, limit)) for limit in (1, 2, 9)] == [1, 2, 3]

    def test_a_row_takes_the_place_of_the_one_with_its_key(self, index: Index) -> None:
        index.upsert([HTTPX, REDIS], [EAST, NORTH])
        changed = replace(HTTPX, aliases=(), last_verified=None, description="", usage_count=8)
        index.upsert([changed], [UP])
        assert payloads(index) == of_rows(changed, REDIS)
        assert index.query(UP, 1)[0][0] == HTTPX.key
        assert dict(index.query(EAST, 5))[HTTPX.key] == pytest.approx(0, abs=1e-5)

    def test_one_name_in_two_ecosystems_is_two_rows(self, index: Index) -> None:
        index.upsert([REDIS, REDIS_PY], [EAST, EAST])
        assert {key for key, _ in index.query(EAST, 5)} == {REDIS.key, REDIS_PY.key}

    def test_a_deleted_row_is_not_found(self, index: Index) -> None:
        index.upsert([HTTPX, REDIS], [EAST, NORTH])
        index.delete([HTTPX.key])
        assert payloads(index) == of_rows(REDIS)
        assert [key for key, _ in index.query(EAST, 5)] == [REDIS.key]

    def test_what_is_not_there_can_be_deleted(self, index: Index) -> None:
        index.upsert([HTTPX], [EAST])
        index.delete([REDIS.key, "lib-pypi-ключ"])
        index.delete([])
        assert payloads(index) == of_rows(HTTPX)

    def test_a_deleted_row_can_come_back(self, index: Index) -> None:
        index.upsert([HTTPX], [EAST])
        index.delete([HTTPX.key])
        index.upsert([HTTPX], [NORTH])
        assert payloads(index) == of_rows(HTTPX)
        assert dict(index.query(NORTH, 1)) == pytest.approx({HTTPX.key: 1}, abs=1e-5)

    def test_no_rows_are_taken_in_as_nothing(self, index: Index) -> None:
        index.upsert([], [])
        assert index.count() == 0

    def test_more_rows_than_a_page_are_all_given(self, index: Index) -> None:
        rows = [Row(f"row-{number}", "npm") for number in range(600)]
        index.upsert(rows, [EAST] * len(rows))
        assert payloads(index) == of_rows(*rows)
