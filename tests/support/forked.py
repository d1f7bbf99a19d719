"""The product's command without the time that its imports take.

A parent that has imported all of it is started once a test process, and forks for each command. The
child is a process like any other: words, environment, folder, streams and session are its own, and
it ends as an interpreter ends. Where the start itself would show (other settings of Python, a
measurement of coverage), `started` starts the command by its file.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

PROGRAM = str(Path(sys.executable).with_name("context7-fabric"))
READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_")
"""Beginnings of variables that an interpreter reads when it starts."""

SECONDS = 90
COVERAGE = "COV"
"""Beginning of those by which coverage measures a process from its start."""

ENCODING = "PYTHONIOENCODING"
"""The one among them that a child reads as well."""

WITH_THREADS = ("numpy", "qdrant_client", "fastembed")
IMPORTED_LATE = ("anyio._backends._asyncio", "anyio._core._signals", "uvicorn.lifespan.off")
"""Modules that other packages import when they begin to serve."""

MODULE = [sys.executable, "-P", "-m", "context7_fabric"]
"""Start of a daemon's command line."""

ROOM = "x" * 8000
"""Makes room in a process for the words and the environment that the system shows of it."""

execve = os.execve
_NUMBER = struct.Struct("i")
_MESSAGE = 1 << 20


def started(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    **files: Any,  # noqa: ANN401  # as Popen takes them
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; the product's by a fork where that is the same."""
    environment = dict(os.environ if env is None else env)
    same_start = _read_at_start(environment) == _read_at_start(os.environ)
    is_measured = any(name.startswith(COVERAGE) for name in environment)
    by_fork = command[0] == PROGRAM and same_start and not is_measured
    kind = Forked if by_fork else subprocess.Popen
    return kind(command, env=environment, cwd=cwd, start_new_session=True, **files)


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    typed: str = "",
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    seconds: float = SECONDS,
    **others: Any,  # noqa: ANN401  # as Popen takes them
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with `typed` on its standard input; it prints in `encoding`."""
    files = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | others
    with started(command, env, **files) as process:
        try:
            printed = process.communicate(typed.encode(encoding), seconds)
        finally:
            process.kill()
    out, err = ((each or b"").decode(encoding, errors) for each in printed)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    names = (name for name in environment if name.startswith(READ_AT_START) and name != ENCODING)
    return {name: environment[name] for name in names}


class Forked(subprocess.Popen[bytes]):
    """A command that the parent forks and waits for; a pipe reports its start and its end."""

    def _execute_child(self, *asked: Any) -> None:  # noqa: ANN401  # as Popen calls it
        words, cwd, env = [str(each) for each in asked[0]], asked[5], asked[6]
        sys.audit("subprocess.Popen", words[0], words, cwd, env)
        streams = asked[10:16]
        own = streams[0], streams[3], streams[5]
        self._said, saying = os.pipe()
        fds = [fd if fd >= 0 else number for number, fd in enumerate(own)]
        wanted = {"words": words, "env": env, "cwd": os.fspath(cwd or Path.cwd())}
        socket.send_fds(parent(), [json.dumps(wanted).encode()], [*fds, saying])
        os.close(saying)
        self._close_pipe_fds(*streams)  # type: ignore[attr-defined]  # Popen's own
        (self.pid,) = _NUMBER.unpack(os.read(self._said, _NUMBER.size))
        self._child_created = True

    def _internal_poll(self, _deadstate: object = None) -> int | None:
        return self._ended(0)

    def _wait(self, timeout: float | None) -> int:
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._said], [], [], seconds)[0]:
            (status,) = _NUMBER.unpack(os.read(self._said, _NUMBER.size))
            os.close(self._said)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@cache
def parent() -> socket.socket:
    """Start the parent of this process's commands, which ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-P", __file__, str(its.fileno()), ROOM]
    parent = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], env={**os.environ, "ROOM": ROOM}
    )
    its.close()
    atexit.register(parent.wait)
    atexit.register(ours.close)
    return ours


