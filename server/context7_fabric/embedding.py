"""Embedding models, run by fastembed: texts in, vectors of length one out.

`Embedder` is one loaded model and never uses the network: only `fetch` downloads. `AsyncEmbedder`
runs one in a thread for the fabric, and downloads a missing model in the background.
fastembed, which takes a second to import, is imported at the first use.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import file_digest, sha256
from http import HTTPStatus
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from context7_fabric.errors import StoreClosed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from fastembed import TextEmbedding
    from fastembed.common.model_description import DenseModelDescription
    from fastembed.text.text_embedding_base import TextEmbeddingBase

log = logging.getLogger(__name__)

Vector: TypeAlias = "npt.NDArray[np.float32]"

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
VECTOR_SIZE = 384
TEXT_LENGTH = 2000
"""Characters of a context that are embedded; MiniLM reads about half as many."""

_T = TypeVar("_T")
_OFFLINE = frozenset({"1", "ON", "TRUE", "YES"})
_LONGEST_LINE = 200
_DISK = {
    errno.ENOSPC: "the disk is full: free some room",
    errno.EDQUOT: "your quota of the disk is used up: free some room",
    errno.EACCES: "the folder cannot be written: check its permissions",
    errno.EPERM: "the folder cannot be written: check its permissions",
    errno.EROFS: "the disk is read-only: choose another folder",
}
_ADVICE = {
    HTTPStatus.UNAUTHORIZED: "it wants a login",
    HTTPStatus.FORBIDDEN: "it denies access, or a proxy does",
    HTTPStatus.NOT_FOUND: "it has no such model",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "the proxy wants a login",
    HTTPStatus.TOO_MANY_REQUESTS: "it limits the rate of downloads: try again later",
}
_TLS = "TLS failed: SSL_CERT_FILE names the certificates of a proxy"
_SIGNS = (
    (r"SSL|TLS|certificate", _TLS),
    (r"proxy", "the proxy cannot be used: check HTTPS_PROXY"),
    (
        (
            r"name or service not known|name resolution|nodename nor servname|getaddrinfo"
            r"|no address associated"
        ),
        "the name of the host cannot be resolved: is there a network?",
    ),
    (r"network is unreachable|no route to host", "there is no network"),
    (r"connection refused", "the host refuses connections"),
    (r"timed? ?out", "the host did not answer in time: try again"),
    (
        (
            r"consistency|checksum|corrupt|incomplete|size of|content[ -]length|peer closed"
            r"|disconnected|connection reset|broken pipe"
        ),
        "the download broke off and is incomplete: try again",
    ),
)
_PATTERNS = tuple((re.compile(sign, re.IGNORECASE), reason) for sign, reason in _SIGNS)


def download_reason(error: BaseException) -> str:
    """Return one line with the innermost known cause of `error` and the remedy."""
    causes = list(_chain(error))
    found = (reason for cause in reversed(causes) if (reason := _reason(cause)) is not None)
    return next(found, None) or _line(causes[0])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLError):  # its numbers are no errno
        return _TLS
    if isinstance(error, OSError) and error.errno in _DISK:
        return _DISK[error.errno]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _status_line(status)
    line = _line(error)
    return next((reason for sign, reason in _PATTERNS if sign.search(line)), None)


def _status_line(status: int) -> str:
    try:
        meaning = HTTPStatus(status).phrase
    except ValueError:
        meaning = "an unknown status"
    advice = _ADVICE.get(HTTPStatus(status)) if status in set(HTTPStatus) else None
    line = f"the server answered HTTP {status} ({meaning})"
    return f"{line}: {advice}" if advice else line


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST_LINE]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_THREADS = 1
_BATCH = 16
_MEGABYTES = 1000
_WEIGHTS = frozenset({".onnx", ".safetensors"})
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
"""Characters that the name of a vector in Qdrant, which an identity becomes, may not have."""


class ModelMissing(Exception):
    """The model is not on the disk, or is not known to fastembed."""


class Embedder:
    """A loaded model; only vectors of models with the same `identity` can be compared."""

    def __init__(
        self,
        model: str,
        path: Path | None,
        folder: Path | None,
        *,
        threads: int | None = _THREADS,
        identity: str | None = None,
    ) -> None:
        """Load `model` from its files in `path`, or from the download folder `folder`.

        `folder` None is fastembed's own. `identity` None is made of name, dimension and size.

        Raises:
            ModelMissing: It is not there, or cannot be loaded.
        """
        load, place = import_fastembed(), path or folder
        if place is not None and not place.is_dir():
            raise ModelMissing(_missing(model, place))
        try:
            self._model = load(
                model,
                cache_dir=str(folder) if folder else None,
                specific_model_path=str(path) if path else None,
                local_files_only=True,
                threads=threads,
            )
            self.dimension = len(self.of_question("dimension"))
        except Exception as error:  # a broken model makes onnxruntime raise anything
            raise ModelMissing(_load_failure(model, place, error)) from error
        self.identity = identity or self._described(model, path)

    def of_texts(self, texts: Iterable[str]) -> list[Vector]:
        """Return the vectors of texts to be found."""
        return _normalised(self._model.passage_embed(map(_clean, texts), batch_size=_BATCH))

    def of_question(self, text: str) -> Vector:
        """Return the vector of a text to search by."""
        return _normalised(self._model.query_embed(_clean(text)))[0]

    def _described(self, model: str, path: Path | None) -> str:
        weights = sum(file.stat().st_size for file in path.glob("*.*")) if path else 0
        parts = (model, str(self.dimension), str(weights) if weights else "")
        return _NOT_IN_NAMES.sub("-", "-".join(filter(None, parts)))


class AsyncEmbedder:
    """A model that is loaded at its first use and runs in one thread, one batch at a time.

    No call waits for a download: a model named by its name is downloaded in the background, once
    per process, and used when it has arrived.
    """

    def __init__(
        self,
        model: str | Path = MODEL,
        vector_size: int = VECTOR_SIZE,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Use `model`: a name that fastembed knows, or a folder with the files of a model.

        A model in a folder is run like `MODEL`: mean pooling, normalised vectors. `cache_dir` is
        the download folder; None is fastembed's own.
        """
        self._name = str(model)
        self._size = vector_size
        self._folder = None if cache_dir is None else Path(cache_dir)
        self._loaded: Embedder | None = None
        self._thread = ThreadPoolExecutor(1, "embedder")
        self._open = True

    async def identity(self) -> str | None:
        """Return the identity of the model, None while it is not on this machine.

        Raises:
            ValueError: fastembed knows no such model, or its vectors have another size.
            StoreClosed: As every method after `aclose`.
        """
        return await self._run(self._load)

    async def of_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts to be found; `identity` must have returned one before."""
        return await self._run(partial(self._embed_texts, texts))

    async def of_question(self, text: str) -> list[float]:
        """Return the vector of a text to search by; `identity` must have returned one before."""
        return await self._run(partial(self._embed_question, text))

    async def aclose(self) -> None:
        """Release the model."""
        self._open = False
        self._loaded = None
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if not self._open:
            raise StoreClosed
        return await asyncio.wrap_future(self._thread.submit(work))

    def _load(self) -> str | None:
        if self._loaded is None:
            folder = Path(self._name)
            try:
                self._loaded = self._from_folder(folder) if folder.is_dir() else self._by_name()
            except ModelMissing as error:
                log.info("%s", error)
        return self._loaded.identity if self._loaded else None

    def _from_folder(self, folder: Path) -> Embedder:
        loaded = Embedder(
            MODEL, folder, self._folder, threads=None, identity=_weights_digest(folder)
        )
        self._check_size(loaded.dimension)
        return loaded

    def _by_name(self) -> Embedder:
        try:
            _, description = _known(self._name)
        except ModelMissing as error:
            raise ValueError(f"{error}, and it is no folder either") from error
        self._check_size(description.dim or 0)
        identity = sha256(self._name.lower().encode()).hexdigest()[:16]
        try:
            return Embedder(self._name, None, self._folder, threads=None, identity=identity)
        except ModelMissing:
            _start_download(self._name, self._folder)
            raise

    def _embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = self._model().of_texts(text[:TEXT_LENGTH] for text in texts)
        return [vector.tolist() for vector in vectors]

    def _embed_question(self, text: str) -> list[float]:
        numbers: list[float] = self._model().of_question(text[:TEXT_LENGTH]).tolist()
        return numbers

    def _model(self) -> Embedder:
        if self._loaded is None:
            raise RuntimeError("the model is not loaded")
        return self._loaded

    def _check_size(self, size: int) -> None:
        if size != self._size:
            raise ValueError(
                f"the vectors of {self._name} have {size} numbers, and vector_size is {self._size}"
            )


class VectorTable:
    """Vectors of length one by key, searched exhaustively; threads may share it."""

    def __init__(self, size: int) -> None:
        """Hold vectors of `size` numbers."""
        self._size = size
        self._keys: list[str] = []
        self._rows: dict[str, int] = {}
        self._numbers: npt.NDArray[np.float32] | None = None
        self._lock = Lock()

    def put(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Add or replace vectors by key."""
        with self._lock:
            new = [key for key in vectors if key not in self._rows]
            self._rows |= {key: row for row, key in enumerate(new, len(self._keys))}
            self._keys += new
            numbers = self._grown()
            for key, vector in vectors.items():
                numbers[self._rows[key]] = vector

    def remove(self, keys: Iterable[str]) -> None:
        """Remove the vectors of `keys`; the last vectors move to their rows."""
        with self._lock:
            numbers = self._grown()
            for key in keys:
                row = self._rows.pop(key, None)
                if row is None:
                    continue
                last = self._keys.pop()
                if last != key:
                    numbers[row] = numbers[len(self._keys)]
                    self._keys[row], self._rows[last] = last, row

    def nearest(self, vector: Sequence[float], limit: int) -> list[tuple[str, float]]:
        """Return the keys of the nearest vectors with their cosines, the nearest first."""
        import numpy as np  # noqa: PLC0415  # takes a while

        with self._lock:
            cosines = self._grown()[: len(self._keys)] @ np.asarray(vector, dtype=np.float32)
            best = np.argsort(-cosines, kind="stable")[:limit]
            return [(self._keys[row], float(cosines[row])) for row in best]

    def _grown(self) -> npt.NDArray[np.float32]:
        """Return the array of vectors, with a row for each key and some to spare."""
        import numpy as np  # noqa: PLC0415  # takes a while

        if self._numbers is None or len(self._numbers) < len(self._keys):
            grown = np.zeros((2 * len(self._keys) + 8, self._size), dtype=np.float32)
            if self._numbers is not None:
                grown[: len(self._numbers)] = self._numbers
            self._numbers = grown
        return self._numbers


