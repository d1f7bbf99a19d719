"""Reading a relay's first line: what it says comes through whole, whatever else is no greeting."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.daemon.server import LONGEST, Handshake, read_handshake
from context7_fabric.relay.handshake import SERVE, hello, identity, resolved

SAID = {"wish": "serve", "identity": {"environment": {"A": "shared"}}, "window": {}}


def test_what_a_relay_says_is_understood() -> None:
    home = {"CONTEXT7_FABRIC_HOME": "/home/of/ours", "HTTPS_PROXY": "http://proxy"}
    environ = resolved({**home, "CONTEXT7_API_KEY": "ctx7sk-1", "TERM": "x"}, "/work")
    greeting = read_handshake(hello(SERVE, environ, "/work", "ctx7sk-2"))
    assert greeting == Handshake(
        "serve", identity(environ), {"CONTEXT7_API_KEY": "ctx7sk-1"}, "/work", "ctx7sk-2"
    )
    assert greeting.environ == {**home, "CONTEXT7_API_KEY": "ctx7sk-1"}


@given(value=st.text(min_size=1), key=st.text())
def test_any_text_comes_through(value: str, key: str) -> None:
    environ = {"CONTEXT7_FABRIC_HOME": "/h", "CONTEXT7_FABRIC_PRINCIPAL": value, "HTTP_PROXY": key}
    greeting = read_handshake(hello(SERVE, environ, "/", key))
    assert greeting.environ == {name: text for name, text in environ.items() if text}
    assert greeting.api_key == key


def test_a_windows_own_variable_goes_before_the_daemons() -> None:
    said = {**SAID, "window": {"A": "own", "B": "more"}}
    assert read_handshake(repr(said).encode()).environ == {"A": "own", "B": "more"}


def test_without_an_environment_there_is_the_windows() -> None:
    assert read_handshake(repr({**SAID, "identity": {}}).encode()).environ == {}


def test_it_is_not_shown_with_its_credentials() -> None:
    said = {**SAID, "window": {"CONTEXT7_API_KEY": "ctx7sk-1"}, "api_key": "ctx7sk-2"}
    assert "ctx7sk" not in repr(read_handshake(repr(said).encode()))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"\xff",
        b"[]",
        b"None",
        b"{[]: 1}",
        b"{'wish': 'serve'}",
        repr({**SAID, "window": {"A": 1}}).encode(),
        repr({**SAID, "wish": None}).encode(),
        repr({**SAID, "identity": []}).encode(),
        b"__import__('os').getpid()",
        b"(" * 1000,
        b"-" * 100_000 + b"1",
        b"1+" * 100_000 + b"1",
        b" " * LONGEST + repr(SAID).encode(),
    ],
    ids=lambda line: f"{line[:40]!r} {len(line)}",
)
def test_what_no_relay_would_say_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="the line is"):
        read_handshake(line)


def test_a_refusal_does_not_repeat_what_was_said() -> None:
    said = {**SAID, "window": {"CONTEXT7_API_KEY": ["ctx7sk-1"]}}
    with pytest.raises(ValueError, match="not a handshake") as raised:
        read_handshake(repr(said).encode())
    assert "ctx7sk-1" not in str(raised.value)


@given(line=st.binary())
def test_whatever_comes_is_a_greeting_or_a_value_error(line: bytes) -> None:
    try:
        greeting = read_handshake(line)
    except ValueError:
        return
    assert greeting.wish == ast.literal_eval(line.decode())["wish"]
