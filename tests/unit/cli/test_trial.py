"""Processes of entries: the command line and environment that a client gives them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.cli.trial import EntryDoesNotStart, EntryProcess, process_of, start
from context7_fabric.client_config.clients import CLIENTS

ENVIRON = {"CONTEXT7_API_KEY": "k", "OTHER": "o"}


@pytest.mark.parametrize(
    ("client", "entry", "env"),
    [
        ("cursor", {"env": {"A": "${env:OTHER}/x", "B": "${env:NONE}"}}, {"A": "o/x", "B": ""}),
        ("cursor", {"env": {"A": "${input:key}", "B": "b"}}, {"B": "b"}),
        ("gemini", {"env": {"A": "$OTHER", "B": "${NONE:-d}"}}, {"A": "o", "B": "d"}),
        ("claude-code", {"env": {"A": "${OTHER:-}"}}, {**ENVIRON, "A": "o"}),
        ("codex", {"env": {"A": "$OTHER"}, "env_vars": ["CONTEXT7_API_KEY", "X"]}, None),
        ("zed", {"env": {"A": "${OTHER}"}}, {"A": "${OTHER}"}),
    ],
)
def test_process_has_the_environment_that_the_client_gives(
    client: str, entry: dict[str, Any], env: dict[str, str] | None
) -> None:
    process = process_of(CLIENTS[client], {"command": "/it", "args": ["a"], **entry}, ENVIRON)
    assert (process.command, process.args) == ("/it", ("a",))
    assert process.env == (env or {"A": "$OTHER", "CONTEXT7_API_KEY": "k"})


def test_process_of_opencode_has_its_command_in_one_list() -> None:
    entry = {"type": "local", "command": ["/it", "a"], "environment": {"A": "{env:OTHER}"}}
    process = process_of(CLIENTS["opencode"], entry, ENVIRON)
    assert (process.command, process.args) == ("/it", ("a",))
    assert process.env == {**ENVIRON, "A": "o"}


def test_process_of_an_entry_without_a_command_is_refused() -> None:
    with pytest.raises(EntryDoesNotStart, match="no command"):
        process_of(CLIENTS["zed"], {"url": "https://a.example"}, {})


@pytest.mark.parametrize(
    ("code", "seconds", "reason"),
    [
        ("import sys; sys.exit('no home')", 30, "ended without an answer: no home"),
        ("import time; time.sleep(30)", 0.5, "did not answer within 0.5 s"),
        (
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input(); input()'])",
            0.5,
            "did not answer within 0.5 s",
        ),
        (
            'print(\'{"id": 0, "error": {"code": 1, "message": "no"}}\', flush=True); input()',
            30,
            "answers with the error .*no",
        ),
    ],
    ids=["ended", "silent", "silent child of a runner", "error"],
)
def test_start_that_fails_gives_the_reason(code: str, seconds: float, reason: str) -> None:
    with pytest.raises(EntryDoesNotStart, match=reason):
        start(EntryProcess(sys.executable, ("-c", code), {}), seconds)


def test_start_passes_other_lines_by_and_returns_the_tools() -> None:
    code = """
import json, sys
print("hello", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message"}))
    if "id" in asked:
        result = {"tools": [{"name": "one"}]} if asked["method"] == "tools/list" else {}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
    started = start(EntryProcess(sys.executable, ("-c", code), {}), 30)
    assert started.tools == ("one",)


def test_start_of_a_program_that_is_not_there_names_it(tmp_path: Path) -> None:
    with pytest.raises(EntryDoesNotStart, match="cannot be started"):
        start(EntryProcess(str(tmp_path / "no"), (), {}), 5.0)
