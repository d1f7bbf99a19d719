"""Fixtures: an app on a home of its own, without a model, and what its REST face tells a client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from context7_fabric.runtime.app import App
from support.rest import asking
from support.scripted import FakeClock, ScriptedUpstream, scripted_app


@pytest.fixture
def clock() -> FakeClock:
    """Return the time, to be moved by hand."""
    return FakeClock()


@pytest.fixture
async def app(tmp_path: Path, clock: FakeClock) -> AsyncGenerator[App]:
    """Return an open app."""
    async with scripted_app(ScriptedUpstream(), clock, tmp_path, MODEL="off") as app:
        yield app


@pytest.fixture
async def http(app: App) -> AsyncGenerator[httpx2.AsyncClient]:
    """Return a client of the REST face of `app`."""
    async with asking(app) as http:
        yield http
