"""`setup` as a user runs it: real files, the real entry started, and undone."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from context7_fabric.client_config.clients import Dialect
from context7_fabric.client_config.jsonc import JsonText
from support.forked import started
from support.product import PROGRAM, product_environment, run_product

pytestmark = pytest.mark.timeout(120)
KEY = "ctx7sk-0123456789"
OLD = (
    '{\n  "mcpServers": {\n    "context7": {"url": "https://mcp.context7.com/mcp",'
    f' "headers": {{"CONTEXT7_API_KEY": "{KEY}"}}}}, // mine\n  }}\n}}\n'
)


@pytest.fixture(name="user")
def user_folder(tmp_path: Path) -> Path:
    """The folder of a user who has Cursor, with an entry and a key."""
    file = tmp_path / "user" / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True)
    file.write_text(OLD)
    file.chmod(0o600)
    return tmp_path / "user"


@pytest.fixture(name="environment")
def environment_of_user(user: Path, tmp_path: Path) -> dict[str, str]:
    variables = {"HOME": str(user), "CONTEXT7_FABRIC_UPSTREAM": "off"}
    found = product_environment(tmp_path / "home", variables)
    return {name: value for name, value in found.items() if not name.startswith("XDG_")}


def test_setup_replaces_the_entry_starts_it_and_undoes_it(
    user: Path, environment: dict[str, str]
) -> None:
    file = user / ".cursor" / "mcp.json"
    done = run_product("setup", "cursor", "--yes", env=environment, cwd=user)
    assert done.returncode == 0
    assert re.fullmatch(
        r"The entry takes .*CONTEXT7_FABRIC_HOME.* over from this shell\.\n", done.stderr
    )
    assert KEY not in done.stdout
    assert "starts in" in done.stdout
    assert "resolve-library-id, query-docs" in done.stdout
    assert "// mine" in file.read_text()
    entry = JsonText(file.read_text(), Dialect.JSONC).entries(["mcpServers"])["context7"]
    assert entry["env"]["CONTEXT7_API_KEY"] == KEY
    assert entry["command"] == PROGRAM
    (backup,) = file.parent.glob("*.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == stat.S_IMODE(file.stat().st_mode) == 0o600
    undone = run_product("setup", "--undo", env=environment)
    assert undone.returncode == 0
    assert file.read_text() == OLD
    assert sorted(file.parent.iterdir()) == [file]


def test_setup_with_a_file_that_cannot_be_read_names_it_and_goes_on(
    user: Path, environment: dict[str, str]
) -> None:
    broken = user / ".claude.json"
    broken.write_text('{\n  "mcpServers": {},\n  // note\n}')
    words = ["setup", "claude-code", "cursor", "--yes", "--json"]
    done = run_product(*words, env=environment, cwd=user)
    result = json.loads(done.stdout)
    entries = [each for each in result["files"] if each["content"] == "entry"]
    assert done.returncode == 1
    assert [each["state"] for each in entries] == ["failed", "written"]
    assert "line 3, column 3: a comment" in entries[0]["reason"]
    assert [each["clients"] for each in result["starts"]] == [["Cursor"]]
    assert broken.read_text() == '{\n  "mcpServers": {},\n  // note\n}'


def test_setup_of_an_entry_that_does_not_start_says_what_to_do(
    user: Path, environment: dict[str, str]
) -> None:
    wrong = {**environment, "CONTEXT7_FABRIC_DOCS_FRESH": "soon"}
    done = run_product("setup", "cursor", "--yes", env=wrong, cwd=user)
    assert done.returncode == 1
    assert "does not start" in done.stderr
    assert "CONTEXT7_FABRIC_DOCS_FRESH" in done.stderr
    assert "setup --undo" in done.stderr


def test_setup_in_a_pipe_without_an_answer_names_both_options(
    user: Path, environment: dict[str, str]
) -> None:
    done = run_product("setup", "cursor", env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--yes" in done.stderr
    assert "--dry-run" in done.stderr
    assert (user / ".cursor" / "mcp.json").read_text() == OLD


def test_setup_on_a_terminal_declined_changes_nothing(
    user: Path, environment: dict[str, str]
) -> None:
    terminal, end = pty.openpty()
    os.write(terminal, b"n\n")
    command = [PROGRAM, "setup", "cursor"]
    with started(command, environment, stdin=end, stdout=end, stderr=end) as run:
        os.close(end)
        screen = b"".join(_parts(terminal)).decode()
    os.close(terminal)
    assert run.returncode == 1
    assert "Write this file? [y/N]" in screen
    assert "Nothing was changed." in screen
    assert KEY not in screen
    assert (user / ".cursor" / "mcp.json").read_text() == OLD


def _parts(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # the terminal's last user has gone
        while part := os.read(terminal, 65536):
            yield part
