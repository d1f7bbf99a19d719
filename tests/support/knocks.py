"""A port where nobody is at home: connections are counted and closed at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class Knocks:
    """Who came to a port so far; each was counted before it was turned away."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.count = 0
        self._thread = Thread(target=self._turn_away, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _turn_away(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                self.count += 1
                visitor.close()


@contextmanager
def knocks(port: int = 0) -> Iterator[Knocks]:
    """Count for the length of the block; port 0 takes any free one."""
    counted = Knocks(port)
    try:
        yield counted
    finally:
        counted.close()
