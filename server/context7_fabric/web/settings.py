"""Where the HTTP server listens and whom it lets in, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`hosts` are the names that clients may call it by, None for any when tokens are asked for.

    Tokens are asked for where `tokens_file` is there, or `wants_tokens` says that it has to be.
    `origins` are those of the pages that may use the server, None for pages of this machine.
    `rate` is in requests a minute for each token; `proxies` are the addresses and networks whose
    word on who is behind them counts.
    """

    host: str = "127.0.0.1"
    tokens_file: Path = field(default_factory=Path)
    wants_tokens: bool = False
    hosts: frozenset[str] | None = None
    origins: frozenset[str] | None = None
    rate: int = 600
    certificate: Path | None = None
    certificate_key: Path | None = None
    proxies: tuple[str, ...] = ()
