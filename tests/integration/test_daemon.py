"""The daemon: the clients that share one, its own process and environment, and its end."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import context7_fabric
from support.client import outcome_of, talking, texts_of
from support.context7_api import Api
from support.daemons import (
    daemon_of,
    daemons,
    daemons_of,
    kill,
    log_of,
    with_daemon,
    without_coverage,
)
from support.knocks import knocks
from support.processes import children_of, wait_gone
from support.product import PROGRAM, Variables
from support.programs import needed

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
OTHERS = {"libraryId": "/fastapi/fastapi", "query": "How do I serve static files?"}


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return with_daemon(home)


class TestSharing:
    def test_question_of_one_client_is_a_hit_for_another(
        self, api: Api, home: Path, by_http: Variables
    ) -> None:
        environment = with_daemon(home, by_http)
        with talking([PROGRAM], environment) as one, talking([PROGRAM], environment) as other:
            first, second = (each.call("query-docs", **ASKED) for each in (one, other))
            assert (outcome_of(first), outcome_of(second)) == ("miss", "hit")
            assert texts_of(first) == texts_of(second)
            assert len(daemons_of(home)) == 1
        assert api.calls == 1

    def test_clients_with_one_credential_share_one_upstream_and_another_gets_its_own(
        self, api: Api, home: Path, by_command: Variables
    ) -> None:
        environment = with_daemon(home, by_command)
        with ExitStack() as stack:
            families = []
            for number, key in enumerate([None, None, "ctx7sk-1", "ctx7sk-1", "ctx7sk-2"]):
                words = [] if key is None else ["--api-key", key]
                dialogue = stack.enter_context(talking([PROGRAM, *words], environment))
                asked = {**ASKED, "query": f"What is number {number}?"}
                assert outcome_of(dialogue.call("query-docs", **asked)) == "miss"
                families.append(children_of(daemon_of(home)))
        assert [len(family) for family in families] == [1, 1, 2, 2, 3]
        assert [each.key for each in api.requests] == [
            *(None, None),
            *("ctx7sk-1", "ctx7sk-1"),
            "ctx7sk-2",
        ]

    def test_upstream_of_the_clients_own_folder_is_started_there(
        self, home: Path, tmp_path: Path
    ) -> None:
        environment = with_daemon(home, {"CONTEXT7_FABRIC_UPSTREAM": "./upstream"})
        program = f"import os; os.chdir({str(tmp_path)!r}); os.execv({PROGRAM!r}, [{PROGRAM!r}])"
        (tmp_path / "upstream").write_text(f"#!/bin/sh\necho here >> {tmp_path}/seen\n", "utf-8")
        (tmp_path / "upstream").chmod(0o700)
        with talking([sys.executable, "-c", program], environment) as dialogue:
            assert dialogue.call("query-docs", **ASKED)["isError"]
            assert len(daemons_of(home)) == 1
        assert "here" in (tmp_path / "seen").read_text("utf-8")


class TestIdentity:
    @pytest.mark.parametrize(
        "other",
        [
            {"HTTPS_PROXY": "http://127.0.0.1:9"},
            {"CONTEXT7_FABRIC_PATIENCE": "3s"},
            {"NODE_EXTRA_CA_CERTS": "/dev/null"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_another_environment_gets_a_daemon_of_its_own(
        self, home: Path, environment: dict[str, str], other: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment):
            first = daemons_of(home)
            with talking([PROGRAM], {**environment, **other}):
                assert len(daemons_of(home) - first) == 1
            assert daemons_of(home) > first

    def test_environment_without_effect_upstream_shares_the_daemon(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        other = {
            "EDITOR": "ed",
            "CONTEXT7_FABRIC_TOOLS": "+feedback",
            "CONTEXT7_API_KEY": "ctx7sk-1",
        }
        with talking([PROGRAM], environment), talking([PROGRAM], {**environment, **other}):
            assert len(daemons_of(home)) == 1

    def test_another_version_gets_a_daemon_of_its_own_and_the_old_one_ends(
        self, home: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        # Unmeasured: coverage is of the repository's files, not of the copy.
        impatient = {**without_coverage(environment), "CONTEXT7_FABRIC_DAEMON_IDLE": "1s"}
        with talking([PROGRAM], impatient):
            (old,) = daemons_of(home)
        newer = {**impatient, "PYTHONPATH": str(another_version(tmp_path))}
        with talking([sys.executable, "-P", "-m", "context7_fabric"], newer) as dialogue:
            assert daemons_of(home) - {old}
            dialogue.ask("tools/list")
            wait_gone([old], 8)
            assert dialogue.ask("tools/list")["tools"]

    def test_another_network_gets_a_daemon_of_its_own(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as outside:
            first = daemon_of(home)
            with talking([*without_network(), PROGRAM], environment) as inside:
                (second,) = daemons_of(home) - {first}
                assert network_of(second) == network_of(inside.process.pid)
                assert network_of(first) == network_of(outside.process.pid)
                assert network_of(first) != network_of(second)


def another_version(folder: Path) -> Path:
    """Return the root of a copy of the package with a newer version."""
    package = Path(context7_fabric.__file__).parent
    copied = folder / "server" / package.name
    shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "seeds").symlink_to(package.parents[1] / "seeds")
    module = copied / "__init__.py"
    module.write_text(
        module.read_text("utf-8").replace(context7_fabric.__version__, "9.9.9"), "utf-8"
    )
    return copied.parent


def without_network() -> list[str]:
    """Return words that run a command without a network; skip the test where that is forbidden."""
    alone = ["unshare", "--net"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root to leave the network")
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs permission to leave the network")
    return alone


def network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


class TestDetached:
    def test_nothing_of_its_starter_is_taken_along(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with tempfile.TemporaryFile() as leaked:
            os.set_inheritable(leaked.fileno(), True)  # noqa: FBT003  # os has no keyword for it
            command = leaking(leaked.fileno())
            with talking(command, environment) as dialogue:
                starter = Path(f"/proc/{dialogue.process.pid}/fd/{leaked.fileno()}")
                assert starter.exists(), "the starter had it, or this would show nothing"
                pid = daemon_of(home)
                held = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        assert held["0"] == os.devnull
        assert held["1"] == held["2"] == str(next((home / "daemon").glob("*.log")))
        assert not any(target.startswith("pipe:") for target in held.values())
        assert not any("(deleted)" in target for target in held.values())

    def test_daemon_has_its_own_session_in_the_root_folder(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            pid = daemon_of(home)
            assert os.getsid(pid) != os.getsid(dialogue.process.pid)
            assert pid not in children_of(os.getpid())
            assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
            assert "Umask:\t0077\n" in Path(f"/proc/{pid}/status").read_text("ascii")

    def test_log_is_private_and_holds_start_and_end(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment):
            pid = daemon_of(home)
        os.kill(pid, signal.SIGTERM)
        wait_gone([pid])
        (log,) = (home / "daemon").iterdir()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        first, *_, last = log.read_text("utf-8").splitlines()
        assert f"daemon {pid} serves {home}" in first
        assert f"daemon {pid} ends" in last

    def test_module_in_the_clients_folder_is_not_imported(
        self, home: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "json.py").write_text("raise SystemExit('not mine')\n", "utf-8")
        program = f"import os; os.chdir({str(tmp_path)!r}); os.execv({PROGRAM!r}, [{PROGRAM!r}])"
        with talking([sys.executable, "-P", "-c", program], environment):
            assert len(daemons_of(home)) == 1


def leaking(fd: int) -> list[str]:
    """Return the command of a client that inherits a descriptor by mistake."""
    assert fd > 2
    program = f"exec {fd}</proc/{os.getpid()}/fd/{fd} && exec {PROGRAM}"
    return [needed("bash"), "-c", program]


class TestLeaving:
    def test_idle_daemon_ends_and_leaves_its_log_alone(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        impatient = {**environment, "CONTEXT7_FABRIC_DAEMON_IDLE": "1s"}
        with talking([PROGRAM], impatient) as dialogue:
            pid = daemon_of(home)
            with pytest.raises(AssertionError, match="still running"):
                wait_gone([pid], 2)
            assert dialogue.ask("tools/list")["tools"]
        wait_gone([pid])
        assert [each.suffix for each in (home / "daemon").iterdir()] == [".log"]
        assert "idle for 1 s" in log_of(home)

    def test_daemon_that_is_stopped_ends_its_upstream_and_its_clients_go_on(
        self, api: Api, home: Path, by_command: Variables
    ) -> None:
        environment = with_daemon(home, by_command)
        with talking([PROGRAM], environment) as dialogue:
            dialogue.call("query-docs", **ASKED)
            pid = daemon_of(home)
            family = children_of(pid)
            assert family
            os.kill(pid, signal.SIGTERM)
            wait_gone([pid, *family])
            assert outcome_of(dialogue.call("query-docs", **OTHERS)) == "miss"
            assert daemon_of(home) != pid

    def test_old_logs_of_others_are_cleared_away_when_one_starts(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        folder = home / "daemon"
        folder.mkdir(parents=True)
        for name in ("0000dead.log", "0000dead.log.1", "0000beef.log"):
            (folder / name).touch()
        for name in ("0000dead.log", "0000dead.log.1"):
            os.utime(folder / name, (0, 0))
        with talking([PROGRAM], environment):
            assert sorted(log.name[:8] for log in folder.glob("0000*")) == ["0000beef"]


def test_daemon_uses_the_proxy_of_its_clients(home: Path) -> None:
    with knocks() as proxy, daemons(home):
        variables = {
            "CONTEXT7_FABRIC_UPSTREAM": "https://context7.invalid/mcp",
            "HTTPS_PROXY": proxy.url,
        }
        with talking([PROGRAM], with_daemon(home, variables)) as dialogue:
            assert dialogue.call("query-docs", **ASKED)["isError"]
            kill([daemon_of(home)])
        assert proxy.count > 0
