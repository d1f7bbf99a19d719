"""The relay imports next to nothing, forwards everything, and ends well."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from context7_fabric.relay.endpoint import Endpoint, endpoints
from context7_fabric.relay.handshake import identity, resolved
from support.client import Dialogue, talking
from support.daemons import daemon_of, daemons, daemons_of, kill, with_daemon, without_coverage
from support.processes import Process, children_of, one_within, spawn, wait_gone
from support.product import PROGRAM, run_product

OURS = "context7_fabric"
BEFORE_THE_HAND_SHAKE = {
    OURS,
    f"{OURS}.__main__",
    f"{OURS}.relay",
    f"{OURS}.variables",
    f"{OURS}.version",
    *(
        f"{OURS}.relay.{name}"
        for name in ("client", "endpoint", "folders", "forward", "handshake", "usage")
    ),
    *("__future__", "collections.abc", "fcntl", "signal", "zlib"),
    *("socket", "_socket", "array", "errno", "math", "select", "selectors"),
}
BEHIND_IT = {
    f"{OURS}.lenient_json",
    f"{OURS}.relay.replay",
    *("json", "json.decoder", "json.encoder", "json.scanner", "_json"),
}
LAST_OF_THEM = rf"\| +{OURS}\.relay\.client$"


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return with_daemon(home)


def imported(report: str) -> set[str]:
    """The modules that a report of `-X importtime` names."""
    return set(re.findall(r"^import time: .*\| +([\w.]+)$", report, re.MULTILINE))


def imported_by_any_script(environment: dict[str, str]) -> set[str]:
    """Return the imports of Python itself and of a console script."""
    script = [sys.executable, "-c", "import re, sys"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    return imported(done.stderr)


def test_it_imports_only_a_few_modules_of_the_standard_library(
    home: Path, environment: dict[str, str]
) -> None:
    environment = without_coverage(environment) | {"PYTHONPROFILEIMPORTTIME": "1"}
    anyway = imported_by_any_script(environment)
    with talking([PROGRAM], environment):
        pid = daemon_of(home)
    os.kill(pid, signal.SIGSTOP)
    with spawn([PROGRAM], environment) as process:
        process.err.wait_for(LAST_OF_THEM)
        before = imported(process.err.text)
        os.kill(pid, signal.SIGCONT)
        Dialogue(process).introduce()
        process.complaints()
    assert before - anyway <= BEFORE_THE_HAND_SHAKE
    assert imported(process.err.text) - anyway - BEFORE_THE_HAND_SHAKE <= BEHIND_IT
    assert f"{OURS}.relay.replay" in imported(process.err.text)


def test_its_package_is_imported_without_anything_else_of_it() -> None:
    program = f"import sys, {OURS}.relay.client; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    ours = {name for name in done.stdout.split() if name.startswith(OURS)}
    assert ours <= BEFORE_THE_HAND_SHAKE


def test_a_client_hears_through_it_what_it_would_hear_without(environment: dict[str, str]) -> None:
    alone = {**environment, "CONTEXT7_FABRIC_DAEMON": "off"}
    heard = []
    for each in (environment, alone):
        with spawn([PROGRAM], each) as process:
            dialogue = Dialogue(process)
            result = dialogue.introduce()
            heard.append([result, dialogue.ask("tools/list"), dialogue.ask("prompts/list")])
    assert heard[0] == heard[1]


def test_long_lines_get_through_in_both_directions(environment: dict[str, str]) -> None:
    with talking([PROGRAM], environment) as dialogue:
        name = "x" * 3_000_000
        number = dialogue.start("tools/call", name=name)
        assert name in dialogue.process.out.wait_for(rf'"id":{number}\b').string


HOW: dict[str, Callable[[Process], None]] = {
    "the end of its input": lambda process: process.close_stdin(),
    "SIGTERM": lambda process: process.popen.send_signal(signal.SIGTERM),
    "SIGINT": lambda process: process.popen.send_signal(signal.SIGINT),
}


@pytest.mark.parametrize("how", HOW)
def test_it_ends_at_once_without_a_word_and_the_daemon_stays(
    home: Path, environment: dict[str, str], how: str
) -> None:
    def took() -> float:
        with talking([PROGRAM], environment) as dialogue:
            process = dialogue.process
            assert children_of(process.pid) == set()
            began = time.monotonic()
            HOW[how](process)
            wait_gone([process.pid])
            seconds = time.monotonic() - began
            assert process.wait() == 0
            process.err.close()
            assert process.err.text == ""
            return seconds

    one_within(0.9, took)
    assert len(daemons_of(home)) == 1


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_it_ends_in_good_order_while_it_waits_for_the_daemon(
    home: Path, environment: dict[str, str], how: str
) -> None:
    meant = resolved(environment, str(Path.cwd()))
    with (
        Endpoint.of(str(home), identity(meant)).listen() as listener,
        spawn([PROGRAM], environment) as process,
    ):
        listener.settimeout(5)
        with listener.accept()[0] as connection:
            assert connection.recv(1)
            HOW[how](process)
            wait_gone([process.pid])
        assert process.wait() == 0
        process.err.close()
        assert process.err.text == ""


STARTED = {
    "by a script, behind it": ["sh", "-c", '"$@" <&3 & wait', "sh"],
    "by a script that ignores both": ["sh", "-c", 'trap "" INT TERM; exec "$@" <&3', "sh"],
    "with nohup, behind it": ["sh", "-c", 'nohup "$@" <&3 & wait', "sh"],
}
"""Ways of being started that hand down ignored signals; standard input is at descriptor 3."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("started", STARTED)
def test_a_relay_started_with_its_signals_ignored_ends_by_them(
    home: Path, environment: dict[str, str], started: str, number: int
) -> None:
    command = ["sh", "-c", 'exec "$@" 3<&0', "sh", *STARTED[started], PROGRAM]
    with talking(command, environment) as dialogue:
        relays = children_of(dialogue.process.pid) | {dialogue.process.pid}
        (relay,) = (pid for pid in relays if b"context7-fabric" in _words(pid)[1])
        os.kill(relay, number)
        wait_gone([relay])
    assert len(daemons_of(home)) == 1


def _words(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.mark.parametrize("how", HOW)
def test_a_daemon_that_hangs_does_not_keep_it(
    home: Path, environment: dict[str, str], how: str
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        os.kill(daemon_of(home), signal.SIGSTOP)
        dialogue.start("tools/list")
        HOW[how](dialogue.process)
        wait_gone([dialogue.process.pid])
        assert dialogue.process.wait() == 0


@pytest.mark.parametrize("how", HOW)
def test_a_successor_that_says_nothing_does_not_keep_it(
    home: Path, environment: dict[str, str], how: str
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        first = daemon_of(home)
        os.kill(first, signal.SIGSTOP)
        dialogue.start("tools/list")
        (endpoint,) = endpoints(str(home))
        Path(endpoint.folder, f"{endpoint.name}.sock").unlink()
        with endpoint.listen() as listener:
            listener.settimeout(5)
            kill([first])
            with listener.accept()[0] as connection:
                assert connection.recv(1)
                HOW[how](dialogue.process)
                wait_gone([dialogue.process.pid])
                assert dialogue.process.wait() == 0


@pytest.mark.parametrize("words", ["--version", "--help", "context list", "daemon status"])
def test_command_that_needs_no_daemon_starts_none(
    home: Path, environment: dict[str, str], words: str
) -> None:
    assert run_product(*words.split(), env=environment).returncode == 0
    assert daemons_of(home) == set()
