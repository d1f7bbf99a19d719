"""Command lines of the product, each in a process of its own that need not import anything.

A parent that has imported all commands forks for each; what a child prints goes to a pipe, in an
encoding of the caller's, or to a terminal of 80 columns.
"""

from __future__ import annotations

import json
import os
import pty
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import IO, Any, NoReturn

COLUMNS = 80


@dataclass(frozen=True)
class Done:
    """How a command line ended, and what it printed; on a terminal both streams are one."""

    code: int
    out: str
    err: str


class Forks:
    """The parent, to be told what to run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = count()

    def run(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        encoding: str = "utf-8",
        *,
        terminal: bool = False,
    ) -> Done:
        """Run one command line to its end."""
        number = next(self._numbers)
        wanted = {"words": words, "env": dict(env), "encoding": encoding, "terminal": terminal}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([number, wanted]) + "\n")
        self._process.stdin.flush()
        answered, done = -1, dict[str, Any]()
        while answered != number:  # one that a test did not wait for comes first
            answered, done = json.loads(self._process.stdout.readline())
        return Done(**done)


@contextmanager
def forking(env: Mapping[str, str]) -> Iterator[Forks]:
    """Start the parent for the length of the block."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(env),
    ) as process:
        try:
            yield Forks(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def _serve() -> None:
    _import_commands()
    for line in sys.stdin:
        number, wanted = json.loads(line)
        sys.stdout.write(json.dumps([number, _run(**wanted)]) + "\n")
        sys.stdout.flush()


def _import_commands() -> None:
    from importlib import import_module  # noqa: PLC0415  # of the parent alone

    from context7_fabric.cli.main import COMMANDS  # noqa: PLC0415  # as above

    for name in (*(f"cli.{command}" for command in COMMANDS), "runtime.runtime", "__main__"):
        import_module(f"context7_fabric.{name}")


def _run(
    words: list[str],
    env: dict[str, str],
    encoding: str,
    terminal: bool,  # from JSON
) -> dict[str, object]:
    reading, writing = pty.openpty() if terminal else os.pipe()
    if terminal:
        _make_wide(writing)
    reading_err, writing_err = os.pipe()
    child = os.fork()
    if child == 0:
        _become(words, env, encoding, writing, writing if terminal else writing_err)
    os.close(writing)
    os.close(writing_err)
    out, err = _all_of(reading), _all_of(reading_err)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "out": out.decode(encoding, "replace"), "err": err.decode(encoding)}


def _make_wide(terminal: int) -> None:
    import fcntl  # noqa: PLC0415  # of the parent alone
    import termios  # noqa: PLC0415  # as above

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))


def _become(words: list[str], env: dict[str, str], encoding: str, out: int, err: int) -> NoReturn:
    from context7_fabric.__main__ import main  # noqa: PLC0415  # of the child alone

    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in enumerate((nothing, out, err)):
            os.dup2(source, number)
        os.environ.clear()
        os.environ.update(env)
        sys.stdin, sys.stdout, sys.stderr = (_stream(number, encoding) for number in range(3))
        sys.__stdout__ = sys.stdout  # type: ignore[misc, assignment]  # whose terminal is measured
        sys.argv = ["context7-fabric", *words]
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  # a traceback is what the tests look for
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    os._exit(code)


def _stream(number: int, encoding: str) -> IO[str]:
    mode = "w" if number else "r"
    return os.fdopen(number, mode, encoding=encoding, closefd=False)


def _all_of(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # a terminal whose last user has gone
            part = b""
        if not part:
            os.close(descriptor)
            return b"".join(parts)
        parts.append(part)


if __name__ == "__main__":
    _serve()
