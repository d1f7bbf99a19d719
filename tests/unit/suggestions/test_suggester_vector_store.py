"""Vectors in the fabric: kept by model and row, and what is damaged is as good as none."""

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.suggestions.suggester import StoredRowVectors
from unit.fabric.fakes import FakeClock


async def test_what_was_saved_is_loaded_by_its_rows_and_model() -> None:
    async with Fabric(MemoryBackend(), FakeClock()) as fabric:
        vectors = StoredRowVectors(fabric, "model")
        await vectors.save({"lib-npm-a": b"\x00\x01", "lib-npm-b": b"\xff"})
        assert await vectors.load(["lib-npm-a", "never"]) == {"lib-npm-a": b"\x00\x01"}
        assert await StoredRowVectors(fabric, "other model").load(["lib-npm-a"]) == {}
        await vectors.save({})


async def test_what_is_no_vector_is_left_out() -> None:
    async with Fabric(MemoryBackend(), FakeClock()) as fabric:
        vectors = StoredRowVectors(fabric, "model")
        await vectors.save({"a": b"1", "b": b"2"})
        keys = [context.key for context in await fabric.query("vector:*")]
        await fabric.set_context(keys[0], "not base64!")
        await fabric.set_context(keys[1], 7)
        assert await vectors.load(["a", "b"]) == {}
