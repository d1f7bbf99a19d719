"""`setup` in this process: lists, changes that are only shown, files of projects, undoing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.cli.setup import run
from context7_fabric.client_config.clients import CLIENTS
from context7_fabric.errors import SettingError


@pytest.fixture(name="user")
def user_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user without a client, which is also the working directory."""
    user = tmp_path / "user"
    user.mkdir()
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "CONTEXT7_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(user)
    monkeypatch.setattr(sys, "argv", ["/opt/context7-fabric"])
    return user


def shown(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_setup_without_a_client_lists_those_that_are_here(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys) == {"clients": []}
    (user / ".codex").mkdir()
    (user / ".continue").mkdir()
    (user / ".cursor").mkdir()
    (user / ".cursor" / "mcp.json").write_text("{")
    entry = '{"mcpServers": {"context7": {"url": "https://mcp.context7.com/mcp"}}}'
    (user / ".claude.json").write_text(entry)
    found = {row["client"]: row["entry"] for row in shown(capsys)["clients"]}
    assert found == {
        "claude-code": "Context7's own server: url",
        "cursor": "cannot be read: the file ends too early: a text in double quotes is missing,"
        " or has no end",
        "codex": "no entry",
        "continue": "no entry",
    }


def test_setup_finds_a_client_by_its_program(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (user.parent / "gemini").touch(0o755)
    assert [row["client"] for row in shown(capsys)["clients"]] == ["gemini"]


@pytest.mark.parametrize("client", CLIENTS)
def test_dry_run_shows_the_change_and_writes_nothing(
    user: Path, capsys: pytest.CaptureFixture[str], client: str
) -> None:
    assert run([client, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "+++ " in out
    assert "context7-fabric" in out
    assert list(user.rglob("*")) == []


def test_dry_run_of_all_covers_the_clients_that_are_here(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (user / ".cursor").mkdir()
    (user / ".gemini").mkdir()
    (user / ".gemini" / "settings.json").write_text("{}")
    files = shown(capsys, "--all", "--dry-run")["files"]
    assert [(each["client"], each["content"]) for each in files] == [
        ("cursor", "entry"),
        ("gemini", "entry"),
        ("gemini", "rule"),
    ]


def test_dry_run_in_a_project_has_each_file_once(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["claude-code", "copilot", "opencode", "codex"]
    files = shown(capsys, *names, "--project", "--dry-run")["files"]
    assert [Path(each["file"]).relative_to(user).as_posix() for each in files] == [
        ".mcp.json",
        "opencode.json",
        ".codex/config.toml",
        ".claude/rules/context7.md",
        "AGENTS.md",
    ]


@pytest.mark.parametrize("words", [["--yes"], ["--dry-run"], ["zed", "cline", "--project"]])
def test_setup_without_a_file_to_write_is_wrong_usage(user: Path, words: list[str]) -> None:
    with pytest.raises(SettingError):
        run(words)


def test_setup_takes_the_new_name_of_windsurf_and_both_files(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (".config/devin", ".codeium/windsurf"):
        (user / folder).mkdir(parents=True)
    files = shown(capsys, "devin", "--dry-run")["files"]
    assert [Path(each["file"]).parent.name for each in files] == ["devin", "windsurf"]


def test_setup_prefers_the_alternative_that_is_there_or_has_an_entry(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = user / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.jsonc").write_text("{} // mine")
    assert shown(capsys, "opencode", "--dry-run", "--no-rules")["files"][0]["file"].endswith(
        "jsonc"
    )
    (folder / "opencode.json").write_text("{}")
    assert shown(capsys, "opencode", "--dry-run", "--no-rules")["files"][0]["file"].endswith("json")


def test_setup_names_files_that_are_never_edited(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = user / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"enabledPlugins": {"context7@claude-plugins-official": true}}')
    run(["claude-code", "--dry-run"])
    assert f"{settings} names Context7 too" in " ".join(capsys.readouterr().err.split())


def test_setup_over_an_entry_that_signs_in_by_oauth_leaves_it(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (user / ".cursor").mkdir()
    text = '{"mcpServers": {"context7": {"url": "https://mcp.context7.com/mcp/oauth"}}}'
    (user / ".cursor" / "mcp.json").write_text(text)
    (found,) = shown(capsys, "cursor", "--yes", code=1)["files"]
    assert (found["state"], "OAuth" in found["reason"]) == ("left", True)
    assert (user / ".cursor" / "mcp.json").read_text() == text


def test_undo_without_a_change_has_nothing_to_do(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--undo"]) == 0
    assert "nothing to undo" in capsys.readouterr().err
