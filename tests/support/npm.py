"""Brings npm packages, each set of exact versions once, into a folder outside the repository.

The folder lies below the user's cache folder and is shared by all checkouts. An installation
appears there whole or not at all. npm is asked as the user configured it: where it fetches from is
neither said nor kept here.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from support.fetched import cache_folder
from support.locks import alone_in
from support.programs import needed

INSTALL = [
    "npm",
    "install",
    "--ignore-scripts",
    "--loglevel=error",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--omit-lockfile-registry-resolved",
]
MINUTES = 5


def require_node() -> None:
    """Skip the test at hand where there is no node or no npm."""
    needed("node", "npm")


def npm_package(name: str, version: str) -> Path:
    """The node_modules folder that holds this version of a package; skips the test without one."""
    return npm_packages({name: version})


def npm_packages(versions: Mapping[str, str]) -> Path:
    """The node_modules folder that holds these packages; skips the test without one."""
    require_node()
    installed = _installed(tuple(sorted(versions.items())))
    if isinstance(installed, str):
        pytest.skip(f"needs node: {installed}")
    return installed


@cache
def _installed(versions: tuple[tuple[str, str], ...]) -> Path | str:
    """The folder, or why there is none; asked once a process, because failing takes long."""
    specifiers = [f"{name}@{version}" for name, version in versions]
    home = cache_folder("npm") / hashlib.sha256(" ".join(specifiers).encode()).hexdigest()[:16]
    modules = home / "node_modules"
    if modules.is_dir():
        return modules
    with alone_in(home.parent):
        return modules if modules.is_dir() else _install(specifiers, home) or modules


def _install(specifiers: list[str], home: Path) -> str | None:
    """Install beside the home and move into place; returns what went wrong."""
    draft = Path(tempfile.mkdtemp(dir=home.parent, prefix="draft-"))
    try:
        (draft / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
        problem = _run([*INSTALL, *specifiers], draft)
        return problem or _move(draft, home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _run(command: list[str], folder: Path) -> str | None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=MINUTES * 60, check=False
        )
    except subprocess.TimeoutExpired:
        return f"npm install took more than {MINUTES} minutes"
    if done.returncode == 0:
        return None
    # Only npm's code: its prose names the address that it asked.
    code = re.search(r"code (E\w+)", done.stderr)
    return f"npm install failed ({code[1] if code else f'exit {done.returncode}'})"


def _move(draft: Path, home: Path) -> str | None:
    try:
        draft.rename(home)
    except OSError as error:
        return f"npm's packages could not be kept ({error.strerror})"
    return None
