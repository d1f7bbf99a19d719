"""Files of clients: backup, replacement and undoing, with real files and real kills."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.client_config.clients import CLIENTS
from context7_fabric.client_config.edit import FileContent, diff_of, read_file, replace_file
from context7_fabric.client_config.entries import NewServer, plan_file
from context7_fabric.client_config.undo import records, undo, write_change
from context7_fabric.errors import ClientFileChanged, ClientFileError

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)
CURSOR = CLIENTS["cursor"]
SERVER = NewServer(["/opt/bin/context7-fabric"])
KEY = "ctx7sk-0123456789"
OLD = {"url": "https://mcp.context7.com/mcp", "headers": {"CONTEXT7_API_KEY": KEY}}
BEFORE = (
    '\ufeff{\r\n\t// servers\r\n\t"mcpServers": {\r\n\t\t"context7": '
    + json.dumps(OLD)
    + ', // key\r\n\t\t"b": {},\r\n\t},\r\n}\r\n'
).encode()

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX")


@pytest.fixture(name="path")
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_bytes(BEFORE)
    path.chmod(0o640)
    return path


@pytest.fixture(name="state")
def state_folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


def change(path: Path, state: Path, server: NewServer = SERVER) -> Path | None:
    content = read_file(path)
    return write_change(CURSOR, content, plan_file(CURSOR, content.text, server), state, NOW)


def undo_all(state: Path) -> list[str]:
    return [undo(record, state) for record in list(records(state))]


def in_a_child(task: Callable[[], object]) -> int:
    """Run a task in a process of its own; return how that ended, as `waitpid` says it."""
    child = os.fork()
    if child == 0:
        try:
            task()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def kill_at_rename(number: int) -> None:
    """End this process by SIGKILL before its rename of that number."""
    seen = []

    def look(event: str, _arguments: object) -> None:
        if event == "os.rename":
            seen.append(event)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def test_change_keeps_mode_mark_and_line_ends_and_backs_the_file_up(
    path: Path, state: Path
) -> None:
    backup = change(path, state)
    assert backup is not None
    assert backup.name == "mcp.json.2026-11-30T12-30-00.bak"
    assert backup.read_bytes() == BEFORE
    assert stat.S_IMODE(backup.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o640
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf{\r\n\t// servers\r\n")
    assert data.endswith(b', // key\r\n\t\t"b": {},\r\n\t},\r\n}\r\n')
    assert data.count(b"\n") == data.count(b"\r\n")
    assert KEY.encode() in data


def test_undo_of_a_file_as_it_was_left_gives_its_bytes_back(path: Path, state: Path) -> None:
    change(path, state)
    assert undo_all(state) == ["is as it was before"]
    assert path.read_bytes() == BEFORE
    assert sorted(path.parent.iterdir()) == [path]
    assert list(records(state)) == []


def test_undo_of_a_file_changed_since_puts_our_entry_back_alone(path: Path, state: Path) -> None:
    change(path, state)
    path.write_bytes(path.read_bytes().replace(b'"b": {}', b'"b": {"url": "x"}'))
    assert "keeps its later changes" in undo_all(state)[0]
    assert path.read_bytes() == BEFORE.replace(b'"b": {}', b'"b": {"url": "x"}')


def test_undo_without_the_backup_cuts_our_entry_alone(path: Path, state: Path) -> None:
    backup = change(path, state)
    assert backup is not None
    backup.unlink()
    assert "its backup is gone" in undo_all(state)[0]
    assert b"context7" not in path.read_bytes()
    assert b'// key\r\n\t\t"b": {},' in path.read_bytes()


def test_undo_leaves_an_entry_that_is_no_longer_ours(path: Path, state: Path) -> None:
    change(path, state)
    mine = b'{"mcpServers": {"context7": {"command": "mine"}}}'
    path.write_bytes(mine)
    assert undo_all(state) == ["holds nothing of this program any more"]
    assert path.read_bytes() == mine


def test_undo_after_two_changes_gives_the_first_bytes_back(path: Path, state: Path) -> None:
    change(path, state)
    change(path, state, NewServer(["/elsewhere/context7-fabric"]))
    undo_all(state)
    assert path.read_bytes() == BEFORE


def test_undo_of_a_file_that_was_made_removes_it(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "new" / "folder" / "mcp.json"
    assert change(path, state) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    undo_all(state)
    assert not (tmp_path / "new").exists()


def test_undo_of_a_file_that_was_made_leaves_folders_in_use(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "new" / "folder" / "mcp.json"
    change(path, state)
    (tmp_path / "new" / "other").touch()
    undo_all(state)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "other"]


def test_no_key_gets_into_the_home(path: Path, state: Path) -> None:
    change(path, state)
    files = [each for each in state.rglob("*") if each.is_file()]
    assert files
    assert all(KEY.encode() not in each.read_bytes() for each in files)
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_change_writes_through_a_link(path: Path, state: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    change(link, state)
    assert link.is_symlink()
    assert b"context7-fabric" in path.read_bytes()
    undo_all(state)
    assert link.is_symlink()
    assert path.read_bytes() == BEFORE


@pytest.mark.parametrize("number", [1, 2])
def test_killed_change_leaves_the_old_file_and_can_be_undone_or_repeated(
    path: Path, state: Path, number: int
) -> None:
    def killed() -> None:
        kill_at_rename(number)
        change(path, state)

    assert os.WTERMSIG(in_a_child(killed)) == signal.SIGKILL
    assert path.read_bytes() == BEFORE
    assert undo_all(state) == ([] if number == 1 else ["is as it was before"])
    change(path, state)
    undo_all(state)
    assert path.read_bytes() == BEFORE


def test_two_changes_at_once_leave_one_entry_and_can_be_undone(path: Path, state: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                change(path, state, NewServer([f"/{number}/context7-fabric"]))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert path.read_bytes().count(b"context7-fabric") == 1
    undo_all(state)
    assert path.read_bytes() == BEFORE


def test_change_of_a_file_that_its_client_wrote_meanwhile_is_refused(
    path: Path, state: Path
) -> None:
    content = read_file(path)
    plan = plan_file(CURSOR, content.text, SERVER)
    path.write_bytes(b"{}")
    with pytest.raises(ClientFileChanged):
        write_change(CURSOR, content, plan, state, NOW)
    assert path.read_bytes() == b"{}"
    assert sorted(path.parent.iterdir()) == [path]
    assert list(records(state)) == []


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _file_for_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.chmod(0o440), "read-only"),
        (lambda path: path.write_bytes("{}".encode("utf-16")), "not UTF-8"),
        (_folder, "no ordinary file"),
        (_pipe, "no ordinary file"),
        (_circle, "circle"),
        (_file_for_folder, "no folder|not a"),
        (lambda path: os.truncate(path, 1 << 27), "larger than"),
    ],
    ids=["read-only", "utf-16", "folder", "pipe", "circle", "no folder", "large"],
)
def test_file_that_cannot_be_changed_is_named_with_the_reason(
    path: Path, state: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(path)
    with pytest.raises(ClientFileError, match=reason) as refused:
        change(path, state)
    assert str(path) in str(refused.value)
    assert not state.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_folder_that_is_read_only_is_named(path: Path, state: Path) -> None:
    path.parent.chmod(0o500)
    with pytest.raises(ClientFileError, match="read-only"):
        change(path, state)
    path.parent.chmod(0o700)


def test_home_that_cannot_be_written_leaves_the_file(path: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ClientFileError, match="record"):
        change(path, blocked / "home")
    assert path.read_bytes() == BEFORE
    assert sorted(path.parent.iterdir()) == [path]


def test_replace_removes_what_a_killed_run_left_an_hour_ago(path: Path) -> None:
    old, new = (path.with_name(f".mcp.json.{each}.context7-fabric-new") for each in "ab")
    for each in (old, new):
        each.touch()
    os.utime(old, (0, 0))
    replace_file(read_file(path), b"{}")
    assert (old.exists(), new.exists()) == (False, True)


def test_record_that_is_damaged_is_passed_by(path: Path, state: Path) -> None:
    change(path, state)
    (state / "client_config" / "x.json").write_text("[]")
    (state / "client_config" / "y.json").write_bytes(b"\xff{")
    assert len(list(records(state))) == 1


def test_diff_shows_no_key_of_any_server(path: Path) -> None:
    secrets = {
        "a": {"env": {"MY_API_KEY": "hidden-1"}},
        "context7": {
            **OLD,
            "headers": {"CONTEXT7_API_KEY": "hidden-2", "X-Other-Token": "hidden-3"},
        },
        "z": {"args": ["--token", "hidden-4"]},
        "y": {"env": {"PASSWORD": "${input:hidden-5}"}},
    }
    for indent in (None, 2):
        path.write_text(json.dumps({"mcpServers": secrets}, indent=indent))
        content = read_file(path)
        diff = diff_of(content, plan_file(CURSOR, content.text, SERVER).text, ["hidden-2"])
        assert "context7-fabric" in diff
        for number in range(1, 5):
            assert f"hidden-{number}" not in diff


def test_diff_shows_the_command_as_it_is_written(path: Path) -> None:
    path.write_text("{}")
    content = read_file(path)
    server = NewServer(["/home/ann/.local/bin/context7-fabric"])
    diff = diff_of(content, plan_file(CURSOR, content.text, server).text, [])
    assert '"/home/ann/.local/bin/context7-fabric"' in diff


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_diff_is_that_of_the_whole_files(before: list[str], after: list[str]) -> None:
    content = FileContent(Path("/f"), Path("/f"), "\n".join(before).encode())
    shown = diff_of(content, "\n".join(after), []).split("\n")[2:]
    added = Counter(line[1:] for line in shown if line[0] == "+")
    removed = Counter(line[1:] for line in shown if line[0] == "-")
    assert Counter(before) + added == Counter(after) + removed
    for line in shown:
        if line.startswith("@@"):
            old, new = map(int, re.findall(r"[-+](\d+)", line))
            assert (old <= len(before) + 1) & (new <= len(after) + 1)
