"""The embedding model, by fastembed: texts in, vectors of length one out.

Serving never touches the network: a model that is not on the disk is not there. Only `fetch`
downloads.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fastembed import TextEmbedding
from fastembed.common.model_description import DenseModelDescription
from fastembed.text.text_embedding_base import TextEmbeddingBase

_LONGEST = 200
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
    """Return one line: what went wrong, by the innermost cause that is known, and what to do."""
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
        return _told_status(status)
    line = _line(error)
    return next((reason for sign, reason in _PATTERNS if sign.search(line)), None)


def _told_status(status: int) -> str:
    try:
        meaning = HTTPStatus(status).phrase
    except ValueError:
        meaning = "an unknown status"
    advice = _ADVICE.get(HTTPStatus(status)) if status in set(HTTPStatus) else None
    told = f"the server answered HTTP {status} ({meaning})"
    return f"{told}: {advice}" if advice else told


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


Vector = npt.NDArray[np.float32]

_THREADS = 1
_BATCH = 16
_MEGABYTES = 1000
_WEIGHTS = frozenset({".onnx", ".safetensors"})
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9._-]+")  # in a vector's name, which the identity becomes


class ModelMissing(Exception):
    """The model is not on the disk, or no such model is known."""


class Embedder:
    """One loaded model; vectors of two models go together only if these have one `identity`."""

    def __init__(self, model: str, path: Path | None, folder: Path) -> None:
        """Load `model` from `path`, or from `folder` as `fetch` left it there.

        Raises:
            ModelMissing: It is not there, or cannot be loaded.
        """
        if not (path or folder).is_dir():
            raise ModelMissing(_missing(model, path or folder))
        try:
            self._model = TextEmbedding(
                model,
                cache_dir=str(folder),
                specific_model_path=str(path) if path else None,
                local_files_only=True,
                threads=_THREADS,
            )
            self.dimension = len(self.of_question("dimension"))
        except Exception as error:  # whatever a broken model makes onnxruntime raise
            raise ModelMissing(_why(model, path or folder, error)) from error
        weights = sum(file.stat().st_size for file in path.glob("*.*")) if path else 0
        parts = (model, str(self.dimension), str(weights) if weights else "")
        self.identity = _UNNAMEABLE.sub("-", "-".join(filter(None, parts)))

    def of_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts that are to be found."""
        return _normalised(self._model.passage_embed(map(_clean, texts), batch_size=_BATCH))

    def of_question(self, text: str) -> Vector:
        """Return the vector of a text that finds others."""
        return _normalised(self._model.query_embed(_clean(text)))[0]


def expected_megabytes(model: str) -> int:
    """Return about how much there is to download for `model`.

    Raises:
        ModelMissing: fastembed knows no such model.
    """
    _, description = _known(model)
    return round(description.size_in_GB * _MEGABYTES)


def fetch(model: str, folder: Path) -> None:
    """Download `model` into `folder`; what is there already is not downloaded again.

    Raises:
        ModelMissing: It could not be had.
    """
    kind, description = _known(model)
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    errors: list[Exception] = []
    try:
        # The constructor would try again and again for 39 seconds.
        _telling(kind, errors).download_model(description, str(folder), retries=1)
    except Exception as error:  # whatever a hub's client raises
        reason = download_reason(errors[-1] if errors else error)
        raise ModelMissing(f"{model} cannot be downloaded: {reason}") from error


def _telling(kind: type[TextEmbeddingBase], errors: list[Exception]) -> Any:  # noqa: ANN401  # fastembed's own kind
    """Return `kind` with downloads whose errors are kept in `errors`: fastembed only logs them."""

    class ErrorCollecting(kind):  # type: ignore[misc, valid-type]  # a kind of fastembed's
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


def _known(model: str) -> tuple[type[TextEmbeddingBase], DenseModelDescription]:
    for kind in TextEmbedding.EMBEDDINGS_REGISTRY:
        for description in kind._list_supported_models():  # noqa: SLF001  # only there with its kind
            if description.model.lower() == model.lower():
                return kind, description
    raise ModelMissing(f"fastembed knows no model {model}")


def _clean(text: str) -> str:
    """Return `text` as UTF-8 can say it: the tokenizer refuses lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _normalised(vectors: Iterable[npt.NDArray[np.generic]]) -> list[Vector]:
    found = [np.asarray(vector, dtype=np.float32) for vector in vectors]
    return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in found]


def _missing(model: str, place: Path) -> str:
    return f"{model} is not in {place}: `context7-fabric model fetch` downloads it"


def _why(model: str, place: Path, error: Exception) -> str:
    if not any(path.suffix in _WEIGHTS for path in place.rglob("*")):
        return _missing(model, place)
    return f"{model} in {place} cannot be loaded: {' '.join(str(error).split())[:300]}"
