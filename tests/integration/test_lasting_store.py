"""An entry reported as stored survives a restart and every fault of the store in between."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.client import Dialogue, talking, texts_of
from support.product import BY_ITSELF, PROGRAM, context, product_environment, run_product

FULL = (
    'cp -r "$0" "$0.copy" && mount -t tmpfs -o size=3m none "$0" && cp -rT "$0.copy" "$0"'
    ' && { head -c 4000000 /dev/zero > "$0/fill" || true; } 2> "$0.log" && exec "$@"'
)
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
VARIABLES = {
    **BY_ITSELF,
    "CONTEXT7_FABRIC_UPSTREAM": "off",
    "CONTEXT7_FABRIC_TOOLS": "+fabric",
}

Fault = Callable[[Path], object]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home, VARIABLES)


def set_by_tool(dialogue: Dialogue, key: str, value: str) -> str:
    result = dialogue.call("fabric-set", key=key, value=value)
    (text,) = texts_of(result)
    assert result.get("isError", False) == (not text.startswith("stored"))
    return text


def kept(environment: dict[str, str], key: str) -> str | None:
    done = context("get", key, env=environment)
    return done.stdout.removesuffix("\n") if done.returncode == 0 else None


def replace(folder: Path) -> None:
    """Put a copy of the database in its place, as a restored backup is."""
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        database.execute("VACUUM INTO ?", (str(folder / "copy.db"),))
    (folder / "copy.db").rename(folder / "cache.db")
    for name in ("cache.db-wal", "cache.db-shm"):
        (folder / name).unlink()


def remove_log(folder: Path) -> None:
    (folder / "cache.db-wal").unlink()
    (folder / "cache.db-shm").unlink()


def remove_files(folder: Path) -> None:
    for path in folder.glob("cache.db*"):
        path.unlink()


TAKEN_AWAY: dict[str, Fault] = {
    "database": lambda folder: (folder / "cache.db").unlink(),
    "all three files": remove_files,
    "folder": shutil.rmtree,
    "moved folder": lambda folder: folder.rename(folder.with_name("moved")),
    "log": remove_log,
    "another file": replace,
    "a text": lambda folder: [
        (folder / "text").write_text("no database " * 999),
        (folder / "text").rename(folder / "cache.db"),
    ],
}


@pytest.mark.parametrize("fault", TAKEN_AWAY)
def test_a_store_taken_away_under_a_server_keeps_what_is_said_to_be_stored(
    home: Path, environment: dict[str, str], fault: str
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        assert set_by_tool(dialogue, "before", "1").startswith("stored")
        TAKEN_AWAY[fault](home / "fabric")
        assert set_by_tool(dialogue, "after", "2").startswith("stored")
        assert kept(environment, "after") == "2"
        assert context("set", "beside", "3", env=environment).returncode == 0
        assert dialogue.call("fabric-get", key="beside").get("isError", False) is False
    assert [kept(environment, key) for key in ("after", "beside")] == ["2", "3"]
    assert (home / "fabric" / "cache.db").stat().st_mode & 0o777 == 0o600


def be_a_file(home: Path) -> None:
    home.write_text("")


def be_a_link(home: Path) -> None:
    (home.parent / "elsewhere").mkdir(mode=0o755)
    home.mkdir()
    (home / "fabric").symlink_to(home.parent / "elsewhere")


def have_a_linked_database(home: Path) -> None:
    (home / "fabric").mkdir(parents=True)
    (home.parent / "other").write_text("another's")
    (home.parent / "other").chmod(0o644)
    (home / "fabric" / "cache.db").symlink_to(home.parent / "other")


def have_a_folder_as_database(home: Path) -> None:
    (home / "fabric" / "cache.db").mkdir(parents=True)


def belong_to_another(home: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    home.mkdir()
    os.chown(home, 12345, 12345)


UNUSABLE: dict[str, Fault] = {
    "is not a folder": be_a_file,
    "is a symbolic link": be_a_link,
    "is not a regular file": have_a_linked_database,
    "cache.db is no file": have_a_folder_as_database,
    "is another user's": belong_to_another,
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_store_that_cannot_be_opened_is_reported_and_nothing_is_called_stored(
    home: Path, environment: dict[str, str], reason: str
) -> None:
    UNUSABLE[reason](home)
    with talking([PROGRAM], environment) as dialogue:
        text = set_by_tool(dialogue, "key", "value")
        complaints = dialogue.process.complaints()
    assert "nothing is kept" in text
    assert "nothing will be remembered past this process" in complaints[0]
    set_by_command = context("set", "key", "value", env=environment)
    assert (set_by_command.returncode, set_by_command.stdout) == (1, "")
    done = run_product("doctor", "--json", env=environment)
    checked = json.loads(done.stdout)["home"]
    assert (done.returncode, checked["ok"]) == (1, False)
    for text in (complaints[0], set_by_command.stderr, checked["told"]):
        assert reason in text or "cache.db" in text
    for path in (home.parent / "elsewhere", home.parent / "other"):
        if path.exists():
            assert path.stat().st_mode & 0o777 in (0o755, 0o644)
            assert path.is_dir() or path.read_text() == "another's"


def mounted(mount: str, home: Path) -> list[str]:
    """Return words that run a command on such a mount; skip the test where that is forbidden."""
    alone = ["unshare", "--mount", "sh", "-c", mount, str(home)]
    tried = subprocess.run([*alone, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("needs root and permission to mount")
    shutil.rmtree(f"{home}.copy", ignore_errors=True)
    return alone


@pytest.fixture
def filled(home: Path, environment: dict[str, str]) -> Path:
    for number in range(3):
        assert context("set", f"key-{number}", "v" * 30_000, env=environment).returncode == 0
    return home


@pytest.mark.parametrize("mount", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_a_store_that_takes_no_writes_is_still_read(
    filled: Path, environment: dict[str, str], mount: str
) -> None:
    with talking([*mounted(mount, filled), PROGRAM], environment) as dialogue:
        assert texts_of(dialogue.call("fabric-get", key="key-1"))[0].count("v") >= 30_000
        assert "could not be stored" in set_by_tool(dialogue, "new", "w" * 9_000)
        assert texts_of(dialogue.call("fabric-get", key="key-2"))[0].count("v") >= 30_000


def test_a_full_disk_takes_a_removal(filled: Path, environment: dict[str, str]) -> None:
    script = (
        f"{PROGRAM} context set big $(head -c 100000 /dev/zero | tr '\\0' x) 2>&1;"
        f"{PROGRAM} context delete key-0 key-1 && {PROGRAM} purge --all"
        f' && {PROGRAM} context get key-2 | wc -c && rm "$0/fill" && {PROGRAM} context set new 1'
    )
    command = [*mounted(FULL, filled), "sh", "-c", script, str(filled)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    refused, _advice, *done_then, stored = done.stdout.splitlines()
    assert "failed" in refused
    assert done_then == ["deleted key-0", "deleted key-1", "0 stored entries removed", "30000"]
    assert stored.startswith("stored new")
