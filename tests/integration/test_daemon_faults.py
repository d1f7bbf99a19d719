"""Faults of the daemon and its home: each client is answered all the same."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.client import Dialogue, outcome_of, talking
from support.context7_api import Api
from support.daemons import daemon_of, daemons, daemons_of, kill, log_of, with_daemon
from support.processes import spawn, wait_gone
from support.product import PROGRAM, Variables

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
LOCAL = "no daemon can be used"
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
FULL = (
    'mkdir -p "$0" && mount -t tmpfs -o size=1m none "$0"'
    ' && { head -c 2000000 /dev/zero > "$0/fill" 2>/dev/null; exec "$@"; }'
)
NO_INODES = 'mkdir -p "$0" && mount -t tmpfs -o nr_inodes=1 none "$0" && exec "$@"'


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path, by_http: Variables) -> dict[str, str]:
    return with_daemon(home, by_http)


class TestRaces:
    def test_ten_clients_at_once_on_a_new_home_get_one_daemon(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        def answered(dialogue: Dialogue) -> str:
            dialogue.introduce()
            return outcome_of(dialogue.call("query-docs", **ASKED))

        with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
            started = [stack.enter_context(spawn([PROGRAM], environment)) for _ in range(10)]
            outcomes = list(pool.map(answered, map(Dialogue, started)))
            assert len(daemons_of(home)) == 1
            assert all(each.err.text == "" for each in started)
        assert outcomes.count("miss") == 1
        assert set(outcomes) <= {"miss", "coalesced", "hit"}
        assert api.calls == 1
        assert log_of(home).count("serves") == 1

    def test_client_that_connects_while_the_daemon_ends_is_answered(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        impatient = {**environment, "CONTEXT7_FABRIC_DAEMON_IDLE": "0s"}
        for _ in range(4):
            with talking([PROGRAM], impatient) as dialogue:
                assert dialogue.ask("tools/list")["tools"]
                assert dialogue.process.complaints() == []


class TestKilledDaemon:
    def test_a_call_in_flight_is_answered_by_the_next(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue, api.gate() as gate:
            number = dialogue.start("tools/call", name="query-docs", arguments=ASKED)
            gate.wait_for(1)
            first = daemon_of(home)
            kill([first])
            gate.wait_for(2)
            gate.release()
            assert outcome_of(dialogue.reply(number)) == "miss"
            assert daemon_of(home) != first
            assert outcome_of(dialogue.call("query-docs", **ASKED)) == "hit"
            assert dialogue.process.complaints() == []
        answered = [line for line in dialogue.process.out.text.splitlines() if '"id":1,' in line]
        assert len(answered) == 1  # the handshake was replayed, and its second reply dropped

    def test_a_call_that_two_daemons_die_of_fails_and_the_one_behind_it_does_not(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue, api.gate() as gate:
            first = daemon_of(home)
            os.kill(first, signal.SIGSTOP)
            number = dialogue.start("tools/call", name="query-docs", arguments=ASKED)
            kill([first])
            gate.wait_for(1)
            kill([daemon_of(home)])
            with pytest.raises(AssertionError, match="Connection closed"):
                dialogue.reply(number)
            gate.release()
            other = {**ASKED, "query": "How do I serve static files?"}
            assert outcome_of(dialogue.call("query-docs", **other)) == "miss"

    def test_daemon_killed_between_two_calls_is_replaced_silently(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            dialogue.call("query-docs", **ASKED)
            kill([daemon_of(home)])
            assert outcome_of(dialogue.call("query-docs", **ASKED)) == "hit"
            assert dialogue.process.complaints() == []

    def test_clients_of_a_killed_daemon_share_the_next_one(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(talking([PROGRAM], environment)) for _ in range(5)]
            kill([daemon_of(home)])
            numbers = [client.start("tools/list") for client in clients]
            for client, number in zip(clients, numbers, strict=True):
                assert client.reply(number)["tools"]
            assert len(daemons_of(home)) == 1

    def test_socket_of_a_killed_daemon_is_replaced(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment):
            kill([daemon_of(home)])
        assert list((home / "daemon").glob("*.sock"))
        with talking([PROGRAM], environment) as dialogue:
            assert len(daemons_of(home)) == 1
            assert dialogue.process.complaints() == []

    def test_client_without_a_next_daemon_is_served_in_process(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue, api.gate() as gate:
            number = dialogue.start("tools/call", name="query-docs", arguments=ASKED)
            gate.wait_for(1)
            (home / "daemon").rename(home / "away")
            (home / "daemon").touch()
            kill([daemon_of(home)])
            gate.wait_for(2)
            gate.release()
            assert outcome_of(dialogue.reply(number)) == "miss"
            assert outcome_of(dialogue.call("query-docs", **ASKED)) == "hit"
            assert daemons_of(home) == set()
            assert dialogue.process.complaints() == []


class TestNoDaemon:
    def test_daemon_whose_python_fails_is_reported_once_and_replaced_in_process(
        self, home: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        failing = "import os, sys\nif 'daemon' in sys.orig_argv: os._exit(3)\n"
        (tmp_path / "sitecustomize.py").write_text(failing, "utf-8")
        with talking([PROGRAM], {**environment, "PYTHONPATH": str(tmp_path)}) as dialogue:
            assert outcome_of(dialogue.call("query-docs", **ASKED)) == "miss"
            (line,) = dialogue.process.complaints()
        assert LOCAL in line
        assert str(home) in line

    def test_daemon_that_dies_while_it_starts_is_replaced_in_process(
        self, home: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        dying = (
            "import os, sys\nif 'daemon' in sys.orig_argv:\n"
            "    import asyncio\n"
            "    asyncio.BaseEventLoop.create_server = None\n"
            "    asyncio.unix_events._UnixSelectorEventLoop.create_unix_server ="
            " lambda *_, **__: os.kill(os.getpid(), 9)\n"
        )
        (tmp_path / "sitecustomize.py").write_text(dying, "utf-8")
        with talking([PROGRAM], {**environment, "PYTHONPATH": str(tmp_path)}) as dialogue:
            assert outcome_of(dialogue.call("query-docs", **ASKED)) == "miss"
            assert len(dialogue.process.complaints()) == 1

    def test_unusable_setting_is_named_and_ends_with_2(self, environment: dict[str, str]) -> None:
        with spawn([PROGRAM], {**environment, "CONTEXT7_FABRIC_PATIENCE": "soon"}) as process:
            (line,) = process.complaints(2)
        assert "CONTEXT7_FABRIC_PATIENCE" in line

    def test_unusable_key_is_reported_although_a_daemon_runs(
        self, environment: dict[str, str]
    ) -> None:
        with (
            talking([PROGRAM], environment),
            spawn([PROGRAM, "--api-key", "a b"], environment) as process,
        ):
            (line,) = process.complaints(2)
        assert "CONTEXT7_API_KEY" in line


class TestHomes:
    def test_home_with_a_long_path_gets_a_daemon(self, tmp_path: Path, by_http: Variables) -> None:
        with daemons(tmp_path / ("h" * 150)) as home:
            for _ in range(2):
                with talking([PROGRAM], with_daemon(home, by_http)) as dialogue:
                    dialogue.call("query-docs", **ASKED)
                    assert dialogue.process.complaints() == []
            (pid,) = daemons_of(home)
            os.kill(pid, signal.SIGTERM)
            wait_gone([pid])
            assert not list((home / "daemon").glob("*.sock"))

    def test_client_with_a_file_as_home_is_answered(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        home.touch()
        assert_answered([PROGRAM], environment)
        assert daemons_of(home) == set()

    @pytest.mark.parametrize("mount", [FULL, NO_INODES], ids=["no room", "no inode"])
    def test_client_on_a_full_disk_is_answered(
        self, home: Path, environment: dict[str, str], mount: str
    ) -> None:
        assert_answered([*mounted(mount, home), PROGRAM], environment)

    def test_client_with_a_read_only_home_is_answered(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        home.mkdir()
        assert_answered([*mounted(READ_ONLY, home), PROGRAM], environment)
        assert daemons_of(home) == set()


def assert_answered(command: Sequence[str], environment: dict[str, str]) -> None:
    """Assert that two calls are answered, with at most one line on stderr for each reason."""
    with talking(command, environment) as dialogue:
        outcomes = [outcome_of(dialogue.call("query-docs", **ASKED)) for _ in range(2)]
        complaints = dialogue.process.complaints()
    assert outcomes[0] == "miss"
    assert len(complaints) == len(set(complaints)) <= 2
    assert not any("Traceback" in line for line in complaints)


def mounted(mount: str, home: Path) -> list[str]:
    """Return words that run a command with a file system mounted for it alone."""
    alone = ["unshare", "--mount", "sh", "-c", mount, str(home)]
    tried = (
        subprocess.run([*alone, "true"], capture_output=True, check=False).returncode
        if os.geteuid() == 0 and shutil.which("unshare")
        else 1
    )
    if tried != 0:
        pytest.skip("needs root and permission to mount")
    return alone
