"""Stand-ins below and beside the fabric: a clock that stands still, backends that fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backends.memory import MemoryBackend

NOON = 1_700_000_000.0


class FakeClock:
    """Tells the time that it was set to."""

    now = NOON

    def __call__(self) -> float:
        return self.now


class Broken:
    """A backend whose medium says no."""

    error: StoreError = StoreUnavailable("any", "disk full")

    async def get(self, key: str) -> bytes | None:
        raise self.error

    async def put(self, key: str, value: bytes, *, expires_in: float | None = None) -> None:
        raise self.error

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        raise self.error

    async def delete(self, key: str) -> bool:
        raise self.error

    async def keys(self, prefix: str) -> list[str]:
        raise self.error

    async def items(self, prefix: str) -> list[tuple[str, bytes]]:
        raise self.error

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        raise self.error

    async def put_many(self, entries: Mapping[str, bytes]) -> None:
        raise self.error

    async def aclose(self) -> None:
        """Do nothing."""


class Illegible(MemoryBackend):
    """A backend that lists its entries and cannot read them."""

    async def get(self, key: str) -> bytes | None:
        raise StoreUnavailable("get", "busy")
