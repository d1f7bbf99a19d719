"""The backend on Qdrant keeps the contract: inside the client, over HTTP, and on a server.

A server is used where QDRANT_URL names one, with QDRANT_API_KEY as its key; the tests make a
collection of their own there, and remove it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient, models

from context7_fabric.errors import CorruptEntry, StoreUnavailable, TooManyAuthored
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend
from context7_fabric.fabric.backends.qdrant.collection import point_id
from contracts.backend_contract import BackendContract, Spoil
from contracts.entries import PAST, got, put, put_many
from support.qdrant_rest import Rest, qdrant_rest
from support.upstreams import free_port

URL = os.environ.get("QDRANT_URL", "")
KEY = os.environ.get("QDRANT_API_KEY") or None


class QdrantContract(BackendContract):
    @pytest.fixture
    def spoil(self, backend: QdrantBackend) -> Spoil:
        async def spoil(key: str) -> None:
            await backend.run(
                "spoil",
                lambda collection: collection._client.set_payload(
                    collection._name, {"value": 7}, [point_id(key)]
                ),
            )

        return spoil


class TestEmbeddedQdrant(QdrantContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[QdrantBackend]:
        backend = QdrantBackend(":memory:", vector_size=4)
        yield backend
        await backend.aclose()


@pytest.fixture
def rest() -> Iterator[Rest]:
    with qdrant_rest() as rest:
        yield rest


class TestQdrantOverHttp(QdrantContract):
    @pytest.fixture
    async def backend(self, rest: Rest) -> AsyncIterator[QdrantBackend]:
        backend = QdrantBackend(rest.url, vector_size=4)
        yield backend
        await backend.aclose()

    @pytest.fixture
    def spoil(self, rest: Rest) -> Spoil:
        async def spoil(key: str) -> None:
            rest.held.set_payload("contexts", {"value": 7}, [point_id(key)])

        return spoil

    async def test_several_changes_are_one_request_that_reads_and_one_that_writes(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "old", b"")
        del rest.asked[:]
        await backend.write([WriteRequest(f"{number}", b"") for number in range(300)], ["old"])
        assert rest.asked == ["POST points", "POST points batch"]

    async def test_a_swap_is_one_request_that_reads_and_one_that_writes(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "key", b"old")
        del rest.asked[:]
        assert not await backend.swap("key", b"other", b"new")
        assert await backend.swap("key", b"old", b"new")
        assert await backend.swap("key", b"new", None)
        assert rest.asked == ["POST points", *["POST points", "POST points batch"] * 2]

    async def test_what_has_ended_is_removed_when_something_is_written(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "past", b"", expires_in=PAST)
        assert rest.held.count("contexts").count == 1
        other = QdrantBackend(rest.url, vector_size=4)
        await put(other, "new", b"")
        await other.aclose()
        assert rest.held.count("contexts").count == 1
        assert await backend.keys("") == ["new"]

    async def test_a_payload_is_the_entry_in_plain_json(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await backend.write([WriteRequest("GLOBAL/key", "wörds".encode(), at=3, disposable=False)])
        (record,) = rest.held.retrieve("contexts", [point_id("GLOBAL/key")])
        payload = record.payload or {}
        assert len(payload.pop("written")) == 32
        assert payload == {
            "key": "GLOBAL/key",
            "scope": "GLOBAL",
            "at": 3.0,
            "value": "wörds",
            "size": 6,
            "version": 1,
            "expires_at": None,
            "disposable": False,
        }

    async def test_points_of_others_in_the_collection_are_left_alone(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "ours", b"")
        theirs = models.PointStruct(id=7, payload={"expires_at": 1.0}, vector={})
        rest.held.upsert("contexts", [theirs])
        assert (await backend.keys(""), backend.dbsize()) == (["ours"], 1)
        other = QdrantBackend(rest.url, vector_size=4)  # its first write sweeps
        await put(other, "ours", b"again")
        await other.aclose()
        assert rest.held.count("contexts").count == 2

    @pytest.mark.parametrize(
        "spoiled", [{"version": "2"}, {"value": None}, {"value": "%", "base64": True}], ids=str
    )
    async def test_a_payload_that_is_no_entry_is_corrupt(
        self, rest: Rest, backend: QdrantBackend, spoiled: dict[str, object]
    ) -> None:
        await put(backend, "key", b"value")
        rest.held.set_payload("contexts", spoiled, [point_id("key")])
        with pytest.raises(CorruptEntry, match="'key'"):
            await backend.get("key")
        await put(backend, "key", b"again")
        assert await got(backend, "key") == b"again"

    async def test_a_collection_that_was_deleted_is_made_anew(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "key", b"1")
        rest.held.delete_collection("contexts")
        with pytest.raises(StoreUnavailable, match="404"):
            await backend.get("key")
        await put(backend, "key", b"2")
        assert await got(backend, "key") == b"2"

    async def test_a_collection_for_another_vector_size_is_refused_with_advice(
        self, rest: Rest, backend: QdrantBackend
    ) -> None:
        await put(backend, "key", b"")
        other = QdrantBackend(rest.url, vector_size=5)
        with pytest.raises(StoreUnavailable, match=r"'contexts' .* size 4.*size 5: name another"):
            await other.get("key")
        await other.aclose()

    @pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
    async def test_the_key_to_the_server_is_in_no_error(self, rest: Rest) -> None:
        backend = QdrantBackend(rest.url, api_key="no\nheader")
        with pytest.raises(StoreUnavailable, match="Illegal header value") as refused:
            await backend.get("key")
        assert "header" not in str(refused.value).replace("header value", "")
        await backend.aclose()

    async def test_a_full_share_of_authored_entries_refuses_another(self, rest: Rest) -> None:
        backend = QdrantBackend(rest.url, vector_size=4, authored_limit=2)
        await backend.write(
            [WriteRequest("1", b"", disposable=False), WriteRequest("2", b"", disposable=False)]
        )
        await backend.write([WriteRequest("1", b"again", disposable=False)])
        await put(backend, "any", b"")
        with pytest.raises(TooManyAuthored, match="holds 2 entries"):
            await backend.write([WriteRequest("3", b"", disposable=False)])
        assert await got(backend, "3") is None
        await backend.aclose()


async def test_a_server_that_is_not_there_raises_store_unavailable() -> None:
    backend = QdrantBackend(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable, match="get failed: "):
        await backend.get("key")
    with pytest.raises(StoreUnavailable, match="put failed: "):
        await put_many(backend, {"key": b""})
    await backend.aclose()


@pytest.mark.skipif(not URL, reason="QDRANT_URL names no Qdrant server")
class TestQdrantServer(QdrantContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[QdrantBackend]:
        name = f"contexts_{uuid4().hex}"
        backend = QdrantBackend(URL, name, vector_size=4, api_key=KEY)
        yield backend
        await backend.aclose()
        client = QdrantClient(url=URL, api_key=KEY, check_compatibility=False)
        client.delete_collection(name)
        client.close()
