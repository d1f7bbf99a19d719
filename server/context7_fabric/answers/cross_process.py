"""Single flight over all processes on a store: the holder of the lease fetches, the others wait.

A lease expires by itself and is renewed while its flight is under way, so a process that is killed
blocks the others for no longer than `LEASE_SECONDS`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.leases import Lease, lease_address

LEASE_SECONDS = 5.0
RENEW_EVERY = 2.0

LOOK_EVERY = 0.05
SELDOM = 0.5
"""Seconds between two reads of what another process fetches; `SELDOM` applies where its end is
announced, which leaves the case that it died."""

T = TypeVar("T")


class FlightLeases:
    """Leases of one store for the flights of this process."""

    def __init__(
        self,
        fabric: Fabric,
        tasks: TaskGroup,
        news: ChangeFeed,
        renew_every: float = RENEW_EVERY,
    ) -> None:
        """Renew in `tasks` every so many seconds; `news` announce the end of a flight."""
        self._renew_every = renew_every
        self._fabric = fabric
        self._news = news
        self._tasks = tasks

    async def take(
        self, name: str, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> tuple[Lease | None, T | None]:
        """Take the lease `name`, or wait until `look` finds what its holder has fetched.

        Returns the lease, if we have it, or what was found. After `seconds` of waiting it is
        neither: the caller fetches without a lease then.
        """
        with anyio.move_on_after(seconds), self._news.listen(lease_address(name)) as listener:
            while True:
                listener.take()
                lease = await self._fabric.lease(name, LEASE_SECONDS)
                # Read with the lease held: another flight may have landed just before.
                found = await self._looked(look, lease)
                if found is not None:
                    return None, found
                if lease:
                    return lease, None
                await listener.wait(SELDOM, LOOK_EVERY)
        return None, None

    async def _looked(
        self, look: Callable[[], Awaitable[T | None]], lease: Lease | None
    ) -> T | None:
        """Return what `look` finds; release the `lease`, if we have it, unless it is needed."""
        found, is_needed = None, False
        try:
            found = await look()
            is_needed = found is None
        finally:
            if lease and not is_needed:
                with anyio.CancelScope(shield=True):
                    await lease.release()
        return found

    @asynccontextmanager
    async def held(self, lease: Lease) -> AsyncGenerator[None]:
        """Renew `lease`, which is ours, within the block; then release it."""
        renewing, turn = anyio.CancelScope(), anyio.Lock()
        self._tasks.start_soon(self._renew, lease, renewing, turn)
        try:
            yield
        finally:
            renewing.cancel()
            # A renewal under way ends first: after the release it would restore the lease.
            with anyio.CancelScope(shield=True):
                async with turn:
                    await lease.release()

    async def _renew(self, lease: Lease, scope: anyio.CancelScope, turn: anyio.Lock) -> None:
        """Renew `lease` while it is ours and `scope` lasts, each time in a `turn`."""
        is_ours = True
        with scope:
            while is_ours:
                await anyio.sleep(self._renew_every)
                async with turn:
                    with anyio.CancelScope(shield=True):
                        is_ours = await lease.renew(LEASE_SECONDS)
