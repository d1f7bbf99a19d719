"""Endpoint of a daemon: connecting, starting one, and the reasons why none can be used."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from context7_fabric.relay.endpoint import FOLDER, Endpoint, NoDaemon, endpoints, peer

HELLO = b"hello\n"
OTHER_USER = 65534


class Porter:
    """Listens at doors in this process, and answers each hello with the next of its words.

    Its last word stands for all that follow; an empty one hangs up.
    """

    def __init__(self, *words: bytes) -> None:
        self.words = list(words)
        self.started = 0
        self.heard: list[bytes] = []
        self._listeners: list[socket.socket] = []
        self._met: list[socket.socket] = []
        self._threads: list[Thread] = []

    def start(self, listener: socket.socket) -> None:
        """Take the listener over, as a daemon does that is started."""
        self.started += 1
        own = listener.dup()
        own.settimeout(None)
        self._listeners.append(own)
        self._threads.append(Thread(target=self._receive, args=(own,), daemon=True))
        self._threads[-1].start()

    def end(self) -> None:
        """Listen and speak no more."""
        for each in (*self._listeners, *self._met):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _receive(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                visitor = listener.accept()[0]
                self._met.append(visitor)
                self.heard.append(visitor.recv(len(HELLO)))
                word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
                visitor.sendall(word)
                if not word:
                    visitor.close()


Porters = Callable[..., Porter]


@pytest.fixture
def porters() -> Iterator[Porters]:
    """Makes porters, and ends them."""
    made: list[Porter] = []

    def make(*words: bytes) -> Porter:
        made.append(Porter(*words))
        return made[-1]

    yield make
    for porter in made:
        porter.end()


@pytest.fixture
def door(tmp_path: Path) -> Endpoint:
    return Endpoint(str(tmp_path / "home"), "name")


def never(listener: socket.socket) -> None:
    raise AssertionError


def modes(door: Endpoint) -> list[int]:
    paths = (door.home, door.folder, f"{door.folder}/name.sock")
    return [mode_of(path) for path in paths]


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


class TestEntering:
    def test_a_daemon_is_started_where_there_is_none_and_only_this_user_reaches_it(
        self, door: Endpoint, porters: Porters
    ) -> None:
        porter = porters(b"welcome\n")
        with door.connect_or_start(HELLO, porter.start) as connection:
            assert connection.gettimeout() is None
        assert porter.heard == [HELLO]
        assert modes(door) == [0o700, 0o700, 0o600]

    def test_the_next_comes_in_by_the_same_door(self, door: Endpoint, porters: Porters) -> None:
        porter = porters(b"welcome\n")
        door.connect_or_start(HELLO, porter.start).close()
        door.connect_or_start(HELLO, never).close()
        assert porter.started == 1

    def test_ten_at_once_start_one(self, door: Endpoint, porters: Porters) -> None:
        porter = porters(b"welcome\n")
        with ThreadPoolExecutor(10) as pool:
            entering = [pool.submit(door.connect_or_start, HELLO, porter.start) for _ in range(10)]
        for each in entering:
            each.result().close()
        assert porter.started == 1
        assert porter.heard == [HELLO] * 10

    def test_socket_without_a_listener_is_replaced(self, door: Endpoint, porters: Porters) -> None:
        with door.listen() as old:
            mark = door.socket_id()
            old.shutdown(socket.SHUT_RDWR)
            door.connect_or_start(HELLO, porters(b"welcome\n").start).close()
            assert door.socket_id() != mark

    def test_what_the_daemon_says_behind_its_word_is_left_to_be_read(
        self, door: Endpoint, porters: Porters
    ) -> None:
        with door.connect_or_start(HELLO, porters(b"welcome\nmore\n").start) as connection:
            assert connection.recv(5) == b"more\n"


class TestTurnedAway:
    def test_a_refusal_is_no_news(self, door: Endpoint, porters: Porters) -> None:
        assert refusal(door, porters(b"not here\n").start) == ""

    def test_one_that_ends_before_it_answers_gets_three_chances(
        self, door: Endpoint, porters: Porters
    ) -> None:
        porter = porters(b"")
        reason = refusal(door, porter.start)
        assert reason == f"it ends before it answers, {door.log} may tell why"
        assert porter.heard == [HELLO] * 3

    def test_one_that_ends_once_is_asked_again(self, door: Endpoint, porters: Porters) -> None:
        porter = porters(b"", b"", b"welcome\n")
        door.connect_or_start(HELLO, porter.start).close()
        assert porter.heard == [HELLO] * 3
        assert porter.started == 1

    def test_a_word_without_an_end_is_none(self, door: Endpoint, porters: Porters) -> None:
        assert "before it answers" in refusal(door, porters(b"w" * 10_000).start)

    def test_one_that_says_nothing_is_waited_for_so_long_and_no_longer(
        self, tmp_path: Path
    ) -> None:
        door = Endpoint(str(tmp_path / "home"), "name", patience=0.05)
        with door.listen():
            assert refusal(door, never) == "it does not answer within 0.05 s"

    def test_where_no_folder_can_be_that_is_no_news_here(
        self, door: Endpoint, tmp_path: Path
    ) -> None:
        (tmp_path / "home").touch()
        assert refusal(door, never) == ""

    def test_no_process_is_no_daemon(self, door: Endpoint) -> None:
        def start(listener: socket.socket) -> None:
            raise BlockingIOError

        assert refusal(door, start) == ""
        with pytest.raises(ConnectionRefusedError):
            door.connect()

    def test_folder_of_another_user_is_not_used(self, door: Endpoint) -> None:
        Path(door.folder).mkdir(parents=True)
        as_root()
        os.chown(door.folder, OTHER_USER, OTHER_USER)
        assert refusal(door, never) == ""

    def test_another_users_daemon_is_not_talked_to(self, door: Endpoint) -> None:
        as_root()
        Path(door.folder).mkdir(parents=True)
        with (
            listening_as_another_user(door),
            pytest.raises(PermissionError, match="another user's"),
        ):
            door.connect()


def refusal(door: Endpoint, start: Callable[[socket.socket], None]) -> str:
    with pytest.raises(NoDaemon) as raised:
        door.connect_or_start(HELLO, start)
    return str(raised.value)


def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")


def listening_as_another_user(door: Endpoint) -> socket.socket:
    """A socket at the door that listens in another user's name, as the kernel sees it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{door.folder}/name.sock")
    os.seteuid(OTHER_USER)
    try:
        listener.listen()
    finally:
        os.seteuid(0)
    return listener


