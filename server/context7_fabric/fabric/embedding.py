"""The embedding model, by fastembed: texts in, vectors of length one out.

No search waits for a download. A model that is not on this machine is fetched in the background,
once a process, and is used when it has come.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from context7_fabric.errors import StoreClosed

if TYPE_CHECKING:
    from fastembed import TextEmbedding

log = logging.getLogger(__name__)

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
VECTOR_SIZE = 384
TEXT_LENGTH = 2000
"""Characters of a text that count; MiniLM reads about half as many."""

Vector: TypeAlias = list[float]

_T = TypeVar("_T")
_BATCH = 16
_OFFLINE = frozenset({"1", "ON", "TRUE", "YES"})
_downloads: set[tuple[str, str]] = set()
_downloads_lock = Lock()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model in memory; vectors of two models go together only if these have one `identity`."""

    model: TextEmbedding
    identity: str


class AsyncEmbedder:
    """One model, loaded at its first use, in a thread of its own: one batch at a time."""

    def __init__(
        self,
        model: str | Path = MODEL,
        vector_size: int = VECTOR_SIZE,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Embed by `model`: a name that fastembed knows, or a folder with a model's files.

        What lies in a folder is run as `MODEL` is: pooled by the mean, and normalised. `cache_dir`
        is where fastembed keeps what it downloads; None: where it always does.
        """
        self._model = str(model)
        self._size = vector_size
        self._cache_dir = None if cache_dir is None else str(cache_dir)
        self._loaded: _Loaded | None = None
        self._thread = ThreadPoolExecutor(1, "embedder")
        self._open = True

    async def identity(self) -> str | None:
        """Return what tells the model from others, None while it is not on this machine.

        Raises:
            ValueError: fastembed knows no such model, or its vectors have another size.
            StoreClosed: As every method after `aclose`.
        """
        return await self._run(self._ready)

    async def of_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts that are to be found; only after `identity` gave one."""
        return await self._run(partial(self._embedded, texts))

    async def of_question(self, text: str) -> Vector:
        """Return the vector of a text that finds others; only after `identity` gave one."""
        return await self._run(partial(self._asked, text))

    async def aclose(self) -> None:
        """Let go of the model."""
        self._open = False
        self._loaded = None
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if not self._open:
            raise StoreClosed
        return await asyncio.wrap_future(self._thread.submit(work))

    def _ready(self) -> str | None:
        if self._loaded is None:
            self._loaded = self._from_folder() if Path(self._model).is_dir() else self._by_name()
        return self._loaded.identity if self._loaded else None

    def _embedded(self, texts: Sequence[str]) -> list[Vector]:
        found = self._here().passage_embed(map(_clean, texts), batch_size=_BATCH)
        return [_normalised(vector.tolist()) for vector in found]

    def _asked(self, text: str) -> Vector:
        (vector,) = self._here().query_embed(_clean(text))
        return _normalised(vector.tolist())

    def _here(self) -> TextEmbedding:
        if self._loaded is None:
            raise RuntimeError("the model is not loaded")
        return self._loaded.model

    def _from_folder(self) -> _Loaded | None:
        model = self._load(MODEL, self._model)
        if model is None:
            return None
        (probe,) = model.query_embed("size")
        self._check(len(probe))
        return _Loaded(model, _digest(Path(self._model)))

    def _by_name(self) -> _Loaded | None:
        self._check(_size_of(self._model))
        model = self._load(self._model)
        if model is None:
            _download_behind(self._model, self._cache_dir)
            return None
        return _Loaded(model, sha256(self._model.lower().encode()).hexdigest()[:16])

    def _load(self, name: str, path: str | None = None) -> TextEmbedding | None:
        fastembed = _fastembed()
        try:
            return fastembed(
                name,
                cache_dir=self._cache_dir,
                local_files_only=True,
                specific_model_path=path,
            )
        except Exception as error:  # noqa: BLE001  # whatever a broken model makes onnxruntime raise
            log.info("the embedding model %s cannot be loaded: %s", self._model, error)
            return None

    def _check(self, size: int) -> None:
        if size != self._size:
            raise ValueError(
                f"the vectors of {self._model} have {size} numbers, and vector_size is {self._size}"
            )


def _fastembed() -> type[TextEmbedding]:
    from fastembed import TextEmbedding  # noqa: PLC0415  # takes a second
    from fastembed.common import model_management  # noqa: PLC0415  # as above

    # It calls a missing model an error on stderr; whoever asks is told by a value.
    model_management.logger.disable("fastembed")  # type: ignore[attr-defined]  # loguru's
    return TextEmbedding


def _size_of(name: str) -> int:
    for known in _fastembed().list_supported_models():
        if known["model"].lower() == name.lower():
            return int(known["dim"])
    raise ValueError(f"fastembed knows no model {name!r}, and it is no folder either")


def _download_behind(name: str, cache_dir: str | None) -> None:
    """Begin to fetch a model, unless this process did before or may not use the hub."""
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in _OFFLINE:
        return
    wanted = (name, cache_dir or "")
    with _downloads_lock:
        if wanted in _downloads:
            return
        _downloads.add(wanted)
    Thread(target=_download, args=(name, cache_dir), name="model-download", daemon=True).start()


def _download(name: str, cache_dir: str | None) -> None:
    try:
        _fastembed()(name, cache_dir=cache_dir, lazy_load=True)
    except Exception as error:  # noqa: BLE001  # whatever a hub's client raises
        log.warning(
            "%s cannot be downloaded (%s), so searches rank by words: connect and start again,"
            " or give a folder with the model's files as embedding_model",
            name,
            error,
        )
    else:
        log.info("%s has been downloaded: searches rank by vectors now", name)


def _digest(folder: Path) -> str:
    """Return what the weights in `folder` are known by, wherever it lies."""
    total = sha256()
    for path in sorted(folder.rglob("*.onnx*")):
        with path.open("rb") as file:
            total.update(file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _clean(text: str) -> str:
    """Return what counts of `text`, as UTF-8 can say it: tokenizers refuse lone surrogates."""
    return text[:TEXT_LENGTH].encode("utf-8", "replace").decode("utf-8")


def _normalised(numbers: Iterable[float]) -> Vector:
    vector = [*numbers]
    length = math.hypot(*vector) or 1.0
    return [number / length for number in vector]
