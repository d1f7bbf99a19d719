"""`daemon logs`: the last lines, and following a log to wherever it goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from context7_fabric.cli.main import main
from context7_fabric.daemon.logs import follow, logs_in


class TestLogs:
    def test_that_there_is_none_is_one_clear_line(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["daemon", "logs"]) == 0
        result = f"context7-fabric: there is no log in {home}/daemon: no daemon has run\n"
        assert capsys.readouterr() == ("", result)

    def test_the_last_lines_of_each_are_printed_with_the_latest_log_at_the_end(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, at in (("a", 2_000), ("b", 1_000)):
            log = folder / f"{name}.log"
            log.write_text(f"{name} one\n{name} two\n{name} three\n")
            os.utime(log, (at, at))
        assert main(["daemon", "logs", "--lines", "2"]) == 0
        b, a = folder / "b.log", folder / "a.log"
        lines = [f"==> {b} <==", "b two", "b three", f"==> {a} <==", "a two", "a three"]
        assert capsys.readouterr().out.splitlines() == lines

    def test_lines_of_the_file_before_count_and_so_does_one_without_an_end(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "a.log.1").write_text("one\ntwo\n")
        (folder / "a.log").write_text("three\nFatal Python err")
        assert main(["daemon", "logs", "-n", "3"]) == 0
        assert capsys.readouterr().out.splitlines()[1:] == ["two", "three", "Fatal Python err"]

    def test_what_was_logged_steers_no_terminal(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "a.log").write_bytes(b"\x1b[2J\xff gone\n")
        assert main(["daemon", "logs"]) == 0
        assert capsys.readouterr().out.splitlines()[1] == "\ufffd[2J\ufffd gone"

    @pytest.mark.parametrize("lines", ["0", "-3", "many", "1.5", "", "²", "9" * 5000])
    def test_how_many_is_a_whole_number_from_one_on(
        self, home: Path, capsys: pytest.CaptureFixture[str], lines: str
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["daemon", "logs", f"--lines={lines}"])
        assert ended.value.code == 2
        assert "is not a whole number from 1 on" in capsys.readouterr().err


class TestFollowing:
    """`follow`, where each wait is used to write something."""

    def followed(self, folder: Path, *steps: Callable[[], object]) -> list[str]:
        """The lines that come of the steps, each of which brings one."""
        logs = logs_in(folder)
        for log in logs:
            log.last_lines(10)
        left = iter(steps)

        def wait() -> None:
            next(left)()

        lines = follow(folder, logs, wait)
        return [line for _log, line in islice(lines, len(steps))]

    def test_lines_come_when_they_are_complete(self, folder: Path) -> None:
        log = folder / "a.log"
        log.write_bytes(b"old\n")
        with log.open("ab", buffering=0) as file:
            logs = logs_in(folder)
            assert logs[0].last_lines(10) == ["old"]
            file.write(b"ha")
            assert logs[0].new_lines() == []
            file.write("lf ü\n".encode()[:4])
            assert logs[0].new_lines() == []
            file.write("lf ü\n".encode()[4:])
            assert logs[0].new_lines() == ["half ü"]
        assert logs[0].new_lines() == []

    def test_a_log_goes_on_when_another_file_takes_its_place(self, folder: Path) -> None:
        handler = RotatingFileHandler(folder / "a.log", maxBytes=25, backupCount=1)
        with closing(handler):

            def log(text: str) -> Callable[[], None]:
                return lambda: handler.emit(logging.makeLogRecord({"msg": text}))

            log("before")()
            texts = ["the first", "is long enough", "for another", "file, twice", "over"]
            assert self.followed(folder, *map(log, texts)) == texts
        assert (folder / "a.log.1").exists()

    def test_what_was_added_before_the_other_file_is_not_lost(self, folder: Path) -> None:
        log = folder / "a.log"
        log.write_text("old\n")
        (followed,) = logs_in(folder)
        assert followed.last_lines(10) == ["old"]
        with log.open("a") as file:
            file.write("at the end\n")
        log.rename(folder / "a.log.1")
        assert followed.new_lines() == []
        log.write_text("at the start\n")
        assert followed.new_lines() == ["at the end", "at the start"]

    def test_a_log_that_was_emptied_is_read_from_its_start(self, folder: Path) -> None:
        log = folder / "a.log"
        log.write_text("something long\n")
        steps = (lambda: log.write_text("short\n"),)
        assert self.followed(folder, *steps) == ["short"]

    def test_the_log_of_a_later_daemon_is_followed_too(self, folder: Path) -> None:
        steps = [
            lambda name=name: (folder / f"{name}.log").write_text(f"{name} begins\n")
            for name in ("a", "b")
        ]
        assert self.followed(folder, *steps) == ["a begins", "b begins"]
