"""Lock of an endpoint: a process waits for it for a bounded time."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from context7_fabric.relay.endpoint import Endpoint, NoDaemon

SHORT = 0.05


@pytest.fixture
def door(tmp_path: Path) -> Endpoint:
    door = Endpoint(str(tmp_path / "home"), "name", SHORT, SHORT)
    Path(door.folder).mkdir(0o700, parents=True)
    return door


@contextmanager
def locked(door: Endpoint) -> Iterator[int]:
    """Keep the lock for the length of the block, as a process does that is stopped meanwhile."""
    lock = os.open(door.folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def never(listener: socket.socket) -> None:
    raise AssertionError


def descriptors() -> set[Path]:
    return set(Path("/dev/fd").iterdir())


def test_who_enters_gives_up_and_says_why(door: Endpoint) -> None:
    with locked(door), pytest.raises(NoDaemon) as raised:
        door.connect_or_start(b"hello\n", never)
    assert str(raised.value) == f"another process has kept {door.folder} locked for 0.05 s"


def test_who_claims_gives_up_and_says_why(door: Endpoint) -> None:
    with locked(door), pytest.raises(TimeoutError, match=r"locked for 0\.05 s"):
        door.listen()


def test_who_leaves_gives_up_and_its_socket_is_the_next_ones_to_replace(
    door: Endpoint,
) -> None:
    with door.listen() as listener:
        mark = door.socket_id()
        with locked(door), pytest.raises(TimeoutError):
            door.remove(mark)
        assert door.is_current(mark)
        listener.shutdown(socket.SHUT_RDWR)
        with door.listen():
            assert not door.is_current(mark)


def test_who_gives_up_leaves_nothing_open(door: Endpoint) -> None:
    with locked(door):
        before = descriptors()
        with pytest.raises(TimeoutError):
            door.listen()
        assert descriptors() == before


def test_a_lock_that_is_let_go_in_time_is_had(
    door: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(door) as lock:
        monkeypatch.setattr(time, "sleep", lambda _seconds: fcntl.flock(lock, fcntl.LOCK_UN))
        door.listen().close()


def test_a_lock_that_is_free_is_not_waited_for(
    door: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        raise AssertionError(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    with door.listen():
        door.remove(door.socket_id())
