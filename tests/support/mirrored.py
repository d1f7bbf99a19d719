"""An index that mirrors rows, with the worker's side of it in this process.

That side is the real one, with the real model; what goes between the two is encoded and decoded as
it is on the wire.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel

from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import CollectionPayload, Row, row_key
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import IndexSync
from context7_fabric.suggestions.worker.qdrant_index import RowIndex
from context7_fabric.suggestions.worker.requests import WorkerSession
from context7_fabric.suggestions.worker.wire import LineTooLong, Message, decode, encode
from support.model import model_path
from support.suggesting import Stored


class Direct:
    """The worker's side in this process."""

    def __init__(self) -> None:
        settings = SuggestionSettings(Path("/nowhere"), model_path=model_path())
        self.session = WorkerSession()
        self.model = str(self._answer("hello", **settings.hello())["model"])
        self.made = 0
        self.ended = anyio.Event()

    async def request(self, do: str, seconds: float, **details: object) -> Message | None:
        await anyio.lowlevel.checkpoint()
        try:
            message = self._answer(do, **details)
        except LineTooLong as error:
            return {"error": str(error)}
        self.made += len(message.get("vectors", ()))
        return message

    def end(self) -> None:
        self.ended.set()

    def index(self, principal: str = PUBLIC) -> RowIndex:
        return self.session._open[principal].index

    def payloads(self, principal: str) -> dict[str, CollectionPayload]:
        return {row_key(payload): payload for payload in self.index(principal).payloads()}

    def _answer(self, do: str, **details: object) -> Message:
        _, reply = self.session.answer(encode({"do": do, **details}).rstrip())
        return decode(reply)


class Registry:
    """Rows, and the index that mirrors them."""

    def __init__(
        self,
        worker: Direct,
        stored: Stored,
        most_rows: int | None,
        *rows: Row,
        principal: str = PUBLIC,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.mirror = IndexSync(principal, self.rows.get, stored, most_rows)
        self.worker = worker
        self._settled = anyio.Event()
        self.put(*rows)

    def put(self, *rows: Row) -> None:
        for row in rows:
            self.rows[row.key] = row
            self.mirror.put(row)

    def remove(self, key: str) -> None:
        self.rows.pop(key, None)
        self.mirror.remove(key)

    async def keep(self) -> None:
        await self.mirror.keep(self.worker, self.worker.model, self._tell)

    def _tell(self) -> None:
        self._settled.set()

    async def settled(self) -> dict[str, CollectionPayload]:
        """What the index holds once it is in step."""
        while not self.mirror.settled:
            self._settled = anyio.Event()
            await self._settled.wait()
        return self.worker.payloads(self.mirror.principal)


async def filled(registry: Registry) -> dict[str, CollectionPayload]:
    """What an index holds that was filled and let go of."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.keep)
        held = await registry.settled()
        tasks.cancel_scope.cancel()
    return held
