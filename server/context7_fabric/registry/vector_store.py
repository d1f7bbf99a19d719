"""Vectors beside the rows in the fabric, so that an index is rebuilt without embedding again."""

from __future__ import annotations

import base64
from binascii import Error
from collections.abc import Mapping, Sequence
from hashlib import sha256

from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric


class FabricVectors:
    """The stored vectors of one embedding model, by row key."""

    def __init__(self, fabric: Fabric, model: str) -> None:
        """Keep the vectors of `model` in `fabric`'s GLOBAL scope."""
        self._fabric = fabric
        self._prefix = f"vector:{sha256(model.encode()).hexdigest()[:12]}:"

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the stored vectors of the rows `keys`, as far as there are any."""
        found = await self._fabric.get_many([self._prefix + key for key in keys])
        vectors = {each.key.removeprefix(self._prefix): _bytes(each.value) for each in found}
        return {key: vector for key, vector in vectors.items() if vector}

    async def save(self, vectors: Mapping[str, bytes]) -> None:
        """Store `vectors`, all or none."""
        values: dict[str, Json] = {
            self._prefix + key: base64.b64encode(vector).decode() for key, vector in vectors.items()
        }
        if values:
            await self._fabric.set_many(values)


def _bytes(value: Json) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except Error:
        return b""
