"""The daemon serves its own user alone, and uses each client's credential for that client alone."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.relay.handshake import STATUS, hello, resolved
from support.client import Dialogue, outcome_of, talking, until
from support.context7_api import Api
from support.daemons import daemon_of, daemons, daemons_of, kill, log_of, with_daemon
from support.product import PROGRAM, Variables

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
OTHERS = {"libraryId": "/fastapi/fastapi", "query": "How do I serve static files?"}
ONE, OTHER = "ctx7sk-one-0123456789", "ctx7sk-other-0123456789"
OTHER_USER = 65534
REFUSED = "refused a connection of another user's process"

VISIT = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[3]))
with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(5)
    connection.connect(sys.argv[2])
    connection.sendall(sys.stdin.buffer.read())
    sys.stdout.buffer.write(connection.recv(65536))
"""


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path, by_http: Variables) -> dict[str, str]:
    return with_daemon(home, {**by_http, "CONTEXT7_FABRIC_LOG_LEVEL": "debug"})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_of(home: Path) -> Path:
    (path,) = (home / "daemon").glob("*.sock")
    return path


class TestTheUserAlone:
    def test_home_socket_and_log_are_closed_to_other_users(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        loose = ["sh", "-c", f"umask 0 && exec {PROGRAM}"]
        with talking(loose, environment) as dialogue:
            dialogue.call("query-docs", **ASKED)
            entries = list((home / "daemon").iterdir())
            assert {mode_of(home), mode_of(home / "daemon")} == {0o700}
            assert {mode_of(entry) for entry in entries} == {0o600}
            assert {entry.suffix for entry in entries} == {".sock", ".log"}

    @pytest.mark.parametrize("opened", [True, False], ids=["opened", "closed"])
    def test_process_of_another_user_gets_no_reply(
        self, home: Path, environment: dict[str, str], *, opened: bool
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can act as another user")
        with talking([PROGRAM], environment) as dialogue:
            path = socket_of(home)
            if opened:
                path.parent.chmod(0o755)
                path.chmod(0o666)
            done = visited(path, OTHER_USER)
            assert done.stdout == b""
            assert (b"PermissionError" in done.stderr) is not opened
            if opened:
                until(dialogue, lambda: REFUSED in log_of(home))
            assert (REFUSED in log_of(home)) is opened
            path.chmod(0o600)
            path.parent.chmod(0o700)
            result: dict[str, Any] = json.loads(visited(path, os.getuid()).stdout)
            assert result["pid"] == daemon_of(home)

    def test_socket_of_another_user_is_not_sent_a_key(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can act as another user")
        with talking([PROGRAM], environment):
            path = socket_of(home)
            kill([daemon_of(home)])
        path.unlink()
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(str(path))
            listen_as_another_user(theirs)
            theirs.settimeout(5)
            with talking([PROGRAM, "--api-key", ONE], environment) as dialogue:
                assert outcome_of(dialogue.call("query-docs", **ASKED)) == "miss"
                assert daemons_of(home) == set()
            with theirs.accept()[0] as connection:
                assert connection.recv(1) == b""


def visited(path: Path, user: int) -> subprocess.CompletedProcess[bytes]:
    """Ask the daemon for its status as a process of a user with this id."""
    said = hello(STATUS, resolved(os.environ, "/"), "/", None)
    words = [sys.executable, "-c", VISIT, str(path.parent), path.name, str(user)]
    # Without our environment: measuring its coverage would have another user write into our folder.
    return subprocess.run(words, input=said, env={}, capture_output=True, timeout=40, check=False)


def listen_as_another_user(listener: socket.socket) -> None:
    os.seteuid(OTHER_USER)
    try:
        listener.listen()
    finally:
        os.seteuid(0)


class TestCredentials:
    def test_calls_of_each_client_carry_its_own_key(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        by_variable = {**environment, "CONTEXT7_API_KEY": OTHER}
        with (
            talking([PROGRAM, "--api-key", ONE], environment) as one,
            talking([PROGRAM], by_variable) as other,
            talking([PROGRAM], environment) as keyless,
        ):
            for client in (one, other, keyless, one):
                client.call("resolve-library-id", libraryName="fastapi", query=f"{id(client)}")
                client.call("query-docs", **{**ASKED, "query": f"What is {id(client)}?"})
            assert len(daemons_of(home)) == 1
        docs = [each.key for each in api.requests if each.call.endpoint == "docs"]
        assert docs == [ONE, OTHER, None]

    def test_what_one_fetched_with_a_key_the_other_is_not_served(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        with (
            talking([PROGRAM, "--api-key", ONE], environment) as one,
            talking([PROGRAM, "--api-key", OTHER], environment) as other,
        ):
            outcomes = [outcome_of(each.call("query-docs", **ASKED)) for each in (one, other, one)]
            assert outcomes == ["miss", "miss", "hit"]
        assert [each.key for each in api.requests] == [ONE, OTHER]

    def test_calls_in_flight_for_two_keys_are_two_calls(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        with (
            talking([PROGRAM, "--api-key", ONE], environment) as one,
            talking([PROGRAM, "--api-key", OTHER], environment) as other,
            api.gate() as gate,
        ):
            numbers = [begun(each) for each in (one, other)]
            gate.wait_for(2)
            gate.release()
            results = [
                each.reply(number) for each, number in zip((one, other), numbers, strict=True)
            ]
        assert [outcome_of(result) for result in results] == ["miss", "miss"]
        assert {each.key for each in api.requests} == {ONE, OTHER}

    def test_a_key_is_nowhere_but_in_its_connection(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        by_variable = {**environment, "CONTEXT7_API_KEY": ONE}
        with (
            talking([PROGRAM], by_variable) as one,
            talking([PROGRAM, "--api-key", OTHER], by_variable) as other,
        ):
            for client in (one, other):
                assert outcome_of(client.call("query-docs", **ASKED)) == "miss"
            process = Path(f"/proc/{daemon_of(home)}")
            for place in ("environ", "cmdline"):
                assert b"ctx7sk" not in (process / place).read_bytes()
            kill([daemon_of(home)])
            assert outcome_of(one.call("query-docs", **OTHERS)) == "miss"
        assert api.requests[-1].key == ONE
        assert log_of(home)
        kept = [path for path in home.rglob("*") if path.is_file()]
        assert kept
        assert [path for path in kept if b"ctx7sk" in path.read_bytes()] == []


def begun(dialogue: Dialogue) -> int:
    return dialogue.start("tools/call", name="query-docs", arguments=ASKED)
