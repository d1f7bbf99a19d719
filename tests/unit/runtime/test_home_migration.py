"""Migration of a home from its old place: complete or not at all, and once."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.runtime import home_migration
from context7_fabric.runtime.home_migration import leftovers, settled
from context7_fabric.settings import Settings, read_settings
from support.disks import fabric_on_disk

LARGE = "a large text " * 5000
"""A value with a file of its own."""

VALUES = {"prompt:mine": "a prompt", "large": LARGE, "context": "small"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose home was in the cache folder; nothing is there yet."""
    monkeypatch.setattr(home_migration, "_staying", {})
    names = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return read_settings(names)


@pytest.fixture
def old(settings: Settings) -> Path:
    """An old home with a store, a secret, tokens, a model and a log."""
    old = settings.old_home
    assert old is not None
    old.mkdir(parents=True)
    fill(old / "fabric")
    (old / "secret").write_bytes(b"s" * 32)
    (old / "tokens").write_text("# tokens\n")
    for name in ("models/one/model.onnx", "daemon/x.log"):
        (old / name).parent.mkdir(parents=True)
        (old / name).write_text("x")
    return old


def fill(folder: Path) -> None:
    async def write() -> None:
        async with await fabric_on_disk(folder) as fabric:
            for key, value in VALUES.items():
                assert await fabric.set_context(key, value)

    anyio.run(write)


def content(home: Path) -> dict[str, object]:
    """The entries of the store in a home."""

    async def read() -> dict[str, object]:
        async with await fabric_on_disk(home / "fabric") as fabric:
            found = await fabric.get_many(list(VALUES))
            return {each.key: each.value for each in found}

    return anyio.run(read)


def snapshot(folder: Path) -> dict[str, object]:
    """Every file and folder with its mode, time of change and bytes."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


def assert_migrated(settings: Settings) -> None:
    assert {path.name for path in settings.home.iterdir()} == {"fabric", "secret", "tokens"}
    assert (settings.home / "secret").read_bytes() == b"s" * 32
    assert (settings.home / "tokens").read_text() == "# tokens\n"
    for path in settings.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert content(settings.home) == VALUES


class TestMigration:
    def test_old_home_is_copied_and_left_as_it_is(
        self, settings: Settings, old: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = snapshot(old)
        now = settled(settings)
        assert now == settings
        assert now.store_home == settings.home
        assert_migrated(settings)
        assert snapshot(old) == before
        (line,) = caplog.messages
        assert str(old) in line
        assert str(settings.home) in line
        assert leftovers(now) == [old / "fabric", old / "secret", old / "tokens"]

    def test_old_home_is_copied_once(self, settings: Settings, old: Path) -> None:
        settled(settings)
        (settings.home / "tokens").unlink()
        after = snapshot(settings.home)
        (old / "secret").write_bytes(b"t" * 32)
        settled(settings)
        assert snapshot(settings.home) == after

    @pytest.mark.parametrize("kept", ["fabric", "fabric/cache.db"])
    def test_home_with_a_store_is_never_overwritten(
        self, settings: Settings, old: Path, kept: str
    ) -> None:
        (settings.home / kept).mkdir(parents=True)
        before = snapshot(settings.home)
        assert settled(settings) == settings
        assert snapshot(settings.home) == before

    @pytest.mark.parametrize("name", ["models", "daemon", "docsets", None])
    def test_cache_folder_that_was_no_home_is_left_alone(
        self, settings: Settings, name: str | None
    ) -> None:
        if name is not None:
            (settings.cache_folder / name).mkdir(parents=True)
        assert settled(settings) == settings
        assert not settings.home.exists()
        assert leftovers(settings) == []

    @pytest.mark.parametrize("missing", ["fabric", "secret", "tokens", "fabric/cache.db"])
    def test_part_of_a_home_is_copied(self, settings: Settings, old: Path, missing: str) -> None:
        path = old / missing
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        settled(settings)
        names = {"fabric", "secret", "tokens"} - {missing}
        assert names <= {path.name for path in settings.home.iterdir()}
        assert content(settings.home) == ({} if missing.startswith("fabric") else VALUES)

    def test_home_that_is_set_is_used_as_it_is(self, old: Path, tmp_path: Path) -> None:
        settings = read_settings({"CONTEXT7_FABRIC_HOME": str(tmp_path / "mine")})
        assert settled(settings) == settings
        assert not (tmp_path / "mine").exists()

    def test_entries_that_are_only_in_the_log_are_copied(
        self, settings: Settings, old: Path
    ) -> None:
        crash(old / "fabric")
        database, log = old / "fabric" / "cache.db", old / "fabric" / "cache.db-wal"
        before = database.read_bytes(), log.read_bytes()
        assert before[1]
        settled(settings)
        assert content(settings.home) == VALUES
        assert (database.read_bytes(), log.read_bytes()) == before

    def test_tokens_behind_a_link_stay_there(
        self, settings: Settings, old: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "shared").write_text("# shared\n")
        (old / "tokens").unlink()
        (old / "tokens").symlink_to("../../shared")
        settled(settings)
        assert (settings.home / "tokens").resolve() == tmp_path / "shared"

    def test_tokens_of_the_new_home_stay(self, settings: Settings, old: Path) -> None:
        settings.home.mkdir(parents=True)
        (settings.home / "tokens").write_text("# newer\n")
        settled(settings)
        assert (settings.home / "tokens").read_text() == "# newer\n"
        assert content(settings.home) == VALUES


def crash(folder: Path) -> None:
    """Leave the entries in SQLite's log, as a process that is killed does."""
    copy = folder.with_name("copy")
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("UPDATE Cache SET access_time = 1")
        shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


