"""Request handlers of the worker: verbs over the model and the indexes of principals.

Requests are handled one at a time, in order. A failed one is answered with its error; none ends
the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from context7_fabric import embedding
from context7_fabric.embedding import Embedder, ModelMissing, Vector
from context7_fabric.registry.rows import Row, load_collection, row_key, row_of
from context7_fabric.suggestions.worker.qdrant_index import (
    EmbeddedIndexes,
    RowIndex,
    RowIndexes,
    server_indexes,
)
from context7_fabric.suggestions.worker.wire import (
    Message,
    decode,
    encode,
    vector_from_wire,
    vector_to_wire,
)

log = logging.getLogger(__name__)

WORN = 5_000
"""Removals after which the worker restarts: embedded indexes keep the memory of removed points."""


@dataclass(slots=True)
class _Open:
    """Open index of one principal; `filling` has the rows that came since a rebuild began."""

    index: RowIndex
    filling: set[str] | None = None
    removed: int = 0

    def remove(self, keys: set[str]) -> None:
        self.index.delete(keys)
        self.removed += len(keys)
        if self.filling is not None:
            self.filling -= keys


class WorkerSession:
    """Model and indexes of one worker, from the first `hello` on."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._indexes: RowIndexes | None = None
        self._embedded = True
        self._open: dict[str, _Open] = {}
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
            "release": self._release,
        }

    @property
    def filling(self) -> bool:
        """True while an index is being rebuilt."""
        return any(each.filling is not None for each in self._open.values())

    @property
    def worn(self) -> bool:
        """True if a new worker would be better than going on."""
        return self._embedded and sum(each.removed for each in self._open.values()) >= WORN

    def answer(self, line: bytes | None) -> tuple[str, bytes]:
        """Handle the request in `line` (None: too long a line); return its verb and the reply."""
        request: Message = {}
        verb = ""
        try:
            request = decode(line)
            verb = str(request.get("do"))
            reply = self._verbs[verb](request)
            return verb, encode({"id": request.get("id"), **reply})
        except Exception as error:  # noqa: BLE001  # it is the reply, and the next request is handled
            return verb, encode({"id": request.get("id"), "error": _reason(error)})

    def close(self) -> None:
        """Close the indexes."""
        if self._indexes is not None:
            self._indexes.close()

    def _hello(self, request: Message) -> Message:
        """Load the model, open the indexes, and return the model's identity."""
        path, url = request["model_path"], request["qdrant_url"]
        model = Embedder(
            request["model"], Path(path) if path else None, Path(request["model_folder"])
        )
        collection, size = load_collection(), model.dimension
        self._indexes = (
            server_indexes(url, request["qdrant_api_key"], collection, model.identity, size)
            if url
            else EmbeddedIndexes(collection, model.identity, size)
        )
        self._embedder, self._embedded = model, not url
        return {"model": model.identity, "dimension": size}

    def _status(self, request: Message) -> Message:
        return {"count": self._opened(request).index.count()}

    def _describe(self, request: Message) -> Message:
        """Return the size of the download that `fetch` would do."""
        return {"megabytes": embedding.expected_megabytes(request["model"])}

    def _fetch(self, request: Message) -> Message:
        """Download the model; no other verb uses the network for it."""
        embedding.fetch(request["model"], Path(request["model_folder"]))
        return {"fetched": True}

    def _upsert(self, request: Message) -> Message:
        """Add rows; return the vectors of those that came without one."""
        model, opened = self._model(), self._opened(request)
        rows = list(map(_row, request["rows"]))
        known = {key: _vector(text) for key, text in request["vectors"].items()}
        unknown = [row for row in rows if row.key not in known]
        made = model.of_texts([row.text for row in unknown])
        found = {row.key: vector for row, vector in zip(unknown, made, strict=True)}
        vectors = known | found
        opened.index.upsert(rows, [vectors[row.key] for row in rows])
        if opened.filling is not None:
            opened.filling.update(row.key for row in rows)
        return {"vectors": {key: vector_to_wire(_bytes(vector)) for key, vector in found.items()}}

    def _delete(self, request: Message) -> Message:
        self._opened(request).remove(set(request["keys"]))
        return {}

    def _query(self, request: Message) -> Message:
        index = self._opened(request).index
        return {"near": index.query(self._model().of_question(request["text"]), request["limit"])}

    def _rebuild(self, request: Message) -> Message:
        """Open the index and start noting its rows: `settle` removes all others."""
        principal = request["principal"]
        if self._indexes is not None and principal not in self._open:
            self._open[principal] = _Open(self._indexes.open(principal))
        opened = self._opened(request)
        opened.filling = set()
        return {"count": opened.index.count()}

    def _settle(self, request: Message) -> Message:
        opened = self._opened(request)
        if opened.filling is not None:
            there = {row_key(payload) for payload in opened.index.payloads()}
            opened.remove(there - opened.filling)
        opened.filling = None
        return {"count": opened.index.count()}

    def _release(self, request: Message) -> Message:
        """Release the index, if it is open."""
        principal = request["principal"]
        if self._indexes is not None and principal in self._open:
            del self._open[principal]
            self._indexes.release(principal)
        return {}

    def _model(self) -> Embedder:
        if self._embedder is None:
            raise RuntimeError("say hello first")
        return self._embedder

    def _opened(self, request: Message) -> _Open:
        self._model()
        return self._open[request["principal"]]


def _reason(error: Exception) -> str:
    """Return one line about `error`; an unexpected one is logged with its traceback."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, ModelMissing):
        return text
    log.info("a request failed", exc_info=error)
    return f"{type(error).__name__}: {text}"


def _row(value: object) -> Row:
    row = row_of(value)
    if row is None:
        raise ValueError("not the JSON form of a row")
    return row


def _vector(text: str) -> Vector:
    return np.frombuffer(vector_from_wire(text), dtype="<f4")


def _bytes(vector: Vector) -> bytes:
    return vector.astype("<f4").tobytes()
