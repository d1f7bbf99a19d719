"""What the worker does with each request: a table of verbs over a model and an index.

One request at a time, in order. A request that cannot be done is answered with its error; none
ends the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from context7_fabric.registry.collections import load_collection, row_key
from context7_fabric.registry.worker import embedder
from context7_fabric.registry.worker.embedder import Embedder, ModelMissing, Vector
from context7_fabric.registry.worker.index import Index, embedded_index, server_index
from context7_fabric.registry.worker.wire import (
    Message,
    decode,
    encode,
    row_from_wire,
    vector_from_wire,
    vector_to_wire,
)

log = logging.getLogger(__name__)

WORN = 5_000
"""After so many removals an embedded index is begun anew: it keeps the room of removed points."""


class Session:
    """The model and the index of one worker, from the first `hello` on."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._index: Index | None = None
        self._embedded = True
        self._filling: set[str] | None = None
        self._removed = 0
        self._verbs: dict[str, Callable[[Message], Message]] = {
            "hello": self._hello,
            "status": self._status,
            "describe": self._describe,
            "fetch": self._fetch,
            "upsert": self._upsert,
            "delete": self._delete,
            "query": self._query,
            "rebuild": self._rebuild,
            "settle": self._settle,
        }

    @property
    def filling(self) -> bool:
        """Tell whether the index is being rebuilt."""
        return self._filling is not None

    @property
    def worn(self) -> bool:
        """Tell whether a new worker would be better than going on."""
        return self._embedded and self._removed >= WORN

    def answer(self, line: bytes | None) -> tuple[str, bytes]:
        """Do what `line` asks (None: one that was too long); return its verb and the reply."""
        request: Message = {}
        verb = ""
        try:
            request = decode(line)
            verb = str(request.get("do"))
            reply = self._verbs[verb](request)
            return verb, encode({"id": request.get("id"), **reply})
        except Exception as error:  # noqa: BLE001  # the caller is told, the next request is done
            return verb, encode({"id": request.get("id"), "error": _reason(error)})

    def close(self) -> None:
        """Let go of the index."""
        if self._index is not None:
            self._index.close()

    def _hello(self, request: Message) -> Message:
        """Load the model, open the index, and tell how they are."""
        path, url = request["model_path"], request["qdrant_url"]
        model = Embedder(
            request["model"], Path(path) if path else None, Path(request["model_folder"])
        )
        collection, size = load_collection(), model.dimension
        self._index = (
            server_index(url, request["qdrant_api_key"], collection, model.identity, size)
            if url
            else embedded_index(collection, model.identity, size)
        )
        self._embedder, self._embedded = model, not url
        return self._status(request)

    def _status(self, _request: Message) -> Message:
        model, index = self._ready()
        return {
            "model": model.identity,
            "dimension": model.dimension,
            "count": index.count(),
        }

    def _describe(self, request: Message) -> Message:
        """Tell how much `fetch` would have to download."""
        return {"megabytes": embedder.expected_megabytes(request["model"])}

    def _fetch(self, request: Message) -> Message:
        """Download the model: the only verb that uses the network for it."""
        embedder.fetch(request["model"], Path(request["model_folder"]))
        return {"fetched": True}

    def _upsert(self, request: Message) -> Message:
        """Take rows in; return the vectors of those that came without one."""
        model, index = self._ready()
        rows = [row_from_wire(each) for each in request["rows"]]
        known = {key: _vector(text) for key, text in request["vectors"].items()}
        unknown = [row for row in rows if row.key not in known]
        made = model.of_texts([row.text for row in unknown])
        found = {row.key: vector for row, vector in zip(unknown, made, strict=True)}
        vectors = known | found
        index.upsert(rows, [vectors[row.key] for row in rows])
        if self._filling is not None:
            self._filling.update(row.key for row in rows)
        return {"vectors": {key: vector_to_wire(_bytes(vector)) for key, vector in found.items()}}

    def _delete(self, request: Message) -> Message:
        self._remove(set(request["keys"]))
        return {}

    def _query(self, request: Message) -> Message:
        model, index = self._ready()
        return {"near": index.query(model.of_question(request["text"]), request["limit"])}

    def _rebuild(self, _request: Message) -> Message:
        """Begin to note which rows come, so that `settle` can remove all others."""
        _, index = self._ready()
        self._filling = set()
        return {"count": index.count()}

    def _settle(self, _request: Message) -> Message:
        _, index = self._ready()
        if self._filling is not None:
            there = {row_key(payload) for payload in index.payloads()}
            self._remove(there - self._filling)
        self._filling = None
        return {"count": index.count()}

    def _remove(self, keys: set[str]) -> None:
        _, index = self._ready()
        index.delete(keys)
        self._removed += len(keys)
        if self._filling is not None:
            self._filling -= keys

    def _ready(self) -> tuple[Embedder, Index]:
        if self._embedder is None or self._index is None:
            raise RuntimeError("say hello first")
        return self._embedder, self._index


def _reason(error: Exception) -> str:
    """Return one line about `error`; what we do not expect is logged whole."""
    told = " ".join(str(error).split())[:500]
    if isinstance(error, ModelMissing):
        return told
    log.info("a request failed", exc_info=error)
    return f"{type(error).__name__}: {told}"


def _vector(text: str) -> Vector:
    return np.frombuffer(vector_from_wire(text), dtype="<f4")


def _bytes(vector: Vector) -> bytes:
    return vector.astype("<f4").tobytes()
