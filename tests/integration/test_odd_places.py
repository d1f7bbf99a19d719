"""Commands whose streams are closed, full or a terminal, and whose working directory is gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from support.client import Dialogue
from support.processes import spawn
from support.product import BY_ITSELF, PROGRAM, product_environment, run_product

pytestmark = pytest.mark.timeout(180)
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
ALONE = {**OFF, **BY_ITSELF}
"""For commands run in a shell: a closed stream has the same effect with and without a daemon."""
SECONDS = 50


def in_shell(
    line: str, env: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell in which `$0` is the program."""
    return subprocess.run(
        ["sh", "-c", line, PROGRAM],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("$0 stats >&-", 1, "standard output is closed: the result cannot be printed"),
        ("$0 token list --json 2>&-", 0, None),
        ("$0 context set key - <&-", 0, None),
        ("$0 stats | head -n 1 > /dev/null", 0, None),
    ],
)
def test_stream_that_takes_nothing_ends_a_command_with_at_most_one_line(
    home: Path, line: str, code: int, message: str | None
) -> None:
    done = in_shell(line, product_environment(home, ALONE))
    assert (done.returncode, done.stderr) == (
        code,
        "" if message is None else f"context7-fabric: {message}\n",
    )


@pytest.mark.parametrize("words", [["stats"], ["--help"], ["doctor", "--json"]], ids=" ".join)
def test_output_without_room_ends_a_command_with_one_line(home: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run_product(*words, env=product_environment(home, ALONE), stdout=full)
    reason = "the output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (1, f"context7-fabric: {reason}\n")


def test_terminal_of_one_column_is_no_fault(home: Path) -> None:
    done = run_product("doctor", env={**product_environment(home, ALONE), "COLUMNS": "1"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict", "latin-1"])
def test_stream_of_few_characters_takes_a_text_of_many(home: Path, encoding: str) -> None:
    environment = product_environment(home, {**ALONE, "PYTHONIOENCODING": encoding})
    line = "$0 context set 'schlüssel 🎉' '日本語 “quoted” 🎉' && $0 context list"
    done = in_shell(line, {**environment, "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5" in done.stdout


@pytest.mark.parametrize("words", ["doctor", "daemon status", "config cursor", "daemon logs"])
def test_working_directory_that_was_deleted_is_no_fault(
    home: Path, tmp_path: Path, words: str
) -> None:
    (tmp_path / "gone").mkdir()
    done = in_shell(
        f'rmdir "$PWD" && $0 {words}', product_environment(home, ALONE), tmp_path / "gone"
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("daemon", ["auto", "off"])
def test_session_in_a_directory_that_was_deleted_is_served(
    home: Path, tmp_path: Path, daemon: str
) -> None:
    (tmp_path / "gone").mkdir()
    environment = product_environment(home, {**OFF, "CONTEXT7_FABRIC_DAEMON": daemon})
    command = ["sh", "-c", 'rmdir "$PWD" && exec $0', PROGRAM]
    with spawn(command, environment, tmp_path / "gone") as process:
        assert Dialogue(process).introduce()["serverInfo"]["name"] == "context7-fabric"
        assert process.err.text == ""


def test_interrupt_of_a_command_ends_it_quietly_with_130(home: Path) -> None:
    (home / "daemon").mkdir(parents=True)
    (home / "daemon" / "x.log").write_text("a line\n")
    with subprocess.Popen(
        [PROGRAM, "daemon", "logs", "--follow"],
        env=product_environment(home, OFF),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stdout.readline() == "a line\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SECONDS)[1] == ""
    assert process.returncode == 130


@pytest.mark.either_mode
@pytest.mark.parametrize("words", [[], ["serve"], ["--transport", "stdio"]])
def test_start_on_a_terminal_says_in_two_lines_what_it_is(home: Path, words: list[str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *words],
        env=product_environment(home, OFF),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        os.close(ours)
        rest = process.communicate(timeout=SECONDS)
    assert rest == ("", "")
    assert all(0 < len(line.rstrip()) <= 80 for line in lines)
    assert "context7-fabric config" in lines[1]