@pytest.mark.parametrize("logged", [False, True], ids=["closed", "with a log"])
def test_migration_that_is_killed_at_any_moment_is_done_again(
    settings: Settings, old: Path, *, logged: bool
) -> None:
    if logged:
        crash(old / "fabric")
    rounds = 0
    while in_child(partial(killed_at, rounds, settings)) == -signal.SIGKILL:
        assert not (settings.home / "fabric").exists() or content(settings.home) == VALUES
        if rounds % 2:  # half of the time nothing else happens in between
            settled(settings)
            assert_migrated(settings)
            shutil.rmtree(settings.home)
        rounds += 1
    assert rounds > 20
    assert_migrated(settings)


def killed_at(moment: int, settings: Settings) -> None:
    """Migrate, and kill this process at the audit event with this number."""
    seen = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal seen
        if event.startswith(("os.", "open", "sqlite3.", "fcntl.", "shutil.")):
            seen += 1
            if seen == moment + 1:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    settled(settings)


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a fork of this process; return its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # the fork must not run the tests
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class TestAtOnce:
    def test_processes_that_start_at_once_migrate_once(
        self, settings: Settings, old: Path, tmp_path: Path
    ) -> None:
        gate, opener = os.pipe()
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                os.close(opener)
                os.read(gate, 1)  # until the end of the pipe
                logging.basicConfig(filename=tmp_path / f"log{number}", force=True)
                os._exit(0 if settled(settings) == settings else 1)
            children.append(child)
        os.close(gate)
        os.close(opener)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        logs = [(tmp_path / f"log{number}").read_text() for number in range(4)]
        assert sorted(map(bool, logs)) == [False, False, False, True]
        assert_migrated(settings)

    def test_home_that_another_process_still_uses_there_stays(
        self, settings: Settings, old: Path
    ) -> None:
        listener = Endpoint(str(old), "a").listen()
        ready, go = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            try:
                settled(settings)
                listener.close()
                os.write(ready[1], b"x")
                os.read(go[0], 1)
            finally:
                os._exit(0)
        os.close(ready[1])
        try:
            assert os.read(ready[0], 1) == b"x"
            listener.close()
            now = settled(settings)
        finally:
            os.write(go[1], b"x")
            assert os.waitpid(child, 0)[1] == 0
            for descriptor in (ready[0], *go):
                os.close(descriptor)
        assert now.store_home == old
        assert "another process" in str(now.stays)


