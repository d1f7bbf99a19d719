"""`config CLIENT`: the entry for a client's configuration."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.cli.config import run
from context7_fabric.client_config.command import source_in


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the program, as which this process was started."""
    path = tmp_path / "context7-fabric"
    path.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(path)])
    return path


@pytest.mark.parametrize(
    ("client", "section", "place"),
    [
        ("claude-code", "mcpServers", ".mcp.json"),
        ("cursor", "mcpServers", ".cursor/mcp.json"),
        ("vscode", "servers", ".vscode/mcp.json"),
    ],
)
def test_config_prints_the_entry_on_stdout_and_its_file_on_stderr(
    program: Path, capsys: pytest.CaptureFixture[str], client: str, section: str, place: str
) -> None:
    assert run([client]) == 0
    out, err = capsys.readouterr()
    server = {"type": "stdio", "command": str(program), "args": []}
    assert json.loads(out) == {section: {"context7": server}}
    assert place in err


def test_config_of_a_program_started_by_name_has_its_full_path(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(program.parent)
    monkeypatch.setattr(sys, "argv", ["context7-fabric"])
    run(["cursor"])
    assert json.loads(capsys.readouterr().out)["mcpServers"]["context7"]["command"] == str(program)


@pytest.mark.parametrize("started", ["/usr/lib/python3/pytest", "/nowhere/context7-fabric"])
def test_config_of_a_program_started_otherwise_searches_the_path(
    program: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    started: str,
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setenv("PATH", str(program.parent))
    assert shutil.which("context7-fabric") == str(program)
    run(["cursor"])
    assert json.loads(capsys.readouterr().out)["mcpServers"]["context7"]["command"] == str(program)


def test_config_of_an_unknown_program_has_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("PATH", str(tmp_path))
    run(["cursor"])
    command = json.loads(capsys.readouterr().out)["mcpServers"]["context7"]["command"]
    assert command == "context7-fabric"


@pytest.mark.parametrize("words", [[], ["emacs"], ["cursor", "more"]])
def test_another_client_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 2


def printed(capsys: pytest.CaptureFixture[str], client: str = "cursor") -> dict[str, Any]:
    """The entry that the command prints."""
    assert run([client]) == 0
    snippet = json.loads(capsys.readouterr().out)
    entry: dict[str, Any] = next(iter(snippet.values()))["context7"]
    return entry


@pytest.mark.parametrize(
    ("prefix", "runner", "option"),
    [
        ("/u/.cache/uv/archive-v0/xpAYgJAJpXGhx1p-", "uvx", ["--from"]),
        ("/u/Library/Caches/uv/environments-v2/context7-1f", "uvx", ["--from"]),
        ("/tmp/cache/builds-v0/.tmpA1", "uvx", ["--from"]),  # noqa: S108  # never made
        ("/u/.local/share/pipx/.cache/f0e1d2", "pipx", ["run", "--spec"]),
        ("/u/.cache/pipx/f0e1d2", "pipx", ["run", "--spec"]),
    ],
)
def test_config_in_an_environment_of_one_run_names_the_runner(
    program: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    runner: str,
    option: list[str],
) -> None:
    (program.parent / runner).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(sys, "prefix", prefix)
    entry = printed(capsys)
    assert entry["command"] == str(program.parent / runner)
    assert entry["args"][:-2] == option
    assert entry["args"][-1] == "context7-fabric"
    assert prefix not in json.dumps(entry)


@pytest.mark.parametrize(
    "prefix",
    [
        "/u/.local/share/uv/tools/context7-fabric",
        "/u/.local/share/pipx/venvs/context7-fabric",
        "/u/project/.venv",
    ],
)
def test_config_in_an_environment_that_stays_names_the_program(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    entry = printed(capsys)
    assert (entry["command"], entry["args"]) == (str(program), [])


@pytest.mark.parametrize(
    ("direct_url", "source"),
    [
        ({}, "context7-fabric"),
        ({"url": "file:///a%20b/c", "dir_info": {"editable": True}}, "/a b/c"),
        ({"url": "https://a.example/c.whl", "archive_info": {}}, "https://a.example/c.whl"),
        (
            {"url": "https://a.example/c.git", "vcs_info": {"vcs": "git", "commit_id": "1f"}},
            "git+https://a.example/c.git",
        ),
        (
            {
                "url": "ssh://git@a.example/c",
                "vcs_info": {"vcs": "git", "commit_id": "1f", "requested_revision": "v2"},
            },
            "git+ssh://git@a.example/c@v2",
        ),
    ],
)
def test_source_in_a_direct_url_is_what_installers_take(
    direct_url: dict[str, object], source: str
) -> None:
    assert source_in(json.dumps(direct_url)) == source


@pytest.mark.parametrize(
    ("name", "value", "copied"),
    [
        ("CONTEXT7_FABRIC_PATIENCE", "2s", True),
        ("CONTEXT7_FABRIC_UPSTREAM", "npx -y @upstash/context7-mcp", True),
        ("CONTEXT7_FABRIC_TLS_KEY", "/home/me/server-key.pem", True),
        ("CONTEXT7_FABRIC_BACKEND", "redis://cache.example/0", True),
        ("CONTEXT7_API_KEY", "ctx7sk-0123456789", False),
        ("CONTEXT7_FABRIC_UPSTREAM", "npx -y server --api-key 12345", False),
        ("CONTEXT7_FABRIC_UPSTREAM", "https://a.example/mcp?t=12345", False),
        ("CONTEXT7_FABRIC_UPSTREAM", "npx server ghp_0123456789abcdefghijABCDEFGHIJ", False),
        ("CONTEXT7_FABRIC_BACKEND", "redis://me:hunter2@cache.example/0", False),
        ("CONTEXT7_FABRIC_QDRANT_API_KEY", "12345", False),
    ],
)
@pytest.mark.parametrize("client", ["claude-code", "cursor", "vscode"])
def test_config_has_settings_of_the_shell_but_no_secret(
    program: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    client: str,
    name: str,
    value: str,
    copied: bool,
) -> None:
    monkeypatch.setenv(name, value)
    run([client])
    out, err = capsys.readouterr()
    environment = next(iter(json.loads(out).values()))["context7"]["env"]
    assert (environment[name] == value) == copied
    assert (value in out + err) == copied
    assert name in environment[name] or copied
    assert name in err


def test_config_for_claude_code_prints_a_command_line_with_the_entry_alone(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_LOG_LEVEL", "info")
    run(["claude-code"])
    out, err = capsys.readouterr()
    line = next(line for line in err.splitlines() if line.startswith("Or run: "))
    words = shlex.split(line.removeprefix("Or run: "))
    assert words[:4] == ["claude", "mcp", "add-json", "context7"]
    assert json.loads(words[4]) == json.loads(out)["mcpServers"]["context7"]
