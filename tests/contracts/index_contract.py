"""Contract of every vector index. A test file supplies the `indexes` fixture.

Vectors are made by hand: four dimensions, so that nearness can be seen.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from context7_fabric.embedding import Vector
from context7_fabric.registry.rows import CollectionPayload, Row, load_collection, row_key
from context7_fabric.suggestions.worker.qdrant_index import RowIndex, RowIndexes

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


ANN, BOB = "key-ann", "key-bob"


def payloads(index: RowIndex) -> dict[str, CollectionPayload]:
    """All payloads, by the keys of their rows."""
    found = list(index.payloads())
    by_key = {row_key(payload): payload for payload in found}
    assert len(by_key) == len(found) == index.count()
    return by_key


def of_rows(*rows: Row) -> Mapping[str, CollectionPayload]:
    """The payloads that an index holding these rows has."""
    return {row.key: COLLECTION.payload(row) for row in rows}


class IndexContract(ABC):
    """Inherit as `TestXIndex` and override `indexes`."""

    @pytest.fixture
    @abstractmethod
    def indexes(self) -> Iterator[RowIndexes]:
        """Give a place without indexes, for vectors of `DIMENSION` dimensions, and close it."""

    @pytest.fixture
    def index(self, indexes: RowIndexes) -> RowIndex:
        """The index of one of several principals."""
        others = indexes.open(BOB)
        others.upsert([HTTPX, REDIS, NO_ECOSYSTEM], [EAST, NORTH, UP])
        return indexes.open(ANN)

    def test_a_new_index_is_empty(self, index: RowIndex) -> None:
        assert index.count() == 0
        assert list(index.payloads()) == []
        assert index.query(EAST, 5) == []

    def test_payloads_are_those_of_the_rows(self, index: RowIndex) -> None:
        rows = (HTTPX, REDIS, REDIS_PY, NO_ECOSYSTEM)
        index.upsert(rows, [EAST, NORTH, UP, NORTH_EAST])
        assert payloads(index) == of_rows(*rows)

    def test_the_nearest_come_first_with_their_cosine(self, index: RowIndex) -> None:
        index.upsert([REDIS, HTTPX, REDIS_PY], [NORTH, EAST, UP])
        near = index.query(vector(2, 1, 0, 0), 2)
        assert [key for key, _ in near] == [HTTPX.key, REDIS.key]
        assert [score for _, score in near] == pytest.approx([2 / 5**0.5, 1 / 5**0.5], abs=1e-5)

    def test_no_more_than_asked_for_are_found(self, index: RowIndex) -> None:
        index.upsert([REDIS, HTTPX, REDIS_PY], [NORTH, EAST, UP])
        assert [len(index.query(EAST, limit)) for limit in (1, 2, 9)] == [1, 2, 3]

    def test_a_row_takes_the_place_of_the_one_with_its_key(self, index: RowIndex) -> None:
        index.upsert([HTTPX, REDIS], [EAST, NORTH])
        changed = replace(HTTPX, aliases=(), last_verified=None, description="", usage_count=8)
        index.upsert([changed], [UP])
        assert payloads(index) == of_rows(changed, REDIS)
        assert index.query(UP, 1)[0][0] == HTTPX.key
        assert dict(index.query(EAST, 5))[HTTPX.key] == pytest.approx(0, abs=1e-5)

    def test_one_name_in_two_ecosystems_is_two_rows(self, index: RowIndex) -> None:
        index.upsert([REDIS, REDIS_PY], [EAST, EAST])
        assert {key for key, _ in index.query(EAST, 5)} == {REDIS.key, REDIS_PY.key}

    def test_a_deleted_row_is_not_found(self, index: RowIndex) -> None:
        index.upsert([HTTPX, REDIS], [EAST, NORTH])
        index.delete([HTTPX.key])
        assert payloads(index) == of_rows(REDIS)
        assert [key for key, _ in index.query(EAST, 5)] == [REDIS.key]

    def test_what_is_not_there_can_be_deleted(self, index: RowIndex) -> None:
        index.upsert([HTTPX], [EAST])
        index.delete([REDIS.key, "lib-pypi-ключ"])
        index.delete([])
        assert payloads(index) == of_rows(HTTPX)

    def test_a_deleted_row_can_come_back(self, index: RowIndex) -> None:
        index.upsert([HTTPX], [EAST])
        index.delete([HTTPX.key])
        index.upsert([HTTPX], [NORTH])
        assert payloads(index) == of_rows(HTTPX)
        assert dict(index.query(NORTH, 1)) == pytest.approx({HTTPX.key: 1}, abs=1e-5)

    def test_no_rows_are_taken_in_as_nothing(self, index: RowIndex) -> None:
        index.upsert([], [])
        assert index.count() == 0

    def test_more_rows_than_a_page_are_all_given(self, index: RowIndex) -> None:
        rows = [Row(f"row-{number}", "npm") for number in range(600)]
        index.upsert(rows, [EAST] * len(rows))
        assert payloads(index) == of_rows(*rows)

    def test_what_one_principal_has_no_other_finds(self, indexes: RowIndexes) -> None:
        ann, bob = indexes.open(ANN), indexes.open(BOB)
        ann.upsert([HTTPX, REDIS], [EAST, EAST])
        bob.upsert([changed := replace(REDIS, description="another one")], [NORTH])
        assert payloads(ann) == of_rows(HTTPX, REDIS)
        assert payloads(bob) == of_rows(changed)
        near = {HTTPX.key: 1, REDIS.key: 1}
        assert dict(ann.query(EAST, 5)) == pytest.approx(near, abs=1e-5)
        assert dict(bob.query(EAST, 5)) == pytest.approx({REDIS.key: 0}, abs=1e-5)

    def test_what_one_principal_deletes_the_others_keep(self, indexes: RowIndexes) -> None:
        ann, bob = indexes.open(ANN), indexes.open(BOB)
        for index in (ann, bob):
            index.upsert([HTTPX, REDIS], [EAST, NORTH])
        ann.delete([HTTPX.key])
        assert payloads(ann) == of_rows(REDIS)
        assert payloads(bob) == of_rows(HTTPX, REDIS)

    def test_a_released_index_leaves_the_others_and_can_be_opened_again(
        self, indexes: RowIndexes
    ) -> None:
        ann, bob = indexes.open(ANN), indexes.open(BOB)
        for index in (ann, bob):
            index.upsert([HTTPX], [EAST])
        indexes.release(ANN)
        assert payloads(bob) == of_rows(HTTPX)
        again = indexes.open(ANN)
        again.upsert([REDIS], [NORTH])
        assert REDIS.key in payloads(again)
        assert payloads(bob) == of_rows(HTTPX)

    def test_what_is_not_open_can_be_released(self, indexes: RowIndexes) -> None:
        indexes.release("key-unknown")

    @pytest.mark.parametrize("seed", range(5))
    def test_whatever_principals_do_each_has_its_own_rows(
        self, indexes: RowIndexes, seed: int
    ) -> None:
        chance = random.Random(seed)  # noqa: S311  # a test's choices
        opened = {name: indexes.open(name) for name in (ANN, BOB, "public")}
        held: dict[str, dict[str, Row]] = {name: {} for name in opened}
        for used in range(60):
            name = chance.choice(list(opened))
            row = replace(chance.choice((HTTPX, REDIS, REDIS_PY, NO_ECOSYSTEM)), usage_count=used)
            if chance.random() < 0.7:
                opened[name].upsert([row], [chance.choice((EAST, NORTH, UP))])
                held[name][row.key] = row
            else:
                opened[name].delete([row.key])
                held[name].pop(row.key, None)
            for each, index in opened.items():
                assert payloads(index) == of_rows(*held[each].values())
                assert {key for key, _ in index.query(NORTH_EAST, 9)} == set(held[each])