def expected_megabytes(model: str) -> int:
    """Return the approximate size of the download of `model`.

    Raises:
        ModelMissing: fastembed knows no such model.
    """
    _, description = _known(model)
    return round(description.size_in_GB * _MEGABYTES)


def fetch(model: str, folder: Path) -> None:
    """Download `model` into `folder`, unless it is there already.

    Raises:
        ModelMissing: It cannot be downloaded.
    """
    kind, description = _known(model)
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    errors: list[Exception] = []
    try:
        # The constructor would retry for 39 seconds.
        _collecting(kind, errors).download_model(description, str(folder), retries=1)
    except Exception as error:  # the clients of the hubs raise anything
        reason = download_reason(errors[-1] if errors else error)
        raise ModelMissing(f"{model} cannot be downloaded: {reason}") from error


def _collecting(kind: type[TextEmbeddingBase], errors: list[Exception]) -> Any:  # noqa: ANN401  # a subclass of `kind`
    """Return a `kind` that collects the errors of downloads, which fastembed only logs."""

    class ErrorCollecting(kind):  # type: ignore[misc, valid-type]  # a class known at run time only
        @classmethod
        def download_files_from_huggingface(cls, *sources: Any, **options: Any) -> Any:  # noqa: ANN401  # passed on
            try:
                return super().download_files_from_huggingface(*sources, **options)
            except Exception as error:
                if not options.get("local_files_only"):
                    errors.append(error)
                raise

        @classmethod
        def retrieve_model_gcs(cls, *sources: Any, **options: Any) -> Any:  # noqa: ANN401  # passed on
            try:
                return super().retrieve_model_gcs(*sources, **options)
            except Exception as error:
                errors.append(error)
                raise

    return ErrorCollecting


