"""A fabric keeps its contract in memory, on disk, and on the Qdrant inside the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.fabric.backends.circuit_breaker import CircuitBreakerBackend
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend
from contracts.backend_contract import Spoil
from contracts.disk_store import execute
from contracts.fabric_contract import FabricContract


class TestInMemoryFabric(FabricContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()


class TestDiskFabric(FabricContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> DiskBackend:
        return DiskBackend(tmp_path)

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Spoil:
        async def spoil(key: str) -> None:
            execute(tmp_path, "UPDATE Cache SET value = 'damaged' WHERE key = ?", key)

        return spoil


class TestQdrantFabric(FabricContract):
    @pytest.fixture
    def backend(self) -> CircuitBreakerBackend:
        return CircuitBreakerBackend(QdrantBackend(":memory:", vector_size=4))
