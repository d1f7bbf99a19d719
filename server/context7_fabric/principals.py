"""Whose an entry is, as its key tells: its end is `#` and the principal, unless it is public."""

from __future__ import annotations

from context7_fabric.models import PUBLIC


def owned(key: str, principal: str) -> str:
    """Return the key under which `principal` has what the public has under `key`."""
    return key if principal == PUBLIC else f"{key}#{principal}"
