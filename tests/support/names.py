"""A name of a host that this process alone knows, and that means another address each time."""

from __future__ import annotations

import socket
from typing import Any

import pytest


def changing_name(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Resolve `name` to loopback once, and then to an address where nothing listens.

    Return the list of the times that it was asked for.
    """
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def changing(host: Any, port: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  # as the original
        if host not in (name, name.encode()):
            return resolve(host, port, *rest, **options)
        asked.append(name)
        return resolve("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    return asked
