"""Several changes that are made together: in one round trip, all of them or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from context7_fabric.fabric.backends.base import Put
from context7_fabric.fabric.context import Json, Scope, address
from context7_fabric.fabric.drafts import Drafts


class Pipeline:
    """Collects changes; `execute` makes them. What was not executed is forgotten at the end."""

    def __init__(
        self, drafts: Drafts, write: Callable[[Sequence[Put], Sequence[str]], Awaitable[bool]]
    ) -> None:
        """Prepare changes by `drafts`, to be handed to `write`."""
        self._drafts = drafts
        self._write = write
        self._changes: dict[str, Put | None] = {}

    async def __aenter__(self) -> Self:
        """Return the pipeline itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget what was not executed."""
        self._changes.clear()

    async def set_context(
        self,
        key: str,
        value: Json,
        scope: Scope | str = Scope.GLOBAL,
        metadata: dict[str, Json] | None = None,
        ttl: float | None = None,
        *,
        disposable: bool | None = None,
    ) -> None:
        """Store `value` with the others; arguments and errors as `Fabric.set_context`."""
        put = self._drafts.put(key, value, scope, metadata, ttl, disposable)
        self._change(put.key, put)

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> None:
        """Remove `key` with the others."""
        self._change(address(Scope(scope), key), None)

    async def execute(self) -> bool:
        """Make all changes, and begin anew; tell whether they were made.

        Raises:
            TooManyAuthored: There is no room for them; none was made.
        """
        changes, self._changes = self._changes, {}
        puts = [put for put in changes.values() if put]
        deletes = [key for key, put in changes.items() if put is None]
        return not changes or await self._write(puts, deletes)

    def _change(self, key: str, put: Put | None) -> None:
        self._changes.pop(key, None)  # the last word on a key counts, at its place in the order
        self._changes[key] = put
