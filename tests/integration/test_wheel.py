"""The installed wheel: complete, self-contained and reproducible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from context7_fabric.version import __version__

ROOT = Path(__file__).parents[2]
PIP_INSTALL = ["-m", "pip", "install", "--no-index", "--no-deps"]
EPOCH = "1767225600"
# Coverage is of the repository's files, not of the copy that a wheel holds.
_UNMEASURED = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}
REPORT = """
import importlib.metadata, json, pathlib, context7_fabric
root = pathlib.Path(context7_fabric.__file__).parent
print(json.dumps({
    "root": str(root),
    "version": context7_fabric.__version__,
    "metadata": importlib.metadata.version("context7-fabric"),
    "typed": (root / "py.typed").is_file(),
    "lua": sorted(p.name for p in root.rglob("*.lua")),
    "seeds": sorted(p.name for p in (root / "seeds").rglob("*") if p.is_file()),
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("built"))


def test_a_wheel_installed_elsewhere_is_complete(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    wheel = _wheel(built)
    _run(tmp_path, [*PIP_INSTALL, "--target", str(target), str(wheel)])
    printed = _run(tmp_path, ["-c", REPORT], PYTHONPATH=str(target))
    report = json.loads(printed)
    seeds = sorted(path.name for path in (ROOT / "seeds").rglob("*") if path.is_file())
    lua = sorted(path.name for path in (ROOT / "server").rglob("*.lua"))
    assert seeds
    assert lua
    assert report == {
        "root": str(target / "context7_fabric"),
        "version": __version__,
        "metadata": __version__,
        "typed": True,
        "lua": lua,
        "seeds": seeds,
    }


def test_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert _contents(_build(ROOT, tmp_path)) == _contents(built)


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    rebuilt = _build(unpacked, tmp_path / "again")
    assert _wheel(rebuilt).read_bytes() == _wheel(built).read_bytes()


def _build(source: Path, folder: Path) -> Path:
    _run(source, ["-m", "hatchling", "build", "-d", str(folder)], SOURCE_DATE_EPOCH=EPOCH)
    return folder


def _wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _run(folder: Path, arguments: list[str], **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_UNMEASURED | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
