"""`daemon` and the doctor's look at it, with whatever may sit behind a socket of the home."""

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

from context7_fabric.cli import daemon
from context7_fabric.cli.doctor import check_daemon, judged
from context7_fabric.cli.main import main
from context7_fabric.daemon.status import DaemonProbe, DaemonStatus, probe_all, wait_for_end
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import STATUS

OLDER = {"pid": 4711, "version": "0.0.9", "since": 1_700_000_000.0, "smell": "roses"}
HOSTILE = "\x1b[31m9.9\x1b]0;title\x07\u202e"


@contextmanager
def somebody(home: Path, answer: bytes, name: str = "a") -> Iterator[list[bytes]]:
    """Let somebody answer every visitor with these bytes; yields what visitors said."""
    listener = Endpoint(str(home), name).listen()
    heard: list[bytes] = []

    def answer_all() -> None:
        while True:
            try:
                visitor, _ = listener.accept()
            except OSError:
                return
            with suppress(ConnectionError), visitor, visitor.makefile("rb") as lines:
                heard.append(lines.readline())
                if answer:
                    visitor.sendall(answer)

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
    "everybody's pid": line(pid=-1),
    "no pid": line(pid="bash"),
    "too large a pid": line(pid=10**30),
    "no time": line(since=float("nan")),
    "no time of a calendar": line(since=1e300),
    "less than no memory": line(memory=-1),
    "far too much": line(smell="roses" * 100_000),
}


