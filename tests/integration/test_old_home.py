"""Home of an earlier version, in the cache folder: each process finds it, `doctor` names it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.client import talking
from support.daemons import daemon_of, daemons, daemons_of, with_daemon
from support.processes import spawn
from support.product import PROGRAM, context, product_environment, run_product

OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with the default home below `tmp_path`, and no daemon."""
    environment = product_environment(tmp_path, {**OFF, "CONTEXT7_FABRIC_DAEMON": "off"})
    del environment["CONTEXT7_FABRIC_HOME"]
    places = {"XDG_DATA_HOME": tmp_path / "data", "XDG_CACHE_HOME": tmp_path / "cache"}
    return {**environment, **{name: str(path) for name, path in places.items()}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "context7-fabric"


@pytest.fixture
def old(tmp_path: Path, environment: dict[str, str]) -> Path:
    """An old home with a context and a token."""
    old = tmp_path / "cache" / "context7-fabric"
    there = {**environment, "CONTEXT7_FABRIC_HOME": str(old)}
    assert context("set", "mine", "a text", env=there).returncode == 0
    assert run_product("token", "add", "ann", env=there).returncode == 0
    return old


def checks(environment: dict[str, str]) -> dict[str, dict[str, object]]:
    done = run_product("doctor", "--json", env=environment)
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_new_home_is_in_the_data_folder(environment: dict[str, str], home: Path) -> None:
    assert context("set", "key", "value", env=environment).returncode == 0
    assert {path.name for path in home.iterdir()} == {"fabric"}
    found = checks(environment)
    assert (found["home"]["ok"], found["home"]["told"]) == (True, str(home))
    assert "old home" not in found


@pytest.mark.parametrize("words", ["context get mine", "token list", "doctor", "stats"])
def test_first_command_migrates_and_the_next_says_nothing(
    environment: dict[str, str], home: Path, old: Path, words: str
) -> None:
    done = run_product(*words.split(), env=environment)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"context7-fabric: WARNING: the home is now {home}: ")
    again = context("get", "mine", env=environment)
    assert (again.stdout, again.stderr) == ("a text", "")
    assert "ann" in run_product("token", "list", env=environment).stdout
    assert {path.name for path in old.iterdir()} >= {"fabric", "tokens"}


def test_doctor_names_the_old_home(environment: dict[str, str], home: Path, old: Path) -> None:
    found = checks(environment)
    assert found["home"]["told"] == str(home)
    assert str(old / "fabric") in str(found["old home"]["told"])
    done = run_product("doctor", env=environment)
    (line,) = [line for line in done.stdout.splitlines() if "old home" in line]
    assert f"{old}/fabric, {old}/tokens" in line
    shutil.rmtree(old)
    assert "old home" not in checks(environment)


@pytest.mark.either_mode
def test_client_on_stdio_finds_what_was_stored_before(
    environment: dict[str, str], home: Path, old: Path
) -> None:
    with talking([PROGRAM], environment) as dialogue:
        read = dialogue.ask("resources/read", uri="fabric://GLOBAL/mine")
    assert "a text" in json.dumps(read)
    assert (home / "fabric" / "cache.db").is_file()


def test_daemon_migrates_before_it_serves(
    environment: dict[str, str], home: Path, old: Path
) -> None:
    environment |= {"CONTEXT7_FABRIC_DAEMON": "auto", "CONTEXT7_FABRIC_DAEMON_IDLE": "30s"}
    with talking([PROGRAM], environment) as dialogue:
        assert "a text" in json.dumps(dialogue.ask("resources/read", uri="fabric://GLOBAL/mine"))
        assert list((home / "daemon").glob("*.sock"))
    assert run_product("daemon", "stop", env=environment).returncode == 0
    (log,) = (home / "daemon").glob("*.log")
    assert f"the home is now {home}" in log.read_text()


def test_home_with_a_living_daemon_is_used_there_until_it_ends(
    environment: dict[str, str], home: Path, old: Path
) -> None:
    with daemons(old):
        earlier = with_daemon(old, OFF)
        with talking([PROGRAM], earlier) as dialogue:
            dialogue.ask("tools/list")
            assert daemon_of(old)
            done = context("set", "new", "another text", env=environment)
            assert done.returncode == 0
            assert f"WARNING: the home is still {old}: a daemon" in done.stderr
            assert not (home / "fabric").exists()
            found = checks(environment)["old home"]
            assert found["ok"] is None
            assert f"CONTEXT7_FABRIC_HOME={old} context7-fabric daemon stop" in str(found["told"])
        stop = {**environment, "CONTEXT7_FABRIC_HOME": str(old)}
        assert run_product("daemon", "stop", env=stop).returncode == 0
        assert not daemons_of(old)
    assert context("get", "new", env=environment).stdout == "another text"
    assert (home / "fabric").is_dir()


def test_server_with_tokens_asks_for_them_wherever_the_home_is(
    environment: dict[str, str], home: Path, old: Path
) -> None:
    home.parent.mkdir()
    home.write_text("in the way")
    with spawn([PROGRAM, "--transport", "http", "--port", "0"], environment) as process:
        address = process.err.wait_for(r"serves MCP at (\S+)/mcp", 50)[1]
        done = subprocess.run(
            ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", f"{address}/mcp", "-d", "{}"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "401"


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
FULL = 'mkdir -p "$0" && mount -t tmpfs -o size=16k none "$0" && exec "$@"'


@pytest.mark.parametrize("mount", [READ_ONLY, FULL], ids=["read-only", "full"])
def test_home_on_a_disk_without_room_is_served_where_it_is(
    environment: dict[str, str], home: Path, old: Path, mount: str
) -> None:
    home.mkdir(parents=True)
    alone = ["unshare", "--mount", "sh", "-c", mount, str(home)]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and permission to mount")
    done = subprocess.run(
        [*alone, PROGRAM, "context", "get", "mine"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "a text")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"context7-fabric: WARNING: the home is still {old}: ")
    assert context("get", "mine", env=environment).stdout == "a text"
    assert (home / "fabric" / "cache.db").is_file()


@pytest.mark.parametrize("given", [None, "", "relative"], ids=["unset", "empty", "relative"])
def test_user_without_a_folder_in_the_environment_has_a_home(
    tmp_path: Path, environment: dict[str, str], given: str | None
) -> None:
    environment = {name: text for name, text in environment.items() if name != "HOME"}
    if given is not None:
        environment["HOME"] = given
    done = run_product("daemon", "status", "--json", env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    environment["XDG_DATA_HOME"] = "relative"
    done = run_product("daemon", "status", "--json", env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
