"""npm packages, each set of exact versions installed once, outside the repository."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.fetched import filled, tried
from support.programs import needed

QUIETLY = ["--ignore-scripts", "--loglevel=error", "--no-audit", "--no-fund"]
INSTALL = ["npm", "install", *QUIETLY, "--no-package-lock", "--omit-lockfile-registry-resolved"]


def npm_package(name: str, version: str) -> Path:
    """The node_modules folder that holds this version of a package; skips the test without one."""
    return npm_packages({name: version})


def npm_packages(versions: Mapping[str, str]) -> Path:
    """The node_modules folder that holds these packages; skips the test without one."""
    needed("node", "npm")
    specifiers = " ".join(f"{name}@{version}" for name, version in sorted(versions.items()))
    installed = filled("npm", specifiers, _install)
    if isinstance(installed, str):
        pytest.skip(f"needs node: {installed}")
    return installed / "node_modules"


def _install(specifiers: str, folder: Path) -> str | None:
    (folder / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
    done = tried([*INSTALL, *specifiers.split()], folder)
    if isinstance(done, str) or done.returncode == 0:
        return done if isinstance(done, str) else None
    # Only npm's code: its prose names the address that it asked.
    code = re.search(r"code (E\w+)", done.stderr)
    return f"npm install failed ({code[1] if code else f'exit {done.returncode}'})"
