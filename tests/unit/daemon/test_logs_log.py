"""The daemon's log: bounded, for this user only, and nothing that is printed is lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from context7_fabric.daemon.logs import LARGEST, OLD, remove_old_logs

WRITING = """
import logging, os, sys
from pathlib import Path
from context7_fabric.daemon.logs import DaemonLogHandler
os.umask(0o077)
logging.basicConfig(level=logging.INFO, handlers=[DaemonLogHandler(Path(sys.argv[1]))])
"""


def wrote(log: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that logs to `log`."""
    return subprocess.run(
        [sys.executable, "-c", WRITING + program, str(log)],
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )


class TestWriting:
    def test_what_is_logged_and_what_is_printed_is_all_there(self, tmp_path: Path) -> None:
        log = tmp_path / "name.log"
        program = (
            "logging.info('logged'); print('printed', flush=True); os.system('echo from a child');"
            "os.write(2, b'complained\\n')"
        )
        done = wrote(log, program)
        lines = log.read_text("utf-8").splitlines()
        assert lines[0].endswith(" INFO: logged")
        assert lines[1:] == ["printed", "from a child", "complained"]
        assert (done.stdout, done.stderr) == ("", "")

    def test_it_goes_on_where_the_one_before_stopped(self, tmp_path: Path) -> None:
        log = tmp_path / "name.log"
        wrote(log, "logging.info('first')")
        wrote(log, "logging.info('second')")
        assert [line.split()[-1] for line in log.read_text("utf-8").splitlines()] == [
            "first",
            "second",
        ]

    def test_its_size_has_a_bound_and_what_is_printed_follows_to_the_new_file(
        self, tmp_path: Path
    ) -> None:
        log = tmp_path / "name.log"
        wrote(log, "for _ in range(4000): logging.info('x' * 1000)\nos.write(1, b'printed')")
        files = sorted(tmp_path.iterdir())
        assert [path.name for path in files] == ["name.log", "name.log.1"]
        assert all(path.stat().st_size <= LARGEST for path in files)
        assert log.read_text("utf-8").endswith("printed")

    def test_what_is_printed_counts(self, tmp_path: Path) -> None:
        log = tmp_path / "name.log"
        wrote(log, f"os.write(1, b'x' * {LARGEST})\nlogging.info('after')")
        assert log.stat().st_size < 100

    def test_only_this_user_may_read_it(self, tmp_path: Path) -> None:
        log = tmp_path / "name.log"
        wrote(log, "for _ in range(2000): logging.info('x' * 1000)")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == {0o600}


@pytest.fixture
def now() -> float:
    return 2_000_000_000.0


def put(folder: Path, name: str, written: float) -> None:
    path = folder / name
    path.touch()
    os.utime(path, (written, written))


class TestOldLogs:
    def test_of_a_daemon_that_is_gone_they_are_removed(self, tmp_path: Path, now: float) -> None:
        put(tmp_path, "gone.log", now - OLD - 1)
        put(tmp_path, "gone.log.1", now - OLD - 1)
        remove_old_logs(tmp_path, now)
        assert list(tmp_path.iterdir()) == []

    def test_what_may_still_be_of_use_is_kept(self, tmp_path: Path, now: float) -> None:
        put(tmp_path, "lately.log", now - OLD + 1)
        put(tmp_path, "lately.log.1", now - OLD + 1)
        put(tmp_path, "here.log", now - OLD - 1)
        put(tmp_path, "here.sock", now - OLD - 1)
        put(tmp_path, "something else", now - OLD - 1)
        before = sorted(tmp_path.iterdir())
        remove_old_logs(tmp_path, now)
        assert sorted(tmp_path.iterdir()) == before

    def test_a_folder_that_is_not_there_is_no_trouble(self, tmp_path: Path, now: float) -> None:
        remove_old_logs(tmp_path / "nowhere", now)
        assert list(tmp_path.iterdir()) == []