_downloads: set[tuple[str, Path | None]] = set()
_downloads_lock = Lock()


def _start_download(name: str, folder: Path | None) -> None:
    """Download a model in the background, once per process, unless the hub is switched off."""
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in _OFFLINE:
        return
    with _downloads_lock:
        if (name, folder) in _downloads:
            return
        _downloads.add((name, folder))
    Thread(target=_download, args=(name, folder), name="model-download", daemon=True).start()


def _download(name: str, folder: Path | None) -> None:
    try:
        import_fastembed()(name, cache_dir=str(folder) if folder else None, lazy_load=True)
    except Exception as error:  # noqa: BLE001  # the clients of the hubs raise anything
        log.warning(
            "%s cannot be downloaded (%s), so searches rank by words: connect and start again,"
            " or give a folder with the model's files as embedding_model",
            name,
            error,
        )
    else:
        log.info("%s has been downloaded: searches rank by vectors now", name)


def import_fastembed() -> type[TextEmbedding]:
    """Import fastembed and return its class of models.

    Raises:
        ImportError: It is not installed, or lacks a package.
    """
    from fastembed import TextEmbedding  # noqa: PLC0415  # takes a second
    from fastembed.common import model_management  # noqa: PLC0415  # as above

    # It logs a missing model as an error on stderr; our callers get a value or an exception.
    model_management.logger.disable("fastembed")  # type: ignore[attr-defined]  # loguru's
    return TextEmbedding