class TestHomeThatStays:
    def test_home_of_a_living_daemon_is_used_where_it_is(
        self, settings: Settings, old: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = snapshot(old / "fabric")
        with Endpoint(str(old), "a").listen():
            now = settled(settings)
        assert now.store_home == old
        assert now.web.tokens_file == old / "tokens"
        assert snapshot(old / "fabric") == before
        assert not (settings.home / "fabric").exists()
        (line,) = caplog.messages
        assert f"CONTEXT7_FABRIC_HOME={old} context7-fabric daemon stop" in line
        assert "\n" not in line
        assert leftovers(now) == []

    def test_socket_without_a_daemon_forbids_nothing(self, settings: Settings, old: Path) -> None:
        Endpoint(str(old), "a").listen().close()
        settled(settings)
        assert_migrated(settings)

    def test_tokens_that_are_named_stay_where_they_are(
        self, settings: Settings, old: Path, tmp_path: Path
    ) -> None:
        web = replace(settings.web, tokens_file=tmp_path / "t", wants_tokens=True)
        with Endpoint(str(old), "a").listen():
            assert settled(replace(settings, web=web)).web == web

    @pytest.mark.parametrize("name", ["fabric", "fabric/cache.db"])
    def test_link_in_the_old_home_is_not_followed(
        self, settings: Settings, old: Path, tmp_path: Path, name: str
    ) -> None:
        (old / name).rename(tmp_path / "elsewhere")
        (old / name).symlink_to(tmp_path / "elsewhere")
        now = settled(settings)
        assert now.store_home == old
        assert {path.name for path in settings.home.iterdir()} == {"migration"}
        assert list((settings.home / "migration").iterdir()) == []

    @pytest.mark.parametrize("place", ["context7-fabric", "context7-fabric/migration"])
    def test_new_home_that_cannot_be_made_leaves_the_old_one(
        self, settings: Settings, old: Path, place: str
    ) -> None:
        path = settings.home.parent / place
        path.parent.mkdir(parents=True)
        path.write_text("in the way")
        now = settled(settings)
        assert now.store_home == old
        assert "CONTEXT7_FABRIC_HOME" in str(now.stays)

    def test_home_of_another_user_is_not_taken(
        self, settings: Settings, old: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        assert settled(settings) == settings


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def replace_by_text(path: Path) -> None:
    path.write_bytes(b"this is no database at all, and never was one. " * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_in_the_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"SQLite format 9\0")


def another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (a)")
        database.commit()


class TestDamage:
    @pytest.mark.parametrize(
        "damage", [cut, overwrite, replace_by_text, flip_in_the_head, another_program]
    )
    def test_damaged_store_is_named_and_its_rest_is_taken(
        self,
        settings: Settings,
        old: Path,
        caplog: pytest.LogCaptureFixture,
        damage: Callable[[Path], None],
    ) -> None:
        damage(old / "fabric" / "cache.db")
        before = snapshot(old)
        now = settled(settings)
        assert now == settings
        assert snapshot(old) == before
        assert content(settings.home).items() <= VALUES.items()
        assert any(
            message.startswith(f"the store in {old}/fabric is damaged")
            for message in caplog.messages
        )
        names = {path.name for path in (settings.home / "fabric").glob("*.db*")}
        assert not {name for name in names if name.startswith("damaged")}
        assert (settings.home / "secret").read_bytes() == b"s" * 32

    def test_store_with_a_damaged_index_loses_nothing(self, settings: Settings, old: Path) -> None:
        with closing(sqlite3.connect(old / "fabric" / "cache.db")) as database:
            database.execute("PRAGMA writable_schema = 1")
            database.execute("DELETE FROM sqlite_master WHERE name = 'Fabric_in_time'")
            database.commit()
        settled(settings)
        assert content(settings.home) == VALUES

    def test_empty_file_of_a_store_is_an_empty_store(
        self, settings: Settings, old: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        empty(old / "fabric" / "cache.db")
        settled(settings)
        assert content(settings.home) == {}
        assert "damaged" not in caplog.text
