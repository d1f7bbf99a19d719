"""Port that counts connections and closes each at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class Knocks:
    """Connections to a port so far; each is counted before it is closed."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.count = 0
        self._thread = Thread(target=self._refuse, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _refuse(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.count += 1
                connection.close()


@contextmanager
def knocks(port: int = 0) -> Iterator[Knocks]:
    """Count connections for the length of the block; port 0 takes any free one."""
    counted = Knocks(port)
    try:
        yield counted
    finally:
        counted.close()
