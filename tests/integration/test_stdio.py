"""Kinds of stdin and stdout: pipes, sockets, one socket for both, a file."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from support.client import call, outcome_of
from support.mcp_upstream import mcp_upstream
from support.product import PROGRAM, SECONDS, product_environment, run_product

pytestmark = pytest.mark.either_mode

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


class Reader(Protocol):
    def readline(self) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> None: ...


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})


@contextmanager
def started(env: dict[str, str], stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """The product with these descriptors, which are closed here."""
    process = subprocess.Popen([PROGRAM], env=env, stdin=stdin, stdout=stdout)
    for fd in {stdin, stdout}:
        os.close(fd)
    try:
        yield process
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def converse(incoming: Reader, outgoing: Writer) -> None:
    """See requests answered one after the other."""
    for message, answered in ((INITIALIZE, 0), (INITIALIZED, None), (PING, 1)):
        outgoing.write(line(message))
        outgoing.flush()
        if answered is not None:
            assert json.loads(incoming.readline())["id"] == answered


def test_one_socket_may_be_both(environment: dict[str, str]) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(SECONDS)
    with started(environment, (fd := theirs.detach()), fd), ours, ours.makefile("rwb") as both:
        converse(both, both)
        ours.shutdown(socket.SHUT_WR)
        assert both.read() == b""


def test_each_may_be_a_socket_of_its_own(environment: dict[str, str]) -> None:
    (to_it, its_in), (from_it, its_out) = socket.socketpair(), socket.socketpair()
    to_it.settimeout(SECONDS)
    from_it.settimeout(SECONDS)
    with (
        started(environment, its_in.detach(), its_out.detach()),
        from_it,
        from_it.makefile("rb") as incoming,
    ):
        with to_it, to_it.makefile("wb") as outgoing:
            converse(incoming, outgoing)
        assert incoming.read() == b""


def test_requests_that_are_piped_in_are_answered_before_the_end(home: Path) -> None:
    with mcp_upstream() as upstream:
        environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
        asked = call("query-docs", 2, libraryId="/widgets/widget1", query="start")
        typed = b"".join(map(line, (INITIALIZE, INITIALIZED, asked))).decode()
        done = run_product(env=environment, typed=typed)
    replies = [json.loads(each) for each in done.stdout.splitlines()]
    (answer,) = (each for each in replies if each.get("id") == 2)
    assert outcome_of(answer["result"]) == "miss"


def test_a_file_is_read_to_its_end(environment: dict[str, str], tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked", tmp_path / "answered"
    asked.write_bytes(line(INITIALIZE))
    with started(
        environment, os.open(asked, os.O_RDONLY), os.open(answered, os.O_CREAT | os.O_WRONLY)
    ):
        pass
    assert json.loads(answered.read_bytes().splitlines()[0])["id"] == 0
