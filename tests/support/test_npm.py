"""Packages are installed once and whole, or the test that wants them says why it is skipped."""

import os
from pathlib import Path

import pytest

from support import npm as npm_module
from support.npm import npm_package

FAILING = "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error at https://x' >&2\nexit 1\n"
WORKING = "#!/bin/sh\nmkdir -p node_modules/$1; echo once >> $XDG_CACHE_HOME/runs\n"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm and a node of our own making, first on the path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("node", "npm"):
        Path(tmp_path, name).touch(mode=0o700)
    return tmp_path / "npm"


def test_a_package_is_installed_once(npm: Path) -> None:
    npm.write_text(WORKING)
    folders = [npm_package("one", "1.0.0"), npm_package("one", "1.0.0")]
    assert folders[0] == folders[1]
    assert folders[0].is_dir()
    assert (npm.parent / "runs").read_text() == "once\n"
    assert list(folders[0].parent.parent.iterdir()) == [folders[0].parent]


def test_a_failure_skips_the_test_without_naming_addresses(npm: Path) -> None:
    npm.write_text(FAILING)
    with pytest.raises(pytest.skip.Exception) as skipped:
        npm_package("two", "1.0.0")
    assert str(skipped.value) == "needs node: npm install failed (E404)"


def test_the_slower_of_two_installations_leaves_the_faster_ones(tmp_path: Path) -> None:
    draft, home = tmp_path / "draft", tmp_path / "home"
    for folder in (draft, home):
        Path(folder, "node_modules", folder.name).mkdir(parents=True)
    assert npm_module._move(draft, home) is None
    assert (home / "node_modules" / "home").is_dir()


def test_without_node_the_test_is_skipped(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="needs node"):
        npm_package("three", "1.0.0")
