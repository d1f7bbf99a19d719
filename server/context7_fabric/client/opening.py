"""The store of this machine's home, and what the client reads in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from anyio import from_thread

from context7_fabric.client.list_sizes import ListSizes
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.home import open_store, read_principal
from context7_fabric.models import Clock
from context7_fabric.registry.learned import Learned
from context7_fabric.registry.registry import STEP_SECONDS, Registry
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.registry.store import Revision, RowStore
from context7_fabric.settings import Settings


@dataclass(slots=True)
class Opened:
    """What is open; `looked_at` is when the store was last looked at for changed rows."""

    fabric: Fabric
    principal: str
    rows: RowStore
    registry: Registry
    learned: Learned
    lists: ListSizes
    looked_at: float = float("-inf")
    revision: Revision | None = None

    async def keep_in_step(self) -> None:
        """Read the rows, and now and then again when any process has changed some."""
        if time.monotonic() < self.looked_at + STEP_SECONDS:
            return
        revision = await self.rows.revision()
        if revision != self.revision or not self.registry.loaded.is_set():
            await self.registry.load()
            self.lists.forget_mean()
        self.revision, self.looked_at = revision, time.monotonic()


def open_home(settings: Settings, clock: Clock) -> Opened:
    """Open the store that `settings` name, as the server does; blocks a thread of anyio's.

    Where it cannot be used, nothing is remembered past this process, which the log says once.
    """
    fabric = open_store(settings, clock)
    principal = from_thread.run(read_principal, settings, fabric)
    rows = RowStore(fabric, principal)
    registry = Registry(rows, partial(load_seeds, settings.seed_file), clock)
    lists = ListSizes(fabric, principal)
    return Opened(fabric, principal, rows, registry, Learned(fabric), lists)
