"""`daemon`, `doctor` and `stats` beside real daemons, and a real upstream where one is needed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.version import __version__
from support.client import Dialogue, outcome_of, talking
from support.context7_api import Api
from support.processes import spawn, wait_gone
from support.product import PROGRAM, Variables, product_environment, run_product

FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
AUTO = {"CONTEXT7_FABRIC_DAEMON": "auto", "CONTEXT7_FABRIC_DAEMON_IDLE": "30s", "COLUMNS": "80"}

COUNTED = ("calls_this_month", "calls_saved")


@contextmanager
def ending(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """End every daemon of this environment's home behind the block."""
    try:
        yield environment
    finally:
        pids = pids_of(environment)
        run_product("daemon", "stop", env=environment)
        wait_gone(pids)


@pytest.fixture
def alone(home: Path) -> Iterator[dict[str, str]]:
    """The product's environment, with daemons and without an upstream."""
    with ending(product_environment(home, {**OFF, **AUTO})) as environment:
        yield environment


@pytest.fixture
def environment(home: Path, by_http: Variables) -> Iterator[dict[str, str]]:
    """The product's environment, with daemons in front of the real 4.1.1."""
    with ending(product_environment(home, {**by_http, **AUTO})) as environment:
        yield environment


def shown(environment: Variables, *words: str) -> str:
    """Return the output of a command that succeeds without a complaint."""
    done = run_product(*words, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def statuses(environment: Variables) -> list[dict[str, Any]]:
    """Return the objects of `daemon status --json`."""
    found: list[dict[str, Any]] = json.loads(shown(environment, "daemon", "status", "--json"))
    return found


def stats(environment: Variables) -> dict[str, Any]:
    """Return the object of `stats --json`."""
    figures: dict[str, Any] = json.loads(shown(environment, "stats", "--json"))
    return figures


def pids_of(environment: Variables) -> list[int]:
    """The pids of the daemons that serve a home."""
    done = run_product("daemon", "status", "--json", env=environment)
    return [each["pid"] for each in json.loads(done.stdout) if "pid" in each]


def ask(dialogue: Dialogue) -> str:
    """Ask a question twice, and return the outcome of the second call."""
    dialogue.call("resolve-library-id", libraryName="fastapi", query=QUESTION)
    dialogue.call("query-docs", libraryId=FASTAPI, query=QUESTION)
    return outcome_of(dialogue.call("query-docs", libraryId=FASTAPI, query=QUESTION))


class TestStatus:
    def test_counts_the_clients_that_are_connected(self, alone: dict[str, str]) -> None:
        with talking([PROGRAM], alone), talking([PROGRAM], alone):
            (status,) = statuses(alone)
            table = shown(alone, "daemon", "status")
        assert (status["windows"], status["apps"]) == (2, 1)
        assert (status["version"], status["idle_seconds"]) == (__version__, 30)
        assert status["memory"] > 2**20
        assert Path(status["log"]).exists()
        assert re.search(rf"^{status['pid']} +{re.escape(__version__)} .* 2 ", table, re.MULTILINE)
        assert f"log of {status['pid']}: {status['log']}\n" in table

    def test_shows_each_daemon_of_the_home(self, alone: dict[str, str]) -> None:
        other = {**alone, "CONTEXT7_FABRIC_LOG_LEVEL": "debug"}
        with talking([PROGRAM], alone), talking([PROGRAM], other):
            found = statuses(alone)
        assert len({each["pid"] for each in found}) == 2
        assert [each["windows"] for each in found] == [1, 1]


class TestStop:
    def test_returns_when_the_daemon_is_gone(self, alone: dict[str, str]) -> None:
        with talking([PROGRAM], alone):
            (pid,) = pids_of(alone)
            assert shown(alone, "daemon", "stop") == f"The daemon {pid} has ended.\n"
            wait_gone([pid], 0)
            assert shown(alone, "daemon", "stop") == "No daemon runs.\n"

    def test_connected_client_gets_its_answers_from_the_next_daemon(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            assert ask(dialogue) == "hit"
            first = pids_of(environment)
            shown(environment, "daemon", "stop")
            assert outcome_of(dialogue.call("query-docs", libraryId=FASTAPI, query=QUESTION)) == (
                "hit"
            )
            second = pids_of(environment)
        assert len(first) == len(second) == 1
        assert first != second


def test_daemon_that_hangs_delays_no_command_beyond_five_seconds(alone: dict[str, str]) -> None:
    commands = [["daemon", "status", "--json"], ["daemon", "stop"], ["doctor", "--json"]]
    with talking([PROGRAM], alone):
        (pid,) = pids_of(alone)
        os.kill(pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor() as pool:
                done = list(pool.map(lambda words: run_product(*words, env=alone), commands))
        finally:
            os.kill(pid, signal.SIGCONT)
        status, stop, doctor = done
        assert [each.returncode for each in done] == [1, 1, 1]
        (probe,) = json.loads(status.stdout)
        assert probe["trouble"] == "did not answer within 5 s"
        assert stop.stdout == ""
        assert stop.stderr == (
            f"context7-fabric: a daemon did not answer within 5 s; its log is {probe['log']}\n"
        )
        check = json.loads(doctor.stdout)["daemon"]
        assert check["ok"] is False
        assert check["told"].startswith("one did not answer within 5 s: end its process, ")
        assert f"daemon {pid} serves" in Path(probe["log"]).read_text("utf-8")


class TestLogs:
    def test_are_there_when_the_daemon_is_gone(self, alone: dict[str, str]) -> None:
        with talking([PROGRAM], alone):
            (pid,) = pids_of(alone)
        shown(alone, "daemon", "stop")
        lines = shown(alone, "daemon", "logs").splitlines()
        assert re.fullmatch(r"==> .*\.log <==", lines[0])
        assert f"INFO: daemon {pid} serves" in lines[1]
        assert lines[-1].endswith(f"INFO: daemon {pid} ends")
        assert shown(alone, "daemon", "logs", "--lines", "1").splitlines() == [lines[0], lines[-1]]

    def test_are_followed_from_one_daemon_to_the_next_until_ctrl_c(
        self, alone: dict[str, str]
    ) -> None:
        with spawn([PROGRAM, "daemon", "logs", "--follow"], alone) as follower:
            follower.err.wait_for("there is no log in")
            with talking([PROGRAM], alone):
                follower.out.wait_for(r"daemon (\d+) serves")
                (log,) = (each["log"] for each in statuses(alone))
                shown(alone, "daemon", "stop")
                follower.out.wait_for(r"daemon (\d+) ends")
                Path(log).rename(f"{log}.1")
                Path(log).write_text("a new file\n", "utf-8")
                follower.out.wait_for("^a new file$")
            follower.popen.send_signal(signal.SIGINT)
            assert follower.wait() == 130
        assert "Traceback" not in follower.err.text


@pytest.mark.timeout(180)  # each command is a process; `until` starts several
class TestBesideADaemon:
    """Commands on the store report the same while a daemon has it open, and afterwards."""

    def test_doctor_finds_the_same(self, api: Api, environment: dict[str, str]) -> None:
        with talking([PROGRAM], environment) as dialogue:
            ask(dialogue)
            # Everything that the calls write in the background is written by then.
            until(environment, calls=3)
            beside = self.checks(environment)
            (status,) = statuses(environment)
        shown(environment, "daemon", "stop")
        after = self.checks(environment)
        daemon, none = beside.pop("daemon"), after.pop("daemon")
        assert beside == after
        assert daemon["ok"] is True
        assert daemon["told"].startswith(
            f"pid {status['pid']}, version {__version__}, 1 client, up since 2"
        )
        assert (none["ok"], none["told"]) == (None, "none runs, the next client starts one")

    def test_stats_counts_the_same(self, api: Api, environment: dict[str, str]) -> None:
        with talking([PROGRAM], environment) as dialogue:
            ask(dialogue)
            beside = until(environment, calls=3)
        shown(environment, "daemon", "stop")
        assert stats(environment) == beside
        assert (beside["calls_this_month"], beside["calls_saved"]) == (2, 1)

    def test_purged_library_is_a_miss_at_the_daemon(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            assert ask(dialogue) == "hit"
            shown(environment, "purge", "--library", FASTAPI)
            assert outcome_of(dialogue.call("query-docs", libraryId=FASTAPI, query=QUESTION)) == (
                "miss"
            )

    def checks(self, environment: Variables) -> dict[str, Any]:
        """Return the findings of `doctor`, without times and the size of the store's file."""
        text = shown(environment, "doctor", "--json")
        found: dict[str, Any] = json.loads(
            re.sub(r"in \d+ ms|disk, [0-9.]+[KM]|[\d,]+ MiB free", "…", text)
        )
        return found


def until(environment: Variables, calls: int) -> dict[str, Any]:
    """Return the figures of `stats` once so many calls are written, which happens behind them."""
    while True:  # the test's own limit ends this
        figures = stats(environment)
        written = figures["records"]["calls"], sum(figures[name] for name in COUNTED)
        if written == (calls, calls):
            return figures


def test_run_serves_in_the_foreground_and_ends_on_ctrl_c(alone: dict[str, str]) -> None:
    with spawn([PROGRAM, "daemon", "run"], alone) as daemon:
        daemon.err.wait_for(rf"daemon {daemon.pid} serves")
        with talking([PROGRAM], alone):
            assert pids_of(alone) == [daemon.pid]
        second = run_product("daemon", "run", env=alone)
        assert second.returncode == 1
        assert "a daemon serves" in second.stderr
        daemon.popen.send_signal(signal.SIGINT)
        assert daemon.wait() == 0
