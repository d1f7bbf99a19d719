"""Requests of a command: what becomes of them, whatever the process behind the socket answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from context7_fabric.cli.session import CommandSession
from context7_fabric.errors import FabricError, UnusableFeedback
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import identity, resolved

WELCOME = b"welcome\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(tmp_path))
    monkeypatch.setenv("CONTEXT7_FABRIC_UPSTREAM", "off")
    monkeypatch.delenv("CONTEXT7_FABRIC_DAEMON", raising=False)
    return tmp_path


@contextmanager
def daemon(*connections: list[bytes]) -> Iterator[list[bytes]]:
    """Answer each line of each connection with the next of its bytes, then close it."""
    meant = resolved(os.environ, "/")
    listener = Endpoint.of(meant["CONTEXT7_FABRIC_HOME"], identity(meant)).listen()
    lines: list[bytes] = []

    def answer_all() -> None:
        for answers in connections:
            with suppress(OSError), listener.accept()[0] as client, client.makefile("rb") as sent:
                for answer in answers:
                    lines.append(sent.readline())
                    client.sendall(answer)
        while True:  # no further connection is answered
            try:
                listener.accept()[0].close()
            except OSError:
                return

    thread = Thread(target=answer_all, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        listener.shutdown(2)
        thread.join(5)
        listener.close()


def test_request_of_a_command_is_one_line_and_so_is_its_reply() -> None:
    reply = b'{"result": {"text": "a\\nb \\u00fc"}}\n'
    with daemon([WELCOME, reply]) as lines, CommandSession() as session:
        assert session.ask("docs", library="/a/b", question="x\ny") == {"text": "a\nb ü"}
    assert b"'wish': 'command'" in lines[0]
    arguments = {"library": "/a/b", "question": "x\ny"}
    assert json.loads(lines[1]) == {"command": "docs", "arguments": arguments}


def test_requests_of_one_command_share_a_connection() -> None:
    answers = [WELCOME, *(f'{{"result": {number}}}\n'.encode() for number in range(3))]
    with daemon(answers) as lines, CommandSession() as session:
        assert [session.ask("resolve", name=name) for name in "abc"] == [0, 1, 2]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("is_usage", "error"), [(True, UnusableFeedback), (False, FabricError)], ids=repr
)
def test_error_of_the_daemon_is_raised_with_its_text(
    is_usage: bool, error: type[FabricError]
) -> None:
    reply = json.dumps({"error": "no such call", "usage": is_usage}).encode() + b"\n"
    with (
        daemon([WELCOME, reply]),
        CommandSession() as session,
        pytest.raises(FabricError) as raised,
    ):
        session.ask("why", execution="x")
    assert (type(raised.value), str(raised.value)) == (error, "no such call")


def test_request_whose_daemon_ends_is_sent_to_the_next() -> None:
    next_one = [WELCOME, b'{"result": 2}\n']
    with daemon([WELCOME, b""], next_one) as lines, CommandSession() as session:
        assert session.ask("stats", since=0) == 2
    assert lines[1] == lines[3]


@pytest.mark.parametrize(
    "connections",
    [
        [[b"not here\n"]],
        [[WELCOME, b""], [WELCOME, b""]],
        [[WELCOME, b'{"result":'], [WELCOME, b'{"res']],
        [[WELCOME, b""], [b"full\n"]],
    ],
    ids=["refused", "closed", "half a reply", "full"],
)
def test_request_that_no_daemon_answers_is_answered_in_process(
    connections: list[list[bytes]],
) -> None:
    with daemon(*connections), CommandSession(records_only=True) as session:
        assert session.ask("why", execution="") is None


@pytest.mark.parametrize("mode", ["off", "OFF "])
def test_daemon_that_is_not_wanted_is_not_asked(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon([WELCOME]) as lines:
        monkeypatch.setenv("CONTEXT7_FABRIC_DAEMON", mode)
        with CommandSession(records_only=True) as session:
            assert session.ask("why", execution="") is None
    assert lines == []
