"""A checkout in miniature: our Makefile, a project and locks of its own, and a folder as index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.programs import needed
from support.wheels import BACKEND, lock, wheel

ROOT = Path(__file__).parents[2]
BASE = getattr(sys, "_base_executable", sys.executable)
NEWEST_PIP = """#!/bin/sh
"{python}" "$@" || exit
[ "$2" = venv ] || exit 0
cd "$3"/lib/python*/site-packages && rm -rf pip pip-*.dist-info && cp -R {pip} .
"""
"""A Python whose environments have the newest pip."""

TOOLS = ("the pip of this Python", "the newest pip", "uv")
INSTALLED = """
import importlib.metadata, json
found = {each.name: each.version for each in importlib.metadata.distributions()}
print(json.dumps(found))
"""
HOSTILE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_CONSTRAINT": "/nowhere/constraints.txt",
    "PIP_NO_BINARY": ":all:",
    "PIP_ONLY_BINARY": ":all:",
    "PIP_PREFIX": "/nowhere",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "PYTHONHOME": "/nowhere",
    "UV_CONSTRAINT": "/nowhere/constraints.txt",
    "UV_NO_BUILD": "1",
    "UV_NO_CONFIG": "1",
    "UV_NO_VERIFY_HASHES": "1",
    "UV_REQUIRE_HASHES": "1",
    "UV_SYSTEM_PYTHON": "1",
    "VIRTUAL_ENV": "/nowhere",
}
"""Variables that a machine may have set for other projects."""


@dataclass
class Checkout:
    """A checkout in miniature, in a folder with a blank in its name."""

    folder: Path
    index: Path
    making: list[str]
    run_time: dict[str, Path] = field(default_factory=dict)
    checks: dict[str, Path] = field(default_factory=dict)

    def offer(self, name: str, requires: list[str], *, locked: str = "1.5") -> Path:
        """Put a package into the index, and a newer one that must not be installed."""
        wheel(self.index, name, "1.9", requires)
        return wheel(self.index, name, locked, requires)

    def newer(self, name: str) -> Path:
        """Return the release of a package that no lock named so far."""
        return self.index / f"{name}-1.9-py3-none-any.whl"

    def write_locks(self) -> None:
        run_time, checks = self.run_time.values(), self.checks.values()
        (self.folder / "requirements.txt").write_text(lock(run_time))
        (self.folder / "requirements-dev.txt").write_text(lock([*run_time, *checks]))

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """Make a target among settings of pip and uv that are meant for other projects."""
        places = {"PIP_FIND_LINKS": self.index, "UV_FIND_LINKS": self.index}
        offline = {
            "PIP_NO_INDEX": "1",
            "UV_NO_INDEX": "1",
            "UV_CACHE_DIR": self.index.parent / "uv",
        }
        given = {name: str(value) for name, value in (HOSTILE | offline | places).items()}
        return subprocess.run(
            ["make", *self.making, target],
            cwd=self.folder,
            env=_plain_environment() | given,
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
        )

    def made(self, target: str) -> dict[str, str]:
        """Make a target that succeeds; return what is installed then, the tools left out."""
        done = self.make(target)
        assert done.returncode == 0, done.stdout + done.stderr
        python = self.folder / ".venv" / "bin" / "python"
        listing = subprocess.run([python, "-I", "-c", INSTALLED], capture_output=True, check=True)
        installed: dict[str, str] = json.loads(listing.stdout)
        return {name.lower(): installed[name] for name in installed if name != "pip"}


def _plain_environment() -> dict[str, str]:
    """Return the environment without what steers pip, uv, make and coverage."""
    steering = ("PIP_", "UV_", "MAKE", "MFLAGS", "COVERAGE_", "COV_", "PYTHON")
    return {name: text for name, text in os.environ.items() if not name.startswith(steering)}


def _tool(tool: str, folder: Path) -> list[str]:
    """Return the variables with which make takes a tool; skips the test where there is none."""
    needed("make")
    if tool == "uv":
        uv = Path(sys.executable).with_name("uv")
        if not uv.exists():
            pytest.skip("needs uv beside this Python")
        return [f"UV={uv}", f"PYTHON={BASE}"]
    if subprocess.run([BASE, "-c", "import ensurepip"], check=False).returncode:
        pytest.skip("needs ensurepip")
    if tool == "the pip of this Python":
        return ["UV=", f"PYTHON={BASE}"]
    pip = sorted(Path(pytest.importorskip("pip").__file__).parents[1].glob("pip*"))
    python = folder / "python"
    words = " ".join(f'"{each}"' for each in pip)
    python.write_text(NEWEST_PIP.format(python=BASE, pip=words))
    python.chmod(0o755)
    return ["UV=", f"PYTHON={python}"]


def checkout_in(folder: Path, tool: str) -> Checkout:
    """Lay out a checkout with a project of its own, which asks for `server` and `plain`."""
    place, index = folder / "a checkout", folder / "index"
    place.mkdir()
    index.mkdir()
    checkout = Checkout(place, index, _tool(tool, folder))
    shutil.copy(ROOT / "Makefile", place)
    main = 'def main():\n    print("the demonstration")\n'
    scripts = "[console_scripts]\ncontext7-fabric = context7_fabric.run:main\n"
    files = {
        "context7_fabric/__init__.py": "",
        "context7_fabric/run.py": main,
        "{info}/entry_points.txt": scripts,
    }
    wheel(place, "context7-fabric", "0.1", ["server", "plain>=1"], files)
    (place / "backend.py").write_text(BACKEND)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "context7-fabric"\nversion = "0.1"\n'
    )
    return checkout