class _Parent:
    """The parent's side: forks at each request, and reports the end of each child."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._children: dict[int, tuple[int, int]] = {}

    def serve(self) -> bool:
        """Serve until the requests end; True in a child, which is to run the command."""
        looked_at = select.poll()
        looked_at.register(self._requests, select.POLLIN)
        while True:
            for fd, _event in looked_at.poll():
                if fd in self._children:
                    looked_at.unregister(fd)
                    self._report(fd)
                    continue
                message, fds, _flags, _address = socket.recv_fds(self._requests, _MESSAGE, 4)
                if not message:
                    return False
                if (child := os.fork()) == 0:
                    self._requests.detach()
                    _become(fds, **json.loads(message))
                    return True
                ended, saying = os.pidfd_open(child), fds.pop()
                self._children[ended] = child, saying
                looked_at.register(ended, select.POLLIN)
                for each in fds:
                    os.close(each)

    def _report(self, ended: int) -> None:
        child, saying = self._children.pop(ended)
        _, status = os.waitpid(child, 0)
        os.close(ended)
        with suppress(BrokenPipeError):  # its starter is gone
            os.write(saying, _NUMBER.pack(status))
        os.close(saying)


def _become(fds: list[int], words: list[str], env: dict[str, str], cwd: str) -> None:
    """Take on a command's session, folder, streams, words and environment, and report the pid.

    What gets it may signal the process group, or look for the process by its environment.
    """
    os.setsid()
    saying = fds[3]
    for number, source in enumerate(fds[:3]):
        os.dup2(source, number)
    for descriptor in [int(each.name) for each in Path("/dev/fd").iterdir()]:
        if descriptor > 2 and descriptor != saying:
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)
    os.chdir(cwd)
    _take_on(words, env)
    os.write(saying, _NUMBER.pack(os.getpid()))
    os.close(saying)
    os.execve = _execute  # type: ignore[assignment]  # no imports for a daemon either


def _take_on(words: Sequence[str], env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    _show(words, env)
    time.tzset()
    tempfile.tempdir = None
    sys.argv = list(words)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number, getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _show(words: Sequence[str], env: Mapping[str, str]) -> None:
    """Have the system show words and environment, where it shows the parent's otherwise."""
    fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
    places = [int(each) for each in fields[45:49]]  # where words begin and end, and the environment
    named = [f"{name}={text}" for name, text in env.items()]
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        for texts, place in (words, slice(*places[:2])), (named, slice(*places[2:])):
            room = place.stop - place.start
            shown = b"\0".join(os.fsencode(text) for text in texts)[: room - 1]
            memory.seek(place.start)
            memory.write(shown.ljust(room, b"\0"))


def _execute(program: str, words: list[str], env: dict[str, str]) -> NoReturn:
    """Become another command of ours, as if it were executed; others are."""
    if words[:4] != MODULE or _read_at_start(env) != _read_at_start(os.environ):
        execve(program, words, env)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _take_on([program, *words[1:]], env)
    sys.argv = words[3:]
    try:
        code = sys.modules["context7_fabric.__main__"].main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # as an interpreter reports it
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def _stream(number: int, before: TextIO) -> TextIO:
    """Return a standard stream as an interpreter opens it."""
    named, _, errors = os.environ.get(ENCODING, "").partition(":")
    return open(
        number,
        "w" if number else "r",
        buffering=1 if number == 2 or os.isatty(number) else -1,
        encoding=named or before.encoding,
        errors=errors or before.errors,
        newline="\n",
        closefd=False,
    )


def _import_all() -> None:
    """Import what commands import, except what starts threads, which no fork takes along."""
    import context7_fabric as ours  # noqa: PLC0415  # of the parent alone

    without = dict.fromkeys(WITH_THREADS)
    sys.modules.update(without)  # type: ignore[arg-type]  # None: it cannot be imported
    for each in pkgutil.walk_packages(ours.__path__, f"{ours.__name__}."):
        with suppress(ImportError):
            import_module(each.name)
    for name in IMPORTED_LATE:
        import_module(name)
    for name in without:
        del sys.modules[name]
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    if _Parent(socket.socket(fileno=int(sys.argv[1]))).serve():
        sys.exit(sys.modules["context7_fabric.__main__"].main())
