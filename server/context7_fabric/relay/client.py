"""One window: what its command line asks for, and the way from there to a daemon."""

from __future__ import annotations

import os
import signal
import socket
import sys

from context7_fabric.relay.endpoint import Endpoint, NoDaemon, start
from context7_fabric.relay.folders import UnusablePath
from context7_fabric.relay.forward import Forwarder
from context7_fabric.relay.handshake import SERVE, hello, identity, resolved, working_directory
from context7_fabric.relay.usage import asks_for_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_NOT_OURS = ("--help", "-h", "--port", "--host", "--")
_ENDED_BY = (signal.SIGTERM, signal.SIGINT)
_TRANSPORT, _KEY = "--transport", "--api-key"


def asks_for_stdio(words: list[str]) -> bool:
    """Tell whether a command line plainly means to serve on stdio; what is doubtful does not."""
    if words and not words[0].startswith("-") and words[0] != "serve":
        return False
    if asks_for_version(words) or _lacks_value(words):
        return False
    if any(word.partition("=")[0] in _NOT_OURS for word in words):
        return False
    return _value(words, _TRANSPORT) in (None, "stdio")


def _lacks_value(words: list[str]) -> bool:
    """Tell whether an option that needs a value is followed by another option, or by nothing."""
    return any(
        word in (_KEY, _TRANSPORT) and (words[number + 1 :] or ["-"])[0].startswith("-")
        for number, word in enumerate(words)
    )


def _value(words: list[str], option: str) -> str | None:
    """Return what follows `option`, as the last of its kind says."""
    value = None
    for number, word in enumerate(words):
        if word == option:
            value = words[number + 1]
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value


def serve(
    words: list[str],
    environ: Mapping[str, str],
    here: Callable[[socket.socket, dict[str, str], str | None], None],
) -> bool:
    """Serve the client of this process through a daemon until it is gone; False if none is to be.

    `here` serves a connection in this process: a daemon that dies may have no successor.
    """
    wanted = environ.get("CONTEXT7_FABRIC_DAEMON", "").strip().lower() or "auto"
    if wanted != "auto" or not asks_for_stdio(words):
        return False
    # SIGINT as well: it is inherited as ignored from a client that a script runs in the background.
    before = {each: signal.signal(each, signal.default_int_handler) for each in _ENDED_BY}
    try:
        _serve(environ, _value(words, _KEY), here)
    except UnusablePath:
        _restore(before)
        return False  # the settings, which are read next, report it
    except (NoDaemon, OSError) as trouble:
        _tell(trouble)
        _restore(before)
        return False
    except KeyboardInterrupt:
        pass
    except RuntimeError as trouble:
        _end(trouble)
    os._exit(0)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for each, handler in handlers.items():
        signal.signal(each, handler)


def _serve(
    environ: Mapping[str, str],
    api_key: str | None,
    here: Callable[[socket.socket, dict[str, str], str | None], None],
) -> None:
    directory = working_directory()
    clear = resolved(environ, directory)
    window = _Window(clear, hello(SERVE, clear, directory, api_key))
    connection = window.connect()
    Forwarder(connection, lambda: window.reconnect(lambda other: here(other, clear, api_key))).run()


class _Window:
    """What one window says to each daemon that it meets."""

    def __init__(self, environ: dict[str, str], said: bytes) -> None:
        self._environ = environ
        self._said = said
        self._door = Endpoint.of(environ["CONTEXT7_FABRIC_HOME"], identity(environ))

    def connect(self) -> socket.socket:
        return self._door.enter(self._said, self._start)

    def reconnect(self, here: Callable[[socket.socket], None]) -> socket.socket:
        """Return a connection to another daemon, or to a server in this process."""
        try:
            return self.connect()
        except NoDaemon as trouble:
            _tell(trouble)
            ours, theirs = socket.socketpair()
            try:
                here(theirs)
            except Exception as error:  # noqa: BLE001  # whatever it is, nothing else is left
                _tell(error)
                os._exit(1)
            return ours

    def _start(self, listener: socket.socket) -> None:
        start(listener, self._environ, self._door.log)


def _end(trouble: RuntimeError) -> None:
    """Tell why there can be no thread, without which nothing here can serve either."""
    told = (
        f"context7-fabric: it cannot go on: {trouble}; raise the limit of threads (`ulimit -u`)\n"
    )
    sys.stderr.write(told)
    sys.stderr.flush()
    os._exit(1)


def _tell(trouble: Exception) -> None:
    if str(trouble):
        told = f"context7-fabric: there is no daemon ({trouble}); this window serves itself\n"
        sys.stderr.write(told)
        sys.stderr.flush()
