"""`daemon`, and the daemon's check in `doctor`, with valid and invalid daemons."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from context7_fabric.cli.checks import DaemonFacts, HealthCheck, judge_daemon
from context7_fabric.cli.daemon import stop_all
from context7_fabric.cli.facts import daemon_facts
from context7_fabric.cli.main import main
from context7_fabric.daemon.status import DaemonProbe, DaemonStatus, probe_all, wait_for_end
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import STATUS

OLDER = {"pid": 4711, "version": "0.0.9", "since": 1_700_000_000.0, "smell": "roses"}
HOSTILE = "\x1b[31m9.9\x1b]0;title\x07\u202e"


@contextmanager
def fake_daemon(home: Path, answer: bytes, name: str = "a") -> Iterator[list[bytes]]:
    """Answer every connection with these bytes; yield the requests."""
    listener = Endpoint(str(home), name).listen()
    heard: list[bytes] = []

    def answer_all() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
                heard.append(lines.readline())
                if answer:
                    connection.sendall(answer)

    thread = Thread(target=answer_all, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        listener.shutdown(2)
        thread.join(5)
        listener.close()


def line(**changed: object) -> bytes:
    """The answer of a daemon of another version."""
    return json.dumps({**OLDER, **changed}).encode() + b"\n"


ODD = {
    "nothing": b"",
    "no JSON": b"not here\n",
    "no object": b"[]\n",
    "no text": b"\xff\n",
    "negative pid": line(pid=-1),
    "no pid": line(pid="bash"),
    "too large a pid": line(pid=10**30),
    "no time": line(since=float("nan")),
    "no time of a calendar": line(since=1e300),
    "less than no memory": line(memory=-1),
    "far too much": line(smell="roses" * 100_000),
}


class TestStatus:
    def test_status_without_a_daemon_succeeds(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["daemon", "status"]) == 0
        assert capsys.readouterr() == ("No daemon runs; the next client starts one.\n", "")
        assert main(["daemon", "status", "--json"]) == 0
        assert capsys.readouterr() == ("[]\n", "")

    def test_status_with_a_socket_without_a_listener_shows_no_daemon(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Endpoint(str(home), "left").listen().close()
        assert main(["daemon", "status"]) == 0
        assert capsys.readouterr().out == "No daemon runs; the next client starts one.\n"

    def test_status_with_an_unusable_folder_fails(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home.mkdir()
        (home / "daemon").touch()
        assert main(["daemon", "status"]) == 1
        out, err = capsys.readouterr()
        trouble = f"{home}/daemon cannot be used: Not a directory: each process serves itself"
        assert (out, err) == ("", f"context7-fabric: {trouble}\n")

    def test_status_of_another_version_is_shown(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with fake_daemon(home, line(windows=3, memory=5 * 2**20)):
            assert main(["daemon", "status"]) == 0
        out, err = capsys.readouterr()
        head, row, log = out.splitlines()
        assert head.split() == ["pid", "version", "up", "windows", "upstreams", "memory"]
        assert row.split()[:2] == ["4711", "0.0.9"]
        assert row.split()[-4:] == ["3", "0", "5", "MiB"]
        assert log == f"log of 4711: {home}/daemon/a.log"
        assert err == ""

    def test_status_json_holds_the_figures_of_the_daemon(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with fake_daemon(home, line(windows=3)), fake_daemon(home, b"", "b"):
            assert main(["daemon", "status", "--json"]) == 1
        known, silent = json.loads(capsys.readouterr().out)
        assert known == {
            "pid": 4711,
            "version": "0.0.9",
            "since": 1_700_000_000.0,
            "windows": 3,
            "idle_seconds": None,
            "apps": 0,
            "memory": 0,
            "log": f"{home}/daemon/a.log",
            "trouble": None,
        }
        assert silent["log"] == f"{home}/daemon/b.log"
        assert silent.keys() == {"log", "trouble"}

    def test_status_does_not_cut_a_long_log_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home = tmp_path / ("long" * 30)
        monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(home))
        monkeypatch.setenv("COLUMNS", "80")
        with fake_daemon(home, line()):
            assert main(["daemon", "status"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"log of 4711: {home}/daemon/a.log" in lines
        assert max(map(len, lines[:-1])) <= 80

    def test_status_prints_no_control_characters(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with fake_daemon(home, line(version=HOSTILE)):
            assert main(["daemon", "status"]) == 0
            assert main(["daemon", "status", "--json"]) == 0
        out = capsys.readouterr().out
        assert "9.9" in out
        assert not set("\x1b\x07\u202e") & set(out)

    @pytest.mark.parametrize(
        "answer",
        ODD.values(),
        ids=ODD,
    )
    def test_status_with_an_invalid_answer_reports_it_beside_the_daemons(
        self, home: Path, capsys: pytest.CaptureFixture[str], answer: bytes
    ) -> None:
        with fake_daemon(home, line(), "good"), fake_daemon(home, answer, "odd"):
            assert main(["daemon", "status"]) == 1
        out, err = capsys.readouterr()
        assert "4711" in out
        (error,) = err.splitlines()
        assert error.startswith("context7-fabric: a daemon ")
        assert error.endswith(f"; its log is {home}/daemon/odd.log")

    def test_probe_without_an_answer_times_out(self, home: Path) -> None:
        started = time.monotonic()
        with Endpoint(str(home), "mute").listen():
            (visit,) = probe_all(str(home), STATUS, 0.01)
        assert time.monotonic() - started < 5
        assert (visit.status, visit.trouble) == (None, "did not answer within 0.01 s")

    def test_probe_of_another_users_daemon_sends_nothing(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with fake_daemon(home, line()) as heard:
            monkeypatch.setattr(os, "getuid", lambda: 54321)
            (visit,) = probe_all(str(home), STATUS, 5)
        assert visit.trouble == "could not be asked: the daemon is another user's"
        assert set(heard) <= {b""}

    def test_status_request_holds_no_key(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONTEXT7_API_KEY", "ctx7sk-secret")
        monkeypatch.setenv("CONTEXT7_FABRIC_QDRANT_API_KEY", "qdrant-secret")
        with fake_daemon(home, line()) as heard:
            assert main(["daemon", "status"]) == 0
        assert b"'wish': 'status'" in heard[0]
        assert b"secret" not in heard[0]


class TestStop:
    def test_stop_without_a_daemon_succeeds(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["daemon", "stop"]) == 0
        assert capsys.readouterr() == ("No daemon runs.\n", "")

    def test_stop_treats_a_zombie_as_ended(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with subprocess.Popen(["true"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with fake_daemon(home, line(pid=child.pid)):
                assert main(["daemon", "stop"]) == 0
        assert capsys.readouterr() == (f"The daemon {child.pid} has ended.\n", "")

    def test_stop_of_a_daemon_that_does_not_end_fails(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with fake_daemon(home, line(pid=os.getpid())):
            assert stop_all(seconds=0.0) == 1
        error = (
            f"context7-fabric: the daemon {os.getpid()} still runs, although it was asked to end\n"
        )
        assert capsys.readouterr() == ("", error)

    def test_ends_waits_until_a_process_has_ended(self) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            assert not wait_for_end(child.pid, 0)
            child.kill()
            assert wait_for_end(child.pid, 5)

    def test_stop_with_an_invalid_answer_ends_the_other_daemons(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with subprocess.Popen(["true"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with fake_daemon(home, b"what?\n", "a"), fake_daemon(home, line(pid=child.pid), "b"):
                assert main(["daemon", "stop"]) == 1
        out, err = capsys.readouterr()
        assert out == f"The daemon {child.pid} has ended.\n"
        assert err.startswith(
            "context7-fabric: a daemon gave an answer that is not a daemon's; its log is "
        )


def check_daemon(mode: str) -> HealthCheck:
    return judge_daemon(daemon_facts(mode))


class TestDoctor:
    def test_doctor_with_the_daemon_off_neither_passes_nor_fails(self, home: Path) -> None:
        check = check_daemon("off")
        assert (check.ok, check.text) == (None, "switched off (CONTEXT7_FABRIC_DAEMON=off)")

    def test_doctor_without_a_daemon_neither_passes_nor_fails(self, home: Path) -> None:
        check = check_daemon("auto")
        assert (check.ok, check.text) == (None, "none runs, the next client starts one")
        assert not home.exists()

    def test_doctor_describes_each_daemon(self, home: Path) -> None:
        with fake_daemon(home, line(windows=1)):
            check = check_daemon("auto")
        assert check.ok is True
        assert check.text.startswith("pid 4711, version 0.0.9, 1 client, up since 2023-11-1")

    def test_doctor_with_one_faulty_daemon_fails(self) -> None:
        well = DaemonStatus(4711, "1.0", 0.0, windows=2)
        hangs = DaemonProbe("/home/daemon/b.log", trouble="did not answer within 5 s")
        check = judge_daemon(DaemonFacts(probes=[DaemonProbe("/home/daemon/a.log", well), hangs]))
        assert check.ok is False
        assert "2 clients" in check.text
        assert check.line.endswith(
            "; one did not answer within 5 s: end its process, which /home/daemon/b.log names,"
            " by `kill PID`"
        )

    def test_doctor_with_another_users_folder_fails(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        check = check_daemon("auto")
        assert check.ok is False
        assert check.line.startswith(f"{folder} is another user's: each client serves itself: ")

    def test_doctor_with_a_file_in_place_of_the_folder_fails(self, home: Path) -> None:
        home.mkdir()
        (home / "daemon").touch()
        check = check_daemon("auto")
        assert check.ok is False
        assert "cannot be used: Not a directory" in check.text
