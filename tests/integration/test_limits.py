"""With few files or no threads, a client is served, or gets the reason in one line."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.client import Dialogue
from support.daemons import daemons, with_daemon
from support.processes import spawn
from support.product import BY_ITSELF, PROGRAM, product_environment

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
NO_THREADS = "ulimit -s 8000000; ulimit -v 4000000"
"""The stack of a thread is larger than all memory that a process may have."""


def limited(limits: str, *words: str) -> list[str]:
    """Return the command under the limits of a shell."""
    return ["sh", "-c", f'{limits}; exec "$@"', "sh", PROGRAM, *words]


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.mark.parametrize("files", [20, 25, 30])
def test_client_for_which_the_daemon_has_no_file_is_warned_and_served_in_process(
    home: Path, files: int
) -> None:
    environment = with_daemon(home)
    with ExitStack() as stack:
        while True:
            process = stack.enter_context(spawn(limited(f"ulimit -n {files}"), environment))
            dialogue = Dialogue(process)
            dialogue.introduce()
            if process.err.text:
                break
        assert dialogue.ask("tools/list")["tools"]
    (line,) = process.err.text.splitlines()
    assert "as many open files as it may" in line


@pytest.mark.parametrize(
    "words",
    [[], ["docs", "/a/b", "what"], ["resolve", "react"], ["--transport", "http", "--port", "0"]],
    ids=" ".join,
)
@pytest.mark.parametrize("limits", [NO_THREADS, "ulimit -n 9"], ids=["threads", "files"])
def test_command_without_threads_or_files_reports_it_in_one_line(
    home: Path, limits: str, words: list[str]
) -> None:
    environment = product_environment(home, OFFLINE | BY_ITSELF)
    with spawn(limited(limits, *words), environment) as process:
        complaints = process.complaints(1)
    assert "Traceback" not in "".join(complaints)
    assert "ulimit -" in complaints[-1]


def test_client_without_threads_reports_it_in_one_line(home: Path) -> None:
    environment = with_daemon(home)
    with spawn([PROGRAM], environment) as first:
        Dialogue(first).introduce()
        with spawn(limited(NO_THREADS), environment) as process:
            (line,) = process.complaints(1)
    assert "ulimit -u" in line