def _known(model: str) -> tuple[type[TextEmbeddingBase], DenseModelDescription]:
    for kind in import_fastembed().EMBEDDINGS_REGISTRY:
        for description in kind._list_supported_models():  # noqa: SLF001  # the only way to get both
            if description.model.lower() == model.lower():
                return kind, description
    raise ModelMissing(f"fastembed knows no model {model}")


def _weights_digest(folder: Path) -> str:
    """Return a digest of the weights in `folder`, which does not depend on the folder's place."""
    total = sha256()
    for path in sorted(folder.rglob("*.onnx*")):
        with path.open("rb") as file:
            total.update(file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _clean(text: str) -> str:
    """Return `text` without lone surrogates, which the tokenizer refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _normalised(vectors: Iterable[npt.NDArray[np.generic]]) -> list[Vector]:
    import numpy as np  # noqa: PLC0415  # loaded with fastembed

    found = [np.asarray(vector, dtype=np.float32) for vector in vectors]
    return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in found]


def _missing(model: str, place: Path) -> str:
    return f"{model} is not in {place}: `context7-fabric model fetch` downloads it"


def _load_failure(model: str, place: Path | None, error: Exception) -> str:
    if place and not any(path.suffix in _WEIGHTS for path in place.rglob("*")):
        return _missing(model, place)
    where = f" in {place}" if place else ""
    return f"{model}{where} cannot be loaded: {' '.join(str(error).split())[:300]}"
