"""An app on a temporary home with a scripted upstream behind it, and a clock moved by hand."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from context7_fabric.runtime.app import App
from support.scripted import FakeClock, ScriptedUpstream, scripted_app


@pytest.fixture
def clock() -> FakeClock:
    """Return the time, to be moved by hand."""
    return FakeClock()


@pytest.fixture
def upstream() -> ScriptedUpstream:
    """Return the upstream that the app asks."""
    return ScriptedUpstream()


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path) -> AsyncGenerator[App]:
    """Return an open app on a home of its own."""
    async with scripted_app(upstream, clock, tmp_path / "home") as opened:
        yield opened
