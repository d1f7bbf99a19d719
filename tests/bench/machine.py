"""What numbers were measured on: a line that stands above every result."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from context7_fabric.version import __version__


def machine() -> str:
    """Cores, processor, system, Python, the day, and how busy the machine was already."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    today = datetime.now(UTC).date().isoformat()
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return (
        f"context7-fabric {__version__}, {today}: {cores} cores ({_processor()}), {system},"
        f" Python {platform.python_version()}, load {load:.1f} at the start"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
