"""The backend on disk keeps the contract; more of it is in test_disk_rows and test_disk_folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from context7_fabric.fabric.backends.disk.backend import DiskBackend
from contracts.backend_contract import BackendContract, Spoil
from contracts.disk_store import execute, opened


class TestDiskBackend(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[DiskBackend]:
        async with opened(tmp_path) as backend:
            yield backend

    @pytest.fixture
    def spoil(self, tmp_path: Path, backend: DiskBackend) -> Spoil:
        async def spoil(key: str) -> None:
            execute(tmp_path, "UPDATE Cache SET mode = 4 WHERE key = ?", key)

        return spoil
