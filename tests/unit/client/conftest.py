"""A home and a clock of the test's own, and a client on them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from support.scripted import FakeClock

MINE = ("CONTEXT7_", "LIBRARY_CACHE_", "RAG_SERVICE_")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home of one's own, named by the environment, with nothing else of ours set."""
    for name in [name for name in os.environ if name.startswith(MINE)]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(home))
    return home


@pytest.fixture
def clock() -> FakeClock:
    """Return the time, to be moved by hand."""
    return FakeClock()


@pytest.fixture
async def cache(home: Path, clock: FakeClock) -> AsyncGenerator[Context7CacheClient]:
    """Return an open client without a resolver."""
    async with Context7CacheClient(clock=clock) as cache:
        yield cache
