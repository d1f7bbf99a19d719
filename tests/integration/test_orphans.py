"""End of orphaned processes: each process is killed in turn, and those that served it alone end."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.client import Dialogue, outcome_of, talking
from support.context7_api import Api
from support.daemons import daemon_of, daemons, daemons_of, kill, with_daemon
from support.processes import children_of, spawn, wait_gone
from support.product import PROGRAM, Variables

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
OTHERS = {"libraryId": "/fastapi/fastapi", "query": "How do I serve static files?"}
IDLE = 1.0

CLIENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
print(child.pid, flush=True)
for line in sys.stdin.buffer:
    child.stdin.write(line)
    child.stdin.flush()
"""


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path, by_command: Variables) -> dict[str, str]:
    """Variables of a daemon that starts its upstream and ends soon after its last session."""
    return with_daemon(home, {**by_command, "CONTEXT7_FABRIC_DAEMON_IDLE": f"{IDLE:g}s"})


@contextmanager
def client_of(command: list[str], environment: dict[str, str]) -> Iterator[tuple[Dialogue, int]]:
    """Start a client that starts a relay; yield its dialogue after a call, and the relay's pid."""
    with spawn([sys.executable, "-c", CLIENT, *command], environment) as client:
        relay = int(client.out.wait_for(r"^\d+$")[0])
        dialogue = Dialogue(client)
        dialogue.introduce()
        assert outcome_of(dialogue.call("query-docs", **ASKED)) == "miss"
        yield dialogue, relay


def test_when_the_client_is_killed_its_relay_ends_and_then_daemon_and_upstream(
    home: Path, environment: dict[str, str]
) -> None:
    with client_of([PROGRAM], environment) as (client, relay):
        daemon = daemon_of(home)
        upstream = children_of(daemon)
        assert upstream
        os.kill(client.process.pid, signal.SIGKILL)
        wait_gone([relay])
        wait_gone([daemon, *upstream])


def test_when_a_relay_is_killed_the_daemon_serves_the_others_and_then_leaves(
    home: Path, environment: dict[str, str]
) -> None:
    with talking([PROGRAM], environment) as other:
        with talking([PROGRAM], environment) as dialogue:
            dialogue.call("query-docs", **ASKED)
            kill([dialogue.process.pid])
        assert outcome_of(other.call("query-docs", **ASKED)) == "hit"
        daemon = daemon_of(home)
        upstream = children_of(daemon)
    wait_gone([daemon, *upstream])


def test_a_relay_killed_in_mid_call_does_not_keep_the_daemon(
    api: Api, home: Path, environment: dict[str, str]
) -> None:
    with api.gate() as gate, talking([PROGRAM], environment) as dialogue:
        dialogue.start("tools/call", name="query-docs", arguments=ASKED)
        gate.wait_for(1)
        daemon = daemon_of(home)
        upstream = children_of(daemon)
        kill([dialogue.process.pid])
        wait_gone([daemon, *upstream])


def test_when_the_daemon_is_killed_its_upstream_ends(
    home: Path, environment: dict[str, str]
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        dialogue.call("query-docs", **ASKED)
        daemon = daemon_of(home)
        upstream = children_of(daemon)
        assert upstream
        kill([daemon])
        wait_gone(upstream)


def test_when_upstream_is_killed_the_daemon_starts_another(
    home: Path, environment: dict[str, str]
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        dialogue.call("query-docs", **ASKED)
        daemon = daemon_of(home)
        upstream = children_of(daemon)
        kill(upstream)
        assert outcome_of(dialogue.call("query-docs", **OTHERS)) == "miss"
        assert daemons_of(home) == {daemon}
        successors = children_of(daemon)
        assert successors
        assert not successors & upstream
    wait_gone([daemon, *successors])


def test_a_relay_whose_daemon_and_client_are_killed_at_once_ends(
    home: Path, environment: dict[str, str]
) -> None:
    with client_of([PROGRAM], environment) as (client, relay):
        daemon = daemon_of(home)
        for pid in (daemon, client.process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_gone([relay])


def test_an_in_process_server_ends_with_its_client(home: Path, environment: dict[str, str]) -> None:
    with client_of([PROGRAM], environment) as (client, relay):
        (home / "daemon").rename(home / "away")
        (home / "daemon").touch()
        kill([daemon_of(home)])
        assert outcome_of(client.call("query-docs", **OTHERS)) == "miss"
        upstream = children_of(relay)
        assert upstream
        os.kill(client.process.pid, signal.SIGKILL)
        wait_gone([relay, *upstream])
