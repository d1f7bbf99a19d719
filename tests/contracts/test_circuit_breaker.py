"""A backend that is guarded keeps the contract of the one behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.fabric.backends.circuit_breaker import CircuitBreakerBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from contracts.backend_contract import BackendContract


class TestCircuitBreakerBackend(BackendContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[CircuitBreakerBackend]:
        backend = CircuitBreakerBackend(MemoryBackend())
        yield backend
        await backend.aclose()
