"""Vectors kept in the fabric's own backend, outside its scopes, so that none is made twice.

The key names the model and the context, the value the write of the context that the vector was made
from. They are disposable: what is lost is made again.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from context7_fabric.fabric.backends.base import Backend, Put
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.embedding import Vector
from context7_fabric.fabric.vectors import Embedded

FORMAT = 1


class Stored(NamedTuple):
    """A vector, and which write of its context it was made from."""

    version: int
    at: float
    vector: Vector


class StoredVectors:
    """The vectors of one model for one scope; every method raises what the backend raises."""

    def __init__(self, backend: Backend, scope: Scope, model: str, size: int) -> None:
        """Keep vectors of `size` numbers in `backend`."""
        self._backend = backend
        self._start = f"vector/{model}/{scope}/"
        self._size = size

    async def of(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Return what is kept for the contexts `keys`, as far as it can be read."""
        entries = await self._backend.get_many([self._start + key for key in keys])
        found = {entry.key: _decoded(entry.value, self._size) for entry in entries}
        return {key.removeprefix(self._start): each for key, each in found.items() if each}

    async def keep(self, embedded: Sequence[Embedded]) -> None:
        """Keep the vectors of contexts, for as long as these live."""
        await self._backend.write([self._put(each) for each in embedded])

    async def keys(self) -> set[str]:
        """Return the contexts whose vectors are kept."""
        return {key.removeprefix(self._start) for key in await self._backend.keys(self._start)}

    async def remove(self, keys: Collection[str]) -> None:
        """Remove the vectors of the contexts `keys`."""
        if keys:
            await self._backend.write([], [self._start + key for key in keys])

    def _put(self, embedded: Embedded) -> Put:
        context, vector = embedded
        value = _encoded(Stored(context.version, context.created_at, vector))
        until = context.expires_at
        left = None if until is None else until - context.created_at
        return Put(self._start + context.key, value, context.created_at, left)


def _encoded(stored: Stored) -> bytes:
    numbers = b64encode(array("f", stored.vector).tobytes()).decode()
    record = {"format": FORMAT, "version": stored.version, "at": stored.at, "vector": numbers}
    return json.dumps(record).encode()


def _decoded(data: bytes, size: int) -> Stored | None:
    """Return the vector in `data`, None when it is none of ours with `size` numbers."""
    try:
        record: Mapping[str, object] = json.loads(data)
        if record["format"] != FORMAT:
            return None
        vector = array("f", b64decode(str(record["vector"]), validate=True)).tolist()
        stored = Stored(int(str(record["version"])), float(str(record["at"])), vector)
    except (KeyError, TypeError, ValueError):
        return None
    return stored if len(vector) == size else None
