"""Starting the daemon: a process of its own, which outlives its starter and inherits nothing."""

from __future__ import annotations

import os
import socket
import sys

from context7_fabric.relay.folders import append_to
from context7_fabric.relay.handshake import WINDOW_ENVIRONMENT

_LISTENER = 3
"""The descriptor at which the daemon finds its listening socket."""

_CANNOT_RUN = 127


def start(listener: socket.socket, environ: dict[str, str], log: str) -> None:
    """Let a daemon listen at `listener`; whatever it prints goes to the file `log`.

    Its environment is `environ` without what is a window's own, credentials above all.

    Raises:
        OSError: There can be no process.
    """
    own = {name: text for name, text in environ.items() if name not in WINDOW_ENVIRONMENT}
    own["PATH"] = environ.get("PATH", os.defpath)
    child = os.fork()
    if child == 0:
        _detach(listener.fileno(), own, log)
    os.waitpid(child, 0)


def _detach(listener: int, environ: dict[str, str], log: str) -> None:
    """Become the daemon's parent for a moment, and the daemon; never returns."""
    try:
        os.setsid()
        if os.fork() == 0:
            _take_descriptors(listener, log)
            # -P: no module of the folder that an editor happens to be in is taken for one of ours.
            words = [sys.executable, "-P", "-m", "context7_fabric", "daemon", "run"]
            os.execve(sys.executable, [*words, "--listener", str(_LISTENER)], environ)
    finally:
        os._exit(_CANNOT_RUN)


def _take_descriptors(listener: int, log: str) -> None:
    """Keep the listening socket, and of the starter's other descriptors none."""
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        printed = append_to(log)
    except OSError:
        printed = nothing
    kept = os.dup(listener)
    for fd, source in enumerate((nothing, printed, printed, kept)):
        os.dup2(source, fd)
    os.chdir("/")
    for name in os.listdir("/dev/fd"):
        if int(name) > _LISTENER:
            try:
                os.close(int(name))
            except OSError:
                pass
