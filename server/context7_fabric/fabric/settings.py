"""Which medium the fabric is on, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from context7_fabric.fabric.context import VALUE_LIMIT


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the fabric keeps what: `backend` is disk, memory or a Redis URL."""

    backend: str = "disk"
    value_limit: int = VALUE_LIMIT

    @property
    def label(self) -> str:
        """The backend as it may be shown: without a password."""
        parts = urlsplit(self.backend)
        return f"{parts.scheme}://{parts.hostname or parts.path}" if parts.scheme else self.backend
