"""Installation of packages: once and complete, or a skip that names the reason."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.fetched import cache_folder, is_waiting
from support.npm import npm_package

FAILING = "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error at https://x' >&2\nexit 1\n"
WORKING = "#!/bin/sh\nmkdir -p node_modules/$1; echo once >> $XDG_CACHE_HOME/runs\n"
WAITING = WORKING.replace("mkdir", "cat $XDG_CACHE_HOME/gate; mkdir")
INTERRUPTING = "#!/bin/sh\nkill -USR1 $PPID\nexec cat\n"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


def test_an_installation_that_is_interrupted_leaves_nothing_and_is_tried_again(npm: Path) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    npm.write_text(INTERRUPTING)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            npm_package("four", "1.0.0")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert list(cache_folder("npm").iterdir()) == []
    npm.write_text(WORKING)
    assert npm_package("four", "1.0.0").is_dir()


def test_of_two_who_want_a_package_at_once_one_installs_it(npm: Path) -> None:
    gate = npm.with_name("gate")
    os.mkfifo(gate)
    npm.write_text(WAITING)
    with ThreadPoolExecutor(2) as threads:
        folders = [threads.submit(npm_package, "five", "1.0.0")]
        with gate.open("w"):  # npm runs by now
            folders.append(threads.submit(npm_package, "five", "1.0.0"))
            while not is_waiting(os.getpid()):
                assert not folders[1].done()
        assert folders[0].result() == folders[1].result()
    assert (npm.parent / "runs").read_text() == "once\n"
