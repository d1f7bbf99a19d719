"""Stand-ins below and beside the fabric: a clock that stands still, backends that fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backends.base import Item
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context
from context7_fabric.fabric.fabric import Fabric

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

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
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


async def scanned(fabric: Fabric, prefix: str, scope: str = "GLOBAL") -> list[Context]:
    """Return every page of a scan in one."""
    return [context async for page in fabric.scan(prefix, scope) for context in page]
