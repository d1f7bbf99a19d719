"""`config CLIENT` prints what a client's configuration wants, ready to be pasted."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from context7_fabric.cli.config import run


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
def test_the_snippet_goes_to_stdout_and_its_place_to_stderr(
    program: Path, capsys: pytest.CaptureFixture[str], client: str, section: str, place: str
) -> None:
    assert run([client]) == 0
    out, err = capsys.readouterr()
    server = {"type": "stdio", "command": str(program), "args": []}
    assert json.loads(out) == {section: {"context7": server}}
    assert place in err


def test_a_program_started_by_its_name_is_told_by_its_full_path(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(program.parent)
    monkeypatch.setattr(sys, "argv", ["context7-fabric"])
    run(["cursor"])
    assert json.loads(capsys.readouterr().out)["mcpServers"]["context7"]["command"] == str(program)


@pytest.mark.parametrize("started", ["/usr/lib/python3/pytest", "/nowhere/context7-fabric"])
def test_a_program_started_otherwise_is_looked_for_on_the_path(
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


def test_a_program_that_is_nowhere_is_told_by_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("PATH", str(tmp_path))
    run(["cursor"])
    told = json.loads(capsys.readouterr().out)["mcpServers"]["context7"]["command"]
    assert told == "context7-fabric"


@pytest.mark.parametrize("words", [[], ["emacs"], ["cursor", "more"]])
def test_another_client_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 2