class TestStatus:
    def test_that_none_runs_is_said_and_is_no_failure(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["daemon", "status"]) == 0
        assert capsys.readouterr() == ("No daemon runs; the next client starts one.\n", "")
        assert main(["daemon", "status", "--json"]) == 0
        assert capsys.readouterr() == ("[]\n", "")

    def test_a_socket_that_nobody_listens_at_is_no_daemon(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Endpoint(str(home), "left").listen().close()
        assert main(["daemon", "status"]) == 0
        assert capsys.readouterr().out == "No daemon runs; the next client starts one.\n"

    def test_a_folder_that_no_daemon_can_have_is_told(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home.mkdir()
        (home / "daemon").touch()
        assert main(["daemon", "status"]) == 1
        out, err = capsys.readouterr()
        told = f"{home}/daemon cannot be used: Not a directory: each process serves itself"
        assert (out, err) == ("", f"context7-fabric: {told}\n")

    def test_a_daemon_of_another_version_is_shown_by_what_it_tells(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with somebody(home, line(windows=3, memory=5 * 2**20)):
            assert main(["daemon", "status"]) == 0
        out, err = capsys.readouterr()
        head, row, log = out.splitlines()
        assert head.split() == ["pid", "version", "up", "windows", "upstreams", "memory"]
        assert row.split()[:2] == ["4711", "0.0.9"]
        assert row.split()[-4:] == ["3", "0", "5", "MiB"]
        assert log == f"log of 4711: {home}/daemon/a.log"
        assert err == ""

    def test_json_tells_the_figures_as_they_were_said(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with somebody(home, line(windows=3)), somebody(home, b"", "b"):
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

    def test_a_long_path_of_the_log_is_not_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home = tmp_path / ("long" * 30)
        monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(home))
        monkeypatch.setenv("COLUMNS", "80")
        with somebody(home, line()):
            assert main(["daemon", "status"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"log of 4711: {home}/daemon/a.log" in lines
        assert max(map(len, lines[:-1])) <= 80

    def test_what_a_daemon_says_steers_no_terminal(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with somebody(home, line(version=HOSTILE)):
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
    def test_what_no_daemon_says_is_told_beside_the_daemons(
        self, home: Path, capsys: pytest.CaptureFixture[str], answer: bytes
    ) -> None:
        with somebody(home, line(), "good"), somebody(home, answer, "odd"):
            assert main(["daemon", "status"]) == 1
        out, err = capsys.readouterr()
        assert "4711" in out
        (told,) = err.splitlines()
        assert told.startswith("context7-fabric: a daemon ")
        assert told.endswith(f"; its log is {home}/daemon/odd.log")

    def test_somebody_who_says_nothing_is_waited_for_no_longer_than_allowed(
        self, home: Path
    ) -> None:
        started = time.monotonic()
        with Endpoint(str(home), "mute").listen():
            (visit,) = probe_all(str(home), STATUS, 0.01)
        assert time.monotonic() - started < 5
        assert (visit.status, visit.trouble) == (None, "did not answer within 0.01 s")

    def test_another_users_process_is_told_nothing(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with somebody(home, line()) as heard:
            monkeypatch.setattr(os, "getuid", lambda: 54321)
            (visit,) = probe_all(str(home), STATUS, 5)
        assert visit.trouble == "could not be asked: the daemon is another user's"
        assert set(heard) <= {b""}

    def test_no_key_goes_along(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONTEXT7_API_KEY", "ctx7sk-secret")
        monkeypatch.setenv("CONTEXT7_FABRIC_QDRANT_API_KEY", "qdrant-secret")
        with somebody(home, line()) as heard:
            assert main(["daemon", "status"]) == 0
        assert b"'wish': 'status'" in heard[0]
        assert b"secret" not in heard[0]


class TestStop:
    def test_that_none_runs_is_said_and_is_no_failure(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["daemon", "stop"]) == 0
        assert capsys.readouterr() == ("No daemon runs.\n", "")

    def test_a_process_that_nobody_has_reaped_has_ended(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with subprocess.Popen(["true"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with somebody(home, line(pid=child.pid)):
                assert main(["daemon", "stop"]) == 0
        assert capsys.readouterr() == (f"The daemon {child.pid} has ended.\n", "")

    def test_one_that_does_not_end_is_one_clear_line_and_a_failure(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(daemon, "END_SECONDS", 0.0)
        with somebody(home, line(pid=os.getpid())):
            assert main(["daemon", "stop"]) == 1
        told = (
            f"context7-fabric: the daemon {os.getpid()} still runs, although it was asked to end\n"
        )
        assert capsys.readouterr() == ("", told)

    def test_a_process_is_waited_for_until_it_ends(self) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            assert not wait_for_end(child.pid, 0)
            child.kill()
            assert wait_for_end(child.pid, 5)

    def test_somebody_who_does_not_understand_is_told_and_the_others_are_ended(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with subprocess.Popen(["true"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with somebody(home, b"what?\n", "a"), somebody(home, line(pid=child.pid), "b"):
                assert main(["daemon", "stop"]) == 1
        out, err = capsys.readouterr()
        assert out == f"The daemon {child.pid} has ended.\n"
        assert err.startswith(
            "context7-fabric: a daemon gave an answer that is not a daemon's; its log is "
        )


class TestDoctor:
    def test_takes_off_for_a_choice(self, home: Path) -> None:
        check = check_daemon("off")
        assert (check.ok, check.told) == (None, "switched off (CONTEXT7_FABRIC_DAEMON=off)")

    def test_finds_none_and_says_that_the_next_window_starts_one(self, home: Path) -> None:
        check = check_daemon("auto")
        assert (check.ok, check.told) == (None, "none runs, the next window starts one")
        assert not home.exists()

    def test_tells_how_each_is(self, home: Path) -> None:
        with somebody(home, line(windows=1)):
            check = check_daemon("auto")
        assert check.ok is True
        assert check.told.startswith("pid 4711, version 0.0.9, 1 window, up since 2023-11-1")

    def test_one_trouble_is_not_made_good_by_a_daemon_that_is_well(self) -> None:
        well = DaemonStatus(4711, "1.0", 0.0, windows=2)
        hangs = DaemonProbe("/home/daemon/b.log", trouble="did not answer within 5 s")
        check = judged([DaemonProbe("/home/daemon/a.log", well), hangs])
        assert check.ok is False
        assert "2 windows" in check.told
        assert check.told.endswith(
            "; one did not answer within 5 s: end its process, /home/daemon/b.log tells which"
        )

    def test_finds_fault_with_another_users_folder(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        check = check_daemon("auto")
        assert check.ok is False
        assert check.told.startswith(f"{folder} is another user's: each window serves itself; ")

    def test_finds_fault_with_a_file_in_the_folders_place(self, home: Path) -> None:
        home.mkdir()
        (home / "daemon").touch()
        check = check_daemon("auto")
        assert check.ok is False
        assert "cannot be used: Not a directory" in check.told
