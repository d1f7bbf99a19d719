"""Command line of this program and the shell's settings, as an entry of a client needs them.

A client starts the program without the user's shell, and long after the installation: the path is
absolute, and never one in the cache of a package runner.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from context7_fabric.privacy.redaction import redact
from context7_fabric.relay.handshake import resolved, working_directory
from context7_fabric.variables import PREFIX, VARIABLES

PROGRAM: Final = "context7-fabric"

_COPIED: Final = ("CONTEXT7_API_URL", *(PREFIX + name for name in VARIABLES))
_SECRET: Final = (
    "CONTEXT7_API_KEY",
    *(PREFIX + name for name, (kind, *_) in VARIABLES.items() if kind == "secret"),
)
_WITH_KEYS: Final = (
    "CONTEXT7_API_URL",
    *(PREFIX + name for name, (kind, *_) in VARIABLES.items() if kind == "address"),
)
_REDACTED: Final = re.compile(r"\[(?:api-key|bearer-token|jwt|password|private-key)\]")
_UV_CACHE: Final = ("archive-v", "environments-v", "builds-v")
"""Prefixes of the folders in uv's cache for environments of a single run."""


def shell_variables(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a shell that are copied, and the names of the secret ones."""
    clear = resolved(environ, working_directory())
    copied = {name: clear[name] for name in _COPIED if environ.get(name, "").strip()}
    secret = [name for name in _SECRET if environ.get(name, "").strip()]
    secret += [name for name in copied if name not in secret and _is_secret(name, copied[name])]
    return {name: text for name, text in copied.items() if name not in secret}, secret


def _is_secret(name: str, value: str) -> bool:
    """Tell whether a URL or a command line holds a key."""
    if name not in _WITH_KEYS:
        return False
    try:
        parts = [urlsplit(word) for word in value.split()]
    except ValueError:
        return True
    in_url = any("@" in each.netloc or each.query for each in parts)
    return in_url or "key" in value.lower() or bool(_REDACTED.search(redact(value)))


def lasting_command() -> list[str]:
    """Return the command line of this program; it survives a temporary environment."""
    return _by_runner(Path(sys.prefix)) or [_path()]


def _path() -> str:
    """Return this program's full path, as editors do not share the shell's PATH."""
    started = Path(sys.argv[0])
    if started.name.startswith(PROGRAM) and started.is_file():
        return os.path.join(working_directory(), started)  # noqa: PTH118  # the folder may be deleted
    return shutil.which(PROGRAM) or PROGRAM


def _by_runner(prefix: Path) -> list[str] | None:
    """Return the command line of the runner whose cache holds the environment `prefix`."""
    if any(part.startswith(_UV_CACHE) for part in prefix.parts):
        return [_full("uvx"), "--from", _source(), PROGRAM]
    if {"pipx", ".cache"} <= set(prefix.parts):
        return [_full("pipx"), "run", "--spec", _source(), PROGRAM]
    return None


def _full(program: str) -> str:
    """Return the full path of a runner on the PATH, or beside the uv that started this one."""
    beside = Path(os.environ.get("UV", "")).with_name(program) if os.environ.get("UV") else None
    found = shutil.which(program) or (str(beside) if beside and beside.is_file() else None)
    return found or program


def _source() -> str:
    """Return the source of this installation in the form of installers."""
    try:
        return source_in(distribution(PROGRAM).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return PROGRAM


def source_in(direct_url: str) -> str:
    """Return the source in the `direct_url.json` of an installed package. Pure."""
    record = json.loads(direct_url)
    url, version_control = str(record.get("url", "")), record.get("vcs_info")
    if version_control:
        revision = version_control.get("requested_revision")
        return f"{version_control['vcs']}+{url}" + (f"@{revision}" if revision else "")
    return unquote(urlsplit(url).path) if url.startswith("file:") else url or PROGRAM
