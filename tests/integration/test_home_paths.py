"""The home is at the configured path; one of another user or with wide permissions is noticed."""

import os
import stat
from pathlib import Path

import pytest

from support.client import talking
from support.daemons import daemons, daemons_of, with_daemon
from support.product import PROGRAM, context, product_environment, run_product

OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}

UNUSABLE = [
    ("CONTEXT7_FABRIC_HOME", "${HOME}/x", "'$'"),
    ("CONTEXT7_FABRIC_HOME", "/var/$USER/fabric", "'$'"),
    ("CONTEXT7_FABRIC_HOME", "$HOME", "'$'"),
    ("CONTEXT7_FABRIC_HOME", "fabric", "absolute"),
    ("CONTEXT7_FABRIC_HOME", "./here/fabric", "absolute"),
    ("CONTEXT7_FABRIC_HOME", "%LOCALAPPDATA%\\fabric", "absolute"),
    ("CONTEXT7_FABRIC_HOME", "~no-such-user/fabric", "not known"),
    ("CONTEXT7_FABRIC_HOME", "/var/two\nlines", "control characters"),
    ("CONTEXT7_FABRIC_SEED", "$XDG_DATA_HOME/seed.yaml", "'$'"),
    ("CONTEXT7_FABRIC_MODEL_PATH", "${HOME}/model", "'$'"),
    ("CONTEXT7_FABRIC_TOKENS_FILE", "$HOME/tokens", "'$'"),
    ("CONTEXT7_FABRIC_TLS_CERT", "~no-such-user/cert", "not known"),
]


@pytest.mark.parametrize(("variable", "value", "reason"), UNUSABLE)
def test_unusable_path_ends_it_with_one_line(
    tmp_path: Path, variable: str, value: str, reason: str
) -> None:
    assert_refused(tmp_path, [], variable, value, reason)


@pytest.mark.parametrize("words", ["context list", "daemon status", "stats", "token list"])
def test_each_command_refuses_a_path_in_the_same_words(tmp_path: Path, words: str) -> None:
    assert_refused(tmp_path, words.split(), *UNUSABLE[1])


def assert_refused(
    tmp_path: Path, words: list[str], variable: str, value: str, reason: str
) -> None:
    environment = product_environment(tmp_path / "home", {**OFF, "CONTEXT7_FABRIC_DAEMON": "auto"})
    done = run_product(*words, env={**environment, variable: value}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"context7-fabric: {variable}: {value!r} is not ")
    assert reason in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/fabric", "fabric"),
        ("~/a/../b//c/", "b/c"),
        ("~/100%/%h%41", "100%/%h%41"),
        ("~/with blanks/and?mode=ro#x", "with blanks/and?mode=ro#x"),
        ("~/Ünïcödé/鍵", "Ünïcödé/鍵"),
        ("~/" + "long/" * 40 + "home", "long/" * 40 + "home"),
    ],
)
def test_home_is_at_the_written_path_and_private(tmp_path: Path, written: str, meant: str) -> None:
    environment = product_environment(Path(written), {**OFF, "HOME": str(tmp_path)})
    environment["CONTEXT7_FABRIC_HOME"] = written
    assert context("set", "key", "value", env=environment).returncode == 0
    home = tmp_path / meant
    assert {path.name for path in home.iterdir()} == {"fabric"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert {modes.pop("fabric"), stat.S_IMODE(home.stat().st_mode)} == {0o700}
    assert set(modes.values()) == {0o600}
    done = run_product("doctor", "--json", env=environment)
    assert str(home) in done.stdout


def test_relay_and_daemon_use_the_same_home(tmp_path: Path) -> None:
    with daemons(tmp_path / "fabric") as home:
        environment = with_daemon(home, {**OFF, "HOME": str(tmp_path)})
        environment["CONTEXT7_FABRIC_HOME"] = "~/x/../fabric/"
        with talking([PROGRAM], environment) as dialogue:
            dialogue.ask("tools/list")
            assert len(daemons_of(home)) == 1


@pytest.mark.parametrize(
    ("before", "after"), [(0o777, 0o755), (0o775, 0o755), (0o772, 0o750), (0o755, 0o755)]
)
def test_a_home_that_others_may_write_to_is_closed_to_them(
    home: Path, before: int, after: int
) -> None:
    home.mkdir()
    home.chmod(before)
    assert context("set", "a", "b", env=product_environment(home, OFF)).returncode == 0
    assert stat.S_IMODE(home.stat().st_mode) == after


def test_a_home_may_be_a_link_to_a_folder_of_the_users(home: Path) -> None:
    (home.parent / "dotfiles").mkdir()
    home.symlink_to(home.parent / "dotfiles")
    assert context("set", "a", "b", env=product_environment(home, OFF)).returncode == 0
    assert (home.parent / "dotfiles" / "fabric" / "cache.db").is_file()


@pytest.mark.parametrize("name", ["fabric", "daemon"])
def test_a_link_in_the_home_is_neither_followed_nor_changed(home: Path, name: str) -> None:
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    home.mkdir()
    (home / name).symlink_to(elsewhere)
    environment = product_environment(home, {**OFF, "CONTEXT7_FABRIC_DAEMON": "auto"})
    with talking([PROGRAM], environment) as dialogue:
        assert dialogue.ask("tools/list")["tools"]
    assert list(elsewhere.iterdir()) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["secret", "log"])
def test_a_link_in_the_place_of_a_file_is_not_written_through(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.write_text("another's")
    other.chmod(0o644)
    with daemons(tmp_path / "home") as home:
        environment = with_daemon(home, {**OFF, "CONTEXT7_API_KEY": "ctx7sk-mine"})
        with talking([PROGRAM], environment) as dialogue:
            dialogue.ask("tools/list")
        run_product("daemon", "stop", env=environment)
        (log,) = (home / "daemon").glob("*.log")
        path = log if name == "log" else home / "secret"
        path.unlink()
        path.symlink_to(other)
        with talking([PROGRAM], environment) as dialogue:
            assert dialogue.ask("tools/list")["tools"]
            assert len(daemons_of(home)) == 1
    assert other.read_text() == "another's"
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert not path.is_symlink()


@pytest.mark.either_mode
def test_a_secret_of_another_users_is_not_used(home: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    home.mkdir()
    (home / "secret").write_bytes(b"x" * 32)
    os.chown(home / "secret", 12345, 12345)
    environment = product_environment(home, {**OFF, "CONTEXT7_API_KEY": "ctx7sk-mine"})
    with talking([PROGRAM], environment) as dialogue:
        assert dialogue.ask("tools/list")["tools"]
    assert (home / "secret").read_bytes() != b"x" * 32
    assert (home / "secret").stat().st_uid == 0
