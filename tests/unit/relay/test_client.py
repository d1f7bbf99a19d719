"""Command lines that a relay serves: those that the command itself would serve on stdio."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from context7_fabric.cli.serve import _conflict, _parser
from context7_fabric.relay.client import _value, asks_for_stdio, serve

WORDS = (
    "serve",
    "resolve",
    "--transport",
    "stdio",
    "http",
    "sse",
    "--transport=stdio",
    "--transport=http",
    "--transport=",
    "--api-key",
    "ctx7sk-1",
    "--api-key=ctx7sk-2",
    "--api-key=",
    "--port",
    "--port=3000",
    "3000",
    "--host",
    "--verbose",
    "--verbose=1",
    "-k",
    "-1",
    "-",
    "--",
    "",
    "--help",
    "-h",
    "--version",
    "-v",
)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["serve"],
        ["--transport", "stdio"],
        ["serve", "--transport=stdio", "--api-key", "ctx7sk-1"],
        ["--api-key=ctx7sk-1", "--verbose"],
        ["--transport", "http", "--transport", "stdio"],
    ],
    ids=" ".join,
)
def test_to_serve_on_stdio_is_a_windows(words: list[str]) -> None:
    assert asks_for_stdio(words)


@pytest.mark.parametrize(
    "words",
    [
        ["resolve", "fastapi"],
        ["daemon", "status"],
        ["help"],
        [""],
        ["--help"],
        ["serve", "-h"],
        ["--version"],
        ["-v"],
        ["--transport", "http"],
        ["--transport=sse"],
        ["--transport"],
        ["--transport", "pigeon"],
        ["--port", "3000"],
        ["--port=3000"],
        ["--host", "127.0.0.1"],
        ["--api-key"],
        ["--api-key", "--transport", "stdio"],
        ["--transport", "--api-key", "stdio"],
    ],
    ids=" ".join,
)
def test_whatever_else_is_asked_for_is_not(words: list[str]) -> None:
    assert not asks_for_stdio(words)


@hypothesis_settings(max_examples=500)
@given(words=st.lists(st.sampled_from(WORDS), max_size=5))
def test_a_windows_command_line_means_the_same_to_the_command_itself(words: list[str]) -> None:
    if not asks_for_stdio(words):
        return
    behind = words[1:] if words[:1] == ["serve"] else words
    options: argparse.Namespace = _parser().parse_known_args(behind)[0]
    assert _conflict(options) is None
    assert options.transport == "stdio"
    assert options.api_key == _value(words, "--api-key")


@pytest.mark.parametrize("mode", ["off", " OFF ", "perhaps"])
def test_without_leave_no_daemon_is_looked_for(mode: str) -> None:
    assert not served([], {"CONTEXT7_FABRIC_DAEMON": mode})


def test_a_command_is_left_to_the_command_line() -> None:
    assert not served(["resolve", "fastapi"], {})


def served(words: list[str], environ: Mapping[str, str]) -> bool:
    def here(connection: socket.socket, environ: dict[str, str], api_key: str | None) -> None:
        raise AssertionError

    below_a_file = {"CONTEXT7_FABRIC_HOME": "/dev/null/home"}
    return serve(words, {**below_a_file, **environ}, here)


@pytest.mark.parametrize(
    ("mode", "words"), [("auto", []), ("off", []), ("auto", ["--help"])], ids=repr
)
def test_without_a_home_or_a_wish_for_a_daemon_nothing_is_said_here(
    mode: str, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert not served(words, {"CONTEXT7_FABRIC_DAEMON": mode})
    assert capfd.readouterr() == ("", "")


def test_daemon_that_cannot_start_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/dev/null/python")
    assert not served([], {"CONTEXT7_FABRIC_HOME": str(tmp_path)})
    output = capfd.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("context7-fabric: no daemon can be used (it ends before it answers")
    assert str(tmp_path) in line
