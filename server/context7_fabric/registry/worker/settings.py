"""What suggestions are made with: which model, where it lies, which index."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Where fastembed leaves the weights of a model once it has them whole.
_FETCHED = (
    "models--*/snapshots/*/**/*.onnx",
    "models--*/snapshots/*/**/*.safetensors",
    "fast-*/**/*.onnx",
)

EMBEDDED_ROWS = 20_000
"""How many rows an embedded index holds, the most used: it looks at every one of them."""

ROOM = 2 * EMBEDDED_ROWS
"""How many rows the embedded indexes of all principals hold together."""


@dataclass(frozen=True, slots=True)
class SuggestionSettings:
    """Everything that can be chosen about suggestions; paths are absolute.

    `model_path` is a folder that holds the files of `model`; without it the model is looked for
    in `model_folder`, where `context7-fabric model fetch` puts it. Without `qdrant_url` the index
    is the worker's own. Not `enabled`, words alone rank. With `fetches` a model that is missing is
    downloaded behind the first connection to upstream, which shows that there is a network.
    """

    model_folder: Path
    model: str = DEFAULT_MODEL
    model_path: Path | None = None
    qdrant_url: str | None = field(default=None, repr=False)  # may hold a password
    qdrant_api_key: str | None = field(default=None, repr=False)
    enabled: bool = True
    fetches: bool = False
    idle_seconds: float = 300.0
    patience: float = 1.5

    @property
    def most_rows(self) -> int | None:
        """How many rows the index of one principal holds; None for all."""
        return EMBEDDED_ROWS if self.qdrant_url is None else None

    @property
    def room(self) -> int | None:
        """How many rows the indexes of all principals hold together; None for all."""
        return ROOM if self.qdrant_url is None else None

    def hello(self) -> dict[str, str | None]:
        """Return what a worker is told first."""
        return {
            "model": self.model,
            "model_path": str(self.model_path) if self.model_path else None,
            "model_folder": str(self.model_folder),
            "qdrant_url": self.qdrant_url,
            "qdrant_api_key": self.qdrant_api_key,
        }

    def has_model(self) -> bool:
        """Tell whether there is any model to try; looks at the disk, and only at that."""
        if not self.enabled:
            return False
        if self.model_path is not None:
            return self.model_path.is_dir()
        return any(any(self.model_folder.glob(pattern)) for pattern in _FETCHED)
