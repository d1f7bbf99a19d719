"""The Makefile's installation: the locked versions, although an index offers newer ones.

A checkout in miniature stands for the repository: our Makefile, a project and locks of its own, and
a folder as index, in which a newer release of everything lies beside the locked one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.checkout import TOOLS, Checkout, checkout_in
from support.wheels import BACKEND, source_of, wheel

pytestmark = pytest.mark.timeout(480)

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
    """Versions of the packages that the demonstration, then the checks installed."""

    demo: dict[str, str]
    checks: dict[str, str]


@pytest.fixture(
    scope="module",
    params=[*(pytest.param(each, marks=pytest.mark.long) for each in TOOLS[:2]), TOOLS[2]],
)
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    checkout = _filled(checkout_in(tmp_path_factory.mktemp("install"), request.param))
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
    checkout = checkout_in(folder, tool)
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_a_demonstration_after_the_checks_changes_nothing(small: Checkout) -> None:
    installed = small.made(".venv/.ready-dev")
    assert "reader" in installed
    assert small.made("demo") == installed


@pytest.mark.parametrize("tool", [pytest.param(TOOLS[0], marks=pytest.mark.long), TOOLS[2]])
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