class TestTheHome:
    def test_a_folder_that_others_could_enter_is_closed_to_them(
        self, door: Endpoint, porters: Porters
    ) -> None:
        Path(door.folder).mkdir(0o755, parents=True)
        door.connect_or_start(HELLO, porters(b"welcome\n").start).close()
        assert mode_of(door.folder) == 0o700

    def test_a_path_too_long_for_a_socket_is_reached_all_the_same(
        self, tmp_path: Path, porters: Porters
    ) -> None:
        home = tmp_path / ("h" * 150)
        door = Endpoint(str(home), "name")
        here = Path.cwd()
        door.connect_or_start(HELLO, porters(b"welcome\n").start).close()
        assert stat.S_ISSOCK((home / FOLDER / "name.sock").stat().st_mode)
        assert Path.cwd() == here

    def test_its_doors_are_its_sockets(self, tmp_path: Path) -> None:
        assert endpoints(str(tmp_path)) == []
        (tmp_path / FOLDER).mkdir()
        for name in ("b.sock", "a.sock", "a.log"):
            (tmp_path / FOLDER / name).touch()
        found = endpoints(str(tmp_path))
        assert [each.name for each in found] == ["a", "b"]
        assert found[0].log == str(tmp_path / FOLDER / "a.log")

    def test_each_identity_has_a_door_of_its_own(self, tmp_path: Path) -> None:
        first, second, other = (Endpoint.of(str(tmp_path), {"version": name}) for name in "112")
        assert first.name == second.name
        assert first.name != other.name


class TestListening:
    def test_only_one_can_claim_a_door(self, door: Endpoint) -> None:
        with door.listen(), pytest.raises(FileExistsError):
            door.listen()

    def test_who_leaves_takes_its_own_socket_away(self, door: Endpoint) -> None:
        with door.listen():
            door.remove(door.socket_id())
            assert endpoints(door.home) == []

    def test_who_leaves_lets_its_successors_socket_be(self, door: Endpoint) -> None:
        with door.listen() as first:
            mark = door.socket_id()
            first.shutdown(socket.SHUT_RDWR)
            with door.listen():
                door.remove(mark)
                assert [each.name for each in endpoints(door.home)] == ["name"]

    def test_the_other_end_is_this_user(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert peer(ours) == peer(theirs) == os.getuid()
