"""Clients that are on this machine, and the files of theirs that a change concerns."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath

from context7_fabric.client_config.clients import CLIENTS, Machine, McpClient
from context7_fabric.client_config.entries import SERVER_NAME
from context7_fabric.client_config.rules import rule_place
from context7_fabric.relay.folders import user_folder

_PLUGIN = "context7@"
"""Beginning of the plugin's name in Claude Code's settings; its permissions name the server too."""


def this_machine() -> Machine:
    """Return the platform, environment and user's folder of this process."""
    return Machine(sys.platform, os.environ, Path(user_folder()))


def clients_here(machine: Machine) -> list[McpClient]:
    """Return the clients of which a file, a folder or a program is there."""
    return [each for each in CLIENTS.values() if _is_here(each, machine)]


def files_of(client: McpClient, machine: Machine, project: Path | None = None) -> list[Path]:
    """Return the files to write: those of the user, or that of the folder of a project.

    Of several files that a client reads, those are meant that are there, or whose folder is.
    """
    if project is not None:
        return [_project_file(client, project)] if client.project_file else []
    groups = client.files(machine)
    found = [path for group in groups for path in _of_group([Path(each) for each in group])]
    return found or [Path(groups[0][0])]


def rule_file(
    client: McpClient, machine: Machine, project: Path | None = None
) -> tuple[Path, bool] | None:
    """Return the file for a client's rule, and whether it holds nothing else; None without one."""
    place = rule_place(client.name, machine, project)
    if place is None:
        return None
    paths = [Path(each) for each in place.paths]
    return next((each for each in paths[:-1] if _has_text(each)), paths[-1]), place.is_own


def also_named(client: McpClient, machine: Machine) -> Iterator[Path]:
    """Yield files that are never edited, and in which the client may find another Context7."""
    for path in map(Path, client.also_reads(machine) if client.also_reads else ()):
        with suppress(OSError, ValueError):
            wanted = _PLUGIN if path.name == "settings.json" else SERVER_NAME
            if wanted in path.read_text("utf-8"):
                yield path


def _is_here(client: McpClient, machine: Machine) -> bool:
    programs = (shutil.which(each, path=machine.environ.get("PATH")) for each in client.programs)
    return client.is_there(machine, _exists) or any(programs)


def _exists(path: PurePath) -> bool:
    return any(_expanded(Path(path)))


def _of_group(paths: list[Path]) -> list[Path]:
    """Return the files of a group: one for each match of its pattern, the best of alternatives."""
    there = [each for each in paths if each.is_file()]
    if len(paths) > 1:
        naming = [each for each in there if _names_context7(each)]
        usable = [each for each in paths if each.parent.is_dir()]
        return (naming or there or usable)[:1]
    folders = sorted(_expanded(paths[0].parent))
    return [folder / paths[0].name for folder in folders if folder.is_dir()]


def _expanded(path: Path) -> list[Path]:
    """Return the paths that are there and match one with `*`."""
    with suppress(OSError):
        if "*" not in str(path):
            return [path] if path.exists() else []
        parts = path.relative_to(path.anchor).parts
        first = next(i for i, part in enumerate(parts) if "*" in part)
        return list(Path(path.anchor, *parts[:first]).glob("/".join(parts[first:])))
    return []


def _has_text(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _project_file(client: McpClient, project: Path) -> Path:
    path = project / (client.project_file or "")
    other = path.with_suffix(".jsonc")
    return other if client.name == "opencode" and other.exists() and not path.exists() else path


def _names_context7(path: Path) -> bool:
    with suppress(OSError):
        return SERVER_NAME in path.read_text("utf-8", "replace").lower()
    return False
