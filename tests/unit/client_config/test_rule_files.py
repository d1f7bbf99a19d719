"""Rules in files: written with a backup, and taken back beside what the user wrote meanwhile."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from context7_fabric.client_config.clients import CLIENTS, Machine
from context7_fabric.client_config.edit import read_file
from context7_fabric.client_config.entries import FilePlan
from context7_fabric.client_config.locate import rule_file
from context7_fabric.client_config.rules import has_rule, with_rule
from context7_fabric.client_config.undo import records, undo, write_change

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OTHERS = "<!-- context7 -->\nUse Context7 MCP.\n<!-- context7 -->\n"


@pytest.fixture(name="path")
def agents_file(tmp_path: Path) -> Path:
    return tmp_path / "codex" / "AGENTS.md"


@pytest.mark.parametrize(
    "before", [b"# Mine\n", b"# Mine", b"\xef\xbb\xbf# Mine\r\n", b"", OTHERS.encode(), None]
)
def test_undo_of_a_rule_gives_the_bytes_back(
    tmp_path: Path, path: Path, before: bytes | None
) -> None:
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
        path.chmod(0o640)
    _set(path, tmp_path)
    assert has_rule(path.read_text("utf-8-sig"))
    if before is not None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    _undo(tmp_path)
    assert (path.read_bytes() if path.exists() else None) == before
    assert sorted(path.parent.glob("*")) == ([path] if before is not None else [])


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b"# Mine\n", b"# Mine\nLater\n"),
        (b"# Mine\r\n", b"# Mine\r\nLater\n"),
        (OTHERS.encode() + b"\nAlso\n", OTHERS.encode() + b"\nAlso\nLater\n"),
        (None, b"Later\n"),
    ],
)
def test_undo_of_a_rule_keeps_what_was_written_later(
    tmp_path: Path, path: Path, before: bytes | None, expected: bytes
) -> None:
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    _set(path, tmp_path)
    with path.open("ab") as file:
        file.write(b"Later\n")
    _undo(tmp_path)
    assert path.read_bytes() == expected


def test_undo_of_a_changed_rule_in_a_file_that_was_made_removes_it(
    tmp_path: Path, path: Path
) -> None:
    _set(path, tmp_path)
    path.write_text(path.read_text("utf-8").replace("- One concept", "- Just one concept"), "utf-8")
    _undo(tmp_path)
    assert not path.exists()


def test_undo_of_a_changed_rule_in_its_own_file_puts_the_one_of_ctx7_back(
    tmp_path: Path, path: Path
) -> None:
    path.parent.mkdir()
    path.write_text("Use Context7 MCP.\n", "utf-8")
    _set(path, tmp_path, is_own=True)
    path.write_text(path.read_text("utf-8").replace("- One concept", "- Just one concept"), "utf-8")
    _undo(tmp_path)
    assert path.read_text("utf-8") == "Use Context7 MCP.\n"


def test_undo_after_the_rule_was_cut_by_hand_changes_nothing(tmp_path: Path, path: Path) -> None:
    _set(path, tmp_path)
    path.write_text("Mine alone\n", "utf-8")
    _undo(tmp_path)
    assert path.read_text("utf-8") == "Mine alone\n"


def test_undo_after_two_versions_of_the_rule_takes_both_back(tmp_path: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("# Mine\n", "utf-8")
    _set(path, tmp_path)
    content = read_file(path)
    older = FilePlan(content.text.replace("- One concept", "- Just one concept"))
    write_change(CLIENTS["codex"], content, older, tmp_path / "home", NOW)
    _undo(tmp_path)
    assert path.read_text("utf-8") == "# Mine\n"


def test_rule_file_of_codex_is_the_override_if_that_has_text(tmp_path: Path) -> None:
    machine = Machine("linux", {"CODEX_HOME": str(tmp_path)}, tmp_path)
    override = tmp_path / "AGENTS.override.md"
    override.touch()
    assert rule_file(CLIENTS["codex"], machine) == (tmp_path / "AGENTS.md", False)
    override.write_text("Mine\n", "utf-8")
    assert rule_file(CLIENTS["codex"], machine) == (override, False)
    assert rule_file(CLIENTS["zed"], machine) is None


def _set(path: Path, folder: Path, *, is_own: bool = False) -> None:
    content = read_file(path)
    text = with_rule(content.text, is_own=is_own)
    assert text is not None
    write_change(CLIENTS["codex"], content, FilePlan(text), folder / "home", NOW)


def _undo(folder: Path) -> None:
    for record in records(folder / "home"):
        undo(record, folder / "home")
    assert list(records(folder / "home")) == []
