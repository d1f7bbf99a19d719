"""Fabrics on disk, as many on one folder as a test needs: each is what a process would have."""

from __future__ import annotations

import time
from pathlib import Path

from anyio import to_thread

from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock


async def fabric_on_disk(folder: Path, clock: Clock = time.time) -> Fabric:
    """Open the store in `folder` once more; the caller closes it."""
    return Fabric(await to_thread.run_sync(DiskBackend, folder), clock)
