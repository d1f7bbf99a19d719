"""Safe repairs of `doctor --fix`: none of them deletes what a person stored or added.

Each returns what it did in a few words, '' where nothing was to be done. The home of earlier
versions is moved before, by every command (`runtime/home_migration.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from context7_fabric.cli.checks import HealthCheck
from context7_fabric.cli.facts import Look, looked, mode_facts
from context7_fabric.docsets.files import DocsetFolder
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.settings import Settings

FIX_SECONDS = 30.0
"""Longest time of one repair."""


def fixed(settings: Settings) -> list[HealthCheck]:
    """Make all repairs on this machine; return a line for each that did something, or failed."""
    homes = dict.fromkeys((settings.home, settings.store_home))
    works: list[Callable[[], str]] = [partial(make_private, home) for home in homes]
    works += [
        partial(remove_stale_sockets, settings.home),
        partial(put_damaged_aside, settings),
    ]
    return looked([Look("fixed", FIX_SECONDS, partial(_lines, work)) for work in works])


def _lines(work: Callable[[], str]) -> Sequence[HealthCheck]:
    done = work()
    return [HealthCheck("fixed", "info", done)] if done else []


def make_private(home: Path) -> str:
    """Take a home's files and folders from other users: 0600, 0700."""
    opened = mode_facts(home).opened
    for path, mode in opened.items():
        path.chmod(mode & ~0o077)
    paths = ", ".join(map(str, list(opened)[:3]))
    more = f" and {len(opened) - 3} more" if len(opened) > 3 else ""  # noqa: PLR2004  # those named
    return f"private to you now: {paths}{more}" if opened else ""


def remove_stale_sockets(home: Path) -> str:
    """Remove the sockets of daemons that were killed."""
    if sys.platform == "win32":
        return ""
    from context7_fabric.relay.endpoint import endpoints

    removed = [each.name for each in endpoints(os.fspath(home)) if each.remove_stale()]
    return f"removed the socket of a killed daemon: {', '.join(removed)}" if removed else ""


def put_damaged_aside(settings: Settings) -> str:
    """Rename the files of damaged docsets, so that they can be looked at or added again.

    Their source is not asked: it takes minutes, and the line that names it may be damaged too.
    """
    path = settings.home / "docsets"
    folder = DocsetFolder(path)
    damaged = {Path(each.path) for each in DocsetLibrary(path, settings.docsets).damaged()}
    if not damaged:
        return ""
    found = [each for files in folder.files().values() for each in files if each.path in damaged]
    kept = []
    for file in found:
        with folder.turn(file.stem, "puts a damaged docset aside", lambda _holder: None):
            if file.path.exists():
                kept.append(str(folder.put_aside(file)))
    return f"damaged docsets are kept as {', '.join(kept)}: add them again" if kept else ""
