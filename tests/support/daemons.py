"""The daemons of a home as the system sees them: found by what they were started with.

Linux only, because it asks /proc.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.processes import wait_gone
from support.product import Variables, product_environment

SECONDS = 30
RUNS_A_DAEMON = b"\0daemon\0run\0"


def with_daemon(home: Path, variables: Variables | None = None) -> dict[str, str]:
    """Return the environment of relays of a daemon; without `variables` there is no upstream.

    The daemon stays for half a minute, which no test waits for: `daemons` ends it.
    """
    upstream = {"CONTEXT7_FABRIC_UPSTREAM": "off"} if variables is None else variables
    staying = {"CONTEXT7_FABRIC_DAEMON": "auto", "CONTEXT7_FABRIC_DAEMON_IDLE": "30s"}
    return product_environment(home, {**staying, **upstream})


def without_coverage(environment: Variables) -> dict[str, str]:
    """The same for processes whose imports are counted."""
    return {name: value for name, value in environment.items() if not name.startswith("COV")}


def daemons_of(home: Path) -> set[int]:
    """The pids of the daemons that run on a home, whatever they are doing."""
    meant = f"CONTEXT7_FABRIC_HOME={home}".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if RUNS_A_DAEMON in (process / "cmdline").read_bytes():
                variables = (process / "environ").read_bytes().split(b"\0")
                found |= {int(process.name)} if meant in variables else set()
    return found


def daemon_of(home: Path) -> int:
    (pid,) = daemons_of(home)
    return pid


def kill(pids: Iterable[int]) -> None:
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_gone(pids, SECONDS)


@contextmanager
def daemons(home: Path) -> Iterator[Path]:
    try:
        yield home
    finally:
        end(daemons_of(home))


def end(pids: Iterable[int]) -> None:
    """End them, with patience first and by force then."""
    pids = list(pids)
    for number in (signal.SIGCONT, signal.SIGTERM):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    try:
        wait_gone(pids, SECONDS)
    except AssertionError:
        kill(pids)
        raise


def log_of(home: Path) -> str:
    logs = sorted((home / "daemon").glob("*.log*"))
    return "".join(log.read_text("utf-8", errors="replace") for log in logs)
