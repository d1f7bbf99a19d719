"""Disk backends for the length of a block, and a look behind their back into the database."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from context7_fabric.fabric.backends.disk.backend import DiskBackend

LARGE = b"x" * 2**17
"""More than a row holds: it lies in a file of its own."""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[DiskBackend]:
    """A backend on `folder`, closed at the end."""
    backend = DiskBackend(folder)
    try:
        yield backend
    finally:
        await backend.aclose()


def execute(folder: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Run one statement on the database of a backend."""
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        return database.execute(statement, values).fetchall()


def value_file(folder: Path) -> Path:
    """The one file that holds a large value."""
    (path,) = value_files(folder)
    return path


def value_files(folder: Path) -> list[Path]:
    """The files that hold large values."""
    return list(folder.rglob("*.val"))
