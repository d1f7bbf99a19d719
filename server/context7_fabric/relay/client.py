"""Command lines that serve on stdio, and the connection from this process to a daemon."""

from __future__ import annotations

import os
import signal
import socket
import sys

from context7_fabric.relay.endpoint import Endpoint, NoDaemon, start
from context7_fabric.relay.folders import UnusablePath, home_of
from context7_fabric.relay.forward import Forwarder
from context7_fabric.relay.handshake import SERVE, hello, identity, resolved, working_directory
from context7_fabric.relay.usage import asks_for_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    ServeHere: TypeAlias = Callable[[socket.socket, dict[str, str], str | None], None]
    """Serves a connection in this process, by an environment and the command line's API key."""

_NOT_STDIO = ("--help", "-h", "--port", "--host", "--")
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TRANSPORT, _KEY = "--transport", "--api-key"


def asks_for_stdio(words: list[str]) -> bool:
    """Tell whether a command line certainly asks for a server on stdio."""
    if words and not words[0].startswith("-") and words[0] != "serve":
        return False
    if asks_for_version(words) or _lacks_value(words):
        return False
    if any(word.partition("=")[0] in _NOT_STDIO for word in words):
        return False
    return _value(words, _TRANSPORT) in (None, "stdio")


def _lacks_value(words: list[str]) -> bool:
    """Tell whether an option that needs a value is followed by another option, or by nothing."""
    return any(
        word in (_KEY, _TRANSPORT) and (words[number + 1 :] or ["-"])[0].startswith("-")
        for number, word in enumerate(words)
    )


def _value(words: list[str], option: str) -> str | None:
    """Return the value of the last `option` on the command line."""
    value = None
    for number, word in enumerate(words):
        if word == option:
            value = words[number + 1]
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value


def wants_daemon(environ: Mapping[str, str]) -> bool:
    """Tell whether the settings ask for a daemon."""
    mode = environ.get("CONTEXT7_FABRIC_DAEMON", "").strip().lower()
    return mode in ("", "auto")


class DaemonConnector:
    """Connects to the daemon of one environment, and starts it when there is none."""

    def __init__(
        self, purpose: str, environ: Mapping[str, str], api_key: str | None = None
    ) -> None:
        """Prepare the handshake for `purpose`; `api_key` is the command line's.

        Raises:
            UnusablePath: As `resolved`.
        """
        directory = working_directory()
        self.environ = resolved(environ, directory)
        self._hello = hello(purpose, self.environ, directory, api_key)
        self._endpoint = Endpoint.of(home_of(self.environ), identity(self.environ))

    def connect(self) -> socket.socket:
        """Return a connection to a daemon that has accepted the handshake.

        Raises:
            NoDaemon: As `Endpoint.connect_or_start`.
        """
        return self._endpoint.connect_or_start(self._hello, self._start)

    def _start(self, listener: socket.socket) -> None:
        start(listener, self.environ, self._endpoint.log)


def report_no_daemon(error: Exception, instead: str) -> None:
    """Print on stderr that no daemon can be used, unless `error` gives no reason."""
    if str(error):
        sys.stderr.write(f"context7-fabric: no daemon can be used ({error}): {instead}\n")
        sys.stderr.flush()


_INSTEAD = "this process serves the session itself"


def serve(words: list[str], environ: Mapping[str, str], serve_here: ServeHere) -> bool:
    """Serve this process's client through a daemon until it leaves; False if none is to be used.

    `serve_here` takes over when a daemon dies and cannot be replaced.
    """
    if not wants_daemon(environ) or not asks_for_stdio(words):
        return False
    # SIGINT as well: it is inherited as ignored from a client that a script runs in the background.
    before = {each: signal.signal(each, signal.default_int_handler) for each in _ENDING_SIGNALS}
    try:
        _forward(environ, _value(words, _KEY), serve_here)
    except (UnusablePath, NoDaemon, OSError) as error:
        if not isinstance(error, UnusablePath):  # the settings, which are read next, report that
            report_no_daemon(error, _INSTEAD)
        for each, handler in before.items():
            signal.signal(each, handler)
        return False
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        _end_without_threads(error)
    os._exit(0)


def _forward(environ: Mapping[str, str], api_key: str | None, serve_here: ServeHere) -> None:
    connector = DaemonConnector(SERVE, environ, api_key)

    def reconnect() -> socket.socket:
        try:
            return connector.connect()
        except NoDaemon as error:
            report_no_daemon(error, _INSTEAD)
            return _served_here(lambda theirs: serve_here(theirs, connector.environ, api_key))

    Forwarder(connector.connect(), reconnect).run()


def _served_here(serve: Callable[[socket.socket], None]) -> socket.socket:
    """Return a connection to a server in this process; without one the process ends."""
    ours, theirs = socket.socketpair()
    try:
        serve(theirs)
    except Exception as error:  # noqa: BLE001  # no other server is left
        report_no_daemon(error, "this process cannot serve the session either")
        os._exit(1)
    return ours


def _end_without_threads(error: RuntimeError) -> None:
    """End the process: without a thread it can neither forward nor serve."""
    sys.stderr.write(
        f"context7-fabric: cannot continue: {error}; raise the limit of threads (`ulimit -u`)\n"
    )
    sys.stderr.flush()
    os._exit(1)
