"""Progress of long commands: lines with an estimate, and on a terminal a bar."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from context7_fabric.cli.progress import (
    EVERY_SECONDS,
    QUIET_SECONDS,
    ProgressBar,
    ProgressLines,
    interrupted,
    progress,
)

THREE = "3 of 4 files, about 10 seconds to go"


class Lines:
    """Lines that a task prints, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.printed: list[str] = []
        self.task = ProgressLines("Reading", self.printed.append, lambda: self.now)


def test_quick_task_prints_no_line() -> None:
    lines = Lines()
    lines.now += QUIET_SECONDS - 0.1
    lines.task.step("cloning")
    lines.task.done(1, 2, "1 of 2 files")
    assert lines.printed == []


def test_slow_task_prints_a_line_now_and_then_with_an_estimate() -> None:
    lines = Lines()
    lines.now += QUIET_SECONDS
    lines.task.done(10, 100, "10 of 100 files")
    lines.now += EVERY_SECONDS - 1
    lines.task.done(50, 100, "50 of 100 files")
    lines.now += 1
    lines.task.done(60, 100, "60 of 100 files")
    assert lines.printed == [
        "Reading: 10 of 100 files, about 27 seconds to go",
        "Reading: 60 of 100 files, about 12 seconds to go",
    ]


def test_estimate_begins_with_the_step() -> None:
    lines = Lines()
    lines.now += 600
    lines.task.step("reading\nfiles")
    lines.now += 30
    lines.task.done(3, 4, "3 of 4 files")
    assert lines.printed == [
        "Reading: reading files",
        "Reading: 3 of 4 files, about 10 seconds to go",
    ]


@pytest.mark.parametrize(("done", "total"), [(1, 100), (5, None), (0, 9), (9, 5)])
def test_nothing_is_estimated_from_too_little(done: float, total: float | None) -> None:
    lines = Lines()
    lines.now += 60
    lines.task.done(done, total, "some")
    assert lines.printed == ["Reading: some"]


def test_without_a_terminal_lines_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading") as shown:
        assert isinstance(shown, ProgressLines)
        shown.note("one file\nis left out")
    assert capsys.readouterr() == ("", "one file is left out\n")


def test_bar_shows_what_is_done_and_estimates_the_rest() -> None:
    with Progress(disable=True) as bar:
        shown = ProgressBar("Reading", bar)
        shown.step("cloning")
        assert bar.tasks[0].total is None
        shown.done(3, 4, "3 of 4 files")
        (task,) = bar.tasks
    assert (task.description, task.completed, task.total) == ("3 of 4 files", 3, 4)


def test_interrupted_is_one_line_and_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.unraisablehook", None)
    assert interrupted("all is kept") == 130
    assert capsys.readouterr().err == "context7-fabric: interrupted: all is kept\n"
