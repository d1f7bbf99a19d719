"""Stand-ins below and beside the fabric: a clock that stands still, backends that fail."""

from __future__ import annotations

from collections.abc import Sequence

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, EntryPosition, WriteRequest
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

    async def get(self, key: str) -> BackendEntry | None:
        raise self.error

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        raise self.error

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        raise self.error

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        raise self.error

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        raise self.error

    async def delete(self, key: str) -> bool:
        raise self.error

    async def keys(self, prefix: str) -> list[str]:
        raise self.error

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        raise self.error

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        raise self.error

    def info(self) -> dict[str, object]:
        raise self.error

    def dbsize(self, prefix: str = "") -> int:
        raise self.error

    async def aclose(self) -> None:
        """Do nothing."""


class Illegible(MemoryBackend):
    """A backend that lists its entries and cannot read them."""

    async def get(self, key: str) -> BackendEntry | None:
        raise StoreUnavailable("get", "busy")


async def scanned(fabric: Fabric, prefix: str, scope: str = "GLOBAL") -> list[Context]:
    """Return every page of a scan in one."""
    return [context async for page in fabric.scan(prefix, scope) for context in page]
