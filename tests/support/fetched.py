"""What tests fetch once, into the user's cache folder, which all checkouts share.

One process at a time fills a folder there; others wait for it, and find what it brought.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest


def cache_folder(kind: str) -> Path:
    """The folder for things of a kind, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "context7-fabric-tests", kind)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(wanted: Iterable[Callable[[], object]]) -> None:
    """Call each, which fetches what is not there; what cannot be had, tests will say themselves."""
    for each in wanted:
        with suppress(pytest.skip.Exception):
            each()
