"""Fixtures: home, clock, and a client on them."""

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
    """Return a new home, set in an environment without other variables of ours."""
    for name in [name for name in os.environ if name.startswith(MINE)]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(home))
    return home


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test moves."""
    return FakeClock()


@pytest.fixture
async def cache(home: Path, clock: FakeClock) -> AsyncGenerator[Context7CacheClient]:
    """Return an open client without a resolver."""
    async with Context7CacheClient(clock=clock) as cache:
        yield cache


@pytest.fixture
async def eager(home: Path, clock: FakeClock) -> AsyncGenerator[Context7CacheClient]:
    """Return an open client that writes its uses and looks for changed rows at each call."""
    async with Context7CacheClient(clock=clock, step_seconds=0.0) as eager:
        yield eager
