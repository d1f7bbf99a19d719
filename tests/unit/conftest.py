"""Fixtures that unit tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    """A task group that is cancelled at the end of the test."""
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of this process, not there yet, on a terminal of 80 columns."""
    home = tmp_path / "home"
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    return home


@pytest.fixture
def folder(home: Path) -> Path:
    """Folder of sockets and logs."""
    folder = home / "daemon"
    folder.mkdir(mode=0o700, parents=True)
    return folder
