"""The Makefile's installation: what the locks name, whatever else an index offers.

A checkout in miniature stands for the repository: our Makefile, a project and locks of its own, and
a folder as index, in which a newer release of everything lies beside the locked one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.wheels import BACKEND, lock, source_of, wheel

ROOT = Path(__file__).parents[2]
BASE = getattr(sys, "_base_executable", sys.executable)
pytestmark = pytest.mark.timeout(240)
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
SHAPES: Mapping[str, Mapping[str, list[str]]] = {
    "a lower bound": {"runner": ["measure[toml]>=1"], "measure": ['reader; extra == "toml"']},
    "no bound": {"plain": ["bare[all]"], "bare": ['reader>=1; extra == "all"']},
    "a chain": {
        "server": ["loops[fast]~=1.0"],
        "loops": ['speed[native]>=1,<9; extra == "fast"'],
        "speed": ['core; extra == "native"'],
        "core": [],
    },
    "a marker": {
        "client": ['proxy[socks]>=1; python_version >= "3"'],
        "proxy": ['socket5>=1; extra == "socks" and sys_platform != "win32"'],
        "socket5": [],
    },
    "itself": {
        "suite": ['suite[one,two]; extra == "every"', 'reader; extra == "one"'],
        "whole": ["suite[every]!=2"],
    },
    "another spelling": {"speller": ["Some_Thing[Extra]>=1"], "some-thing": []},
}
"""Each has a package that asks for another one with an extra."""

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
"""What a machine may have set for other projects."""


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
            timeout=110,
            check=False,
        )

    def made(self, target: str) -> dict[str, str]:
        """Make a target that succeeds; return what is installed then, the tools left out."""
        done = self.make(target)
        assert done.returncode == 0, done.stdout + done.stderr
        python = self.folder / ".venv" / "bin" / "python"
        told = subprocess.run([python, "-I", "-c", INSTALLED], capture_output=True, check=True)
        installed: dict[str, str] = json.loads(told.stdout)
        return {name.lower(): installed[name] for name in installed if name != "pip"}


def _plain_environment() -> dict[str, str]:
    """Return the environment without what steers pip, uv, make and coverage."""
    steering = ("PIP_", "UV_", "MAKE", "MFLAGS", "COVERAGE_", "COV_", "PYTHON")
    return {name: text for name, text in os.environ.items() if not name.startswith(steering)}


def _tool(tool: str, folder: Path) -> list[str]:
    """Return the variables with which make takes a tool; skips the test where there is none."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
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


def _checkout(folder: Path, tool: str) -> Checkout:
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


def _filled(checkout: Checkout) -> Checkout:
    """Lock all shapes, `runner` and what it needs for the checks alone."""
    checkout.run_time["reader"] = checkout.offer("reader", [])
    for shape, packages in SHAPES.items():
        where = checkout.checks if shape == "a lower bound" else checkout.run_time
        where |= {name: checkout.offer(name, needs) for name, needs in packages.items()}
    built_by = {"setuptools/__init__.py": "", "setuptools/build_meta.py": BACKEND}
    wheel(
        checkout.index, "setuptools", "99", files={"setuptools/build_meta.py": "raise SystemExit"}
    )
    checkout.checks["setuptools"] = wheel(checkout.index, "setuptools", "1.5", files=built_by)
    checkout.checks["source-only"] = source_of(
        wheel(checkout.index, "source-only", "1.5"), "setuptools"
    )
    checkout.write_locks()
    return checkout


@dataclass(frozen=True)
class Installed:
    """What was installed for the demonstration, and then for the checks."""

    demo: dict[str, str]
    checks: dict[str, str]


@pytest.fixture(scope="module", params=TOOLS)
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    checkout = _filled(_checkout(tmp_path_factory.mktemp("install"), request.param))
    demo = checkout.made("demo")
    return Installed(demo, checkout.made(".venv/.ready-dev"))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_installation_beside_newer_releases_takes_the_locked_ones(
    installed: Installed, shape: str
) -> None:
    assert {installed.checks[name] for name in SHAPES[shape]} == {"1.5"}


def test_an_installation_for_the_demonstration_has_nothing_of_the_checks(
    installed: Installed,
) -> None:
    assert installed.checks.keys() - installed.demo.keys() == {
        "measure",
        "runner",
        "setuptools",
        "source-only",
    }
    assert installed.demo.items() <= installed.checks.items()


@pytest.fixture
def small(tmp_path: Path) -> Checkout:
    """A checkout whose locks hold two packages; uv installs them."""
    return _small(tmp_path, "uv")


def _small(folder: Path, tool: str) -> Checkout:
    checkout = _checkout(folder, tool)
    offered = {name: checkout.offer(name, []) for name in ("server", "plain", "reader")}
    checkout.run_time |= {"server": offered["server"], "plain": offered["plain"]}
    checkout.checks |= {"reader": offered["reader"]}
    checkout.checks["setuptools"] = wheel(checkout.index, "setuptools", "1.5")
    checkout.write_locks()
    return checkout


def test_an_environment_whose_lock_changed_is_made_anew(small: Checkout) -> None:
    small.run_time["stale"] = small.offer("stale", ["plain<1.6"])
    small.write_locks()
    assert small.made("demo")["stale"] == "1.5"
    del small.run_time["stale"]
    small.run_time["plain"] = small.newer("plain")
    small.write_locks()
    installed = small.made("demo")
    assert installed["plain"] == "1.9"
    assert "stale" not in installed


def test_an_environment_whose_lock_of_the_checks_changed_is_made_anew(small: Checkout) -> None:
    small.checks["stale"] = small.offer("stale", ["reader<1.6"])
    small.write_locks()
    assert small.made(".venv/.ready-dev")["stale"] == "1.5"
    del small.checks["stale"]
    small.checks["reader"] = small.newer("reader")
    small.write_locks()
    os.utime(small.folder / "requirements.txt", (0, 0))
    installed = small.made(".venv/.ready-dev")
    assert installed["reader"] == "1.9"
    assert "stale" not in installed


@pytest.mark.parametrize("left", ["nothing ready", "no Python", "another place"])
def test_an_environment_that_cannot_be_used_is_made_anew(small: Checkout, left: str) -> None:
    before = small.made("demo")
    venv = small.folder / ".venv"
    if left == "nothing ready":
        (venv / ".ready").unlink()
        (venv / ".locked").unlink()
        shutil.rmtree(venv / "lib")
    elif left == "no Python":
        (venv / "bin" / "python").unlink()
    else:
        small.folder = small.folder.rename(small.folder.with_name("moved"))
    assert small.made("demo") == before


def test_a_demonstration_after_the_checks_changes_nothing(small: Checkout) -> None:
    installed = small.made(".venv/.ready-dev")
    assert "reader" in installed
    assert small.made("demo") == installed


@pytest.mark.parametrize("tool", [TOOLS[0], TOOLS[2]])
@pytest.mark.parametrize("fault", ["a package is missing", "a hash is wrong"])
def test_a_lock_that_is_wrong_installs_nothing_that_is_ready(
    tmp_path: Path, tool: str, fault: str
) -> None:
    checkout = _small(tmp_path, tool)
    if fault == "a package is missing":
        checkout.run_time["asking"] = checkout.offer("asking", ["reader[all]>=1"])
        checkout.write_locks()
    else:
        wheel(checkout.index, "plain", "1.5", ["server"])
    done = checkout.make("demo")
    assert done.returncode != 0
    assert ("reader" if "package" in fault else "hash") in done.stderr.lower()
    assert "the demonstration" not in done.stdout
    assert not (checkout.folder / ".venv" / ".ready").exists()
