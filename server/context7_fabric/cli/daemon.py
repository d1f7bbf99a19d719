"""`daemon`: status, logs and end of this home's daemons."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from context7_fabric.cli.output import harmless, print_json, print_table
from context7_fabric.cli.text import CommandParser, print_error, print_text
from context7_fabric.daemon.logs import follow, logs_in
from context7_fabric.daemon.status import (
    DaemonProbe,
    DaemonStatus,
    daemon_home,
    folder_trouble,
    probe_all,
    wait_for_end,
)
from context7_fabric.durations import format_duration
from context7_fabric.process import imported
from context7_fabric.relay.endpoint import FOLDER, Endpoint
from context7_fabric.relay.folders import home_of
from context7_fabric.relay.handshake import STATUS, STOP, identity, resolved, working_directory

END_SECONDS = 5.0
"""Seconds that a daemon may take to end."""

_READ_EVERY = 0.25
_TAIL = 50
_ABOUT = """One daemon serves all clients (editors, agents, commands) of a user on one home. The
first client starts it, and it ends after ten minutes without one (CONTEXT7_FABRIC_DAEMON_IDLE).
CONTEXT7_FABRIC_DAEMON=off makes each process serve itself."""


def run(words: list[str]) -> int:
    """Run the subcommand that the first of `words` names."""
    options = _parser().parse_args(words)
    return int(options.do(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric daemon", description=_ABOUT)
    named = parser.add_subparsers(required=True, metavar="status|stop|logs|run")
    add = partial(_add, named)
    status = add("status", _status, "print the daemons of this home and their status")
    status.add_argument("--json", action="store_true", help="the same as a JSON list")
    add("stop", _stop, "end them; an open client, or the next, starts another")
    logs = add("logs", _logs, "print the last lines of their logs, ended daemons included")
    wanted = f"how many lines of each log (default {_TAIL})"
    logs.add_argument("--lines", "-n", type=_count, default=_TAIL, metavar="N", help=wanted)
    on = "print new lines as they come, until Ctrl-C"
    logs.add_argument("--follow", "-f", action="store_true", help=on)
    serve = add("run", _run, "run a daemon in the foreground (clients start theirs by themselves)")
    serve.add_argument("--listener", type=int, metavar="FD", help=argparse.SUPPRESS)
    return parser


def _add(named: Any, name: str, do: Any, summary: str) -> argparse.ArgumentParser:  # noqa: ANN401  # argparse's subparsers have no public type
    parser: argparse.ArgumentParser = named.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.set_defaults(do=do)
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):  # noqa: PLR2004  # signs
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _status(options: argparse.Namespace) -> int:
    home = daemon_home()
    probes, trouble = list(probe_all(home, STATUS)), folder_trouble(home)
    if options.json:
        print_json([_as_object(probe) for probe in probes])
    elif probes:
        _show(probes)
    elif trouble is None:
        print_text("No daemon runs; the next client starts one.")
    if trouble is not None:
        print_error(f"{trouble}: each process serves itself")
    return _report_troubles(probes) or int(trouble is not None)


def _as_object(probe: DaemonProbe) -> dict[str, Any]:
    """Return `probe` as a JSON object, without figures where there is a trouble."""
    figures = {} if probe.status is None else asdict(probe.status)
    return {**figures, "log": probe.log, "trouble": probe.trouble}


def _show(probes: list[DaemonProbe]) -> None:
    running = [(probe.log, probe.status) for probe in probes if probe.status is not None]
    if not running:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("pid", "version", "up", "windows", "upstreams", "memory"):
        table.add_column(column, no_wrap=True)
    for _log, status in running:
        table.add_row(*map(harmless, _row(status)))
    print_table(table)
    # Below the table, which might cut a path.
    for log, status in running:
        print_text(f"log of {status.pid}: {log}")


def _row(status: DaemonStatus) -> tuple[str, ...]:
    return (
        str(status.pid),
        status.version,
        format_duration(max(0.0, time.time() - status.since)),
        str(status.windows),
        str(status.apps),
        f"{status.memory / 2**20:.0f} MiB" if status.memory else "-",
    )


def _stop(_options: argparse.Namespace) -> int:
    return stop_all()


def stop_all(seconds: float = END_SECONDS) -> int:
    """End the daemons of this home, each within `seconds`; return the exit code."""
    probes = list(probe_all(daemon_home(), STOP))
    left = 0
    for status in (probe.status for probe in probes if probe.status is not None):
        if wait_for_end(status.pid, seconds):
            print_text(f"The daemon {status.pid} has ended.")
        else:
            left += 1
            print_error(f"the daemon {status.pid} still runs, although it was asked to end")
    if not probes:
        print_text("No daemon runs.")
    return _report_troubles(probes) or min(left, 1)


def _logs(options: argparse.Namespace) -> int:
    folder = Path(daemon_home(), FOLDER)
    logs, printer = logs_in(folder), _LinePrinter()
    for log in logs:
        for line in log.last_lines(options.lines):
            printer.line(log.path, line)
    if not logs:
        print_error(f"there is no log in {folder}: no daemon has run")
    if options.follow:
        # Polling costs little, and works on every platform and file system.
        for path, line in follow(folder, logs, partial(time.sleep, _READ_EVERY)):
            printer.line(path, line)
    return 0


class _LinePrinter:
    """Prints lines of several logs, with a heading where the log changes."""

    def __init__(self) -> None:
        self._last: Path | None = None

    def line(self, log: Path, line: str) -> None:
        if log != self._last:
            print_text(f"==> {log} <==")
            self._last = log
        print_text(line)


def _run(options: argparse.Namespace) -> int:
    environ = resolved(os.environ, working_directory())
    endpoint = Endpoint.of(home_of(environ), identity(environ))
    imported("context7_fabric.daemon.run").run_daemon(endpoint, environ, options.listener)
    return 0


def _report_troubles(probes: list[DaemonProbe]) -> int:
    """Print the trouble with each daemon; return the exit code that follows."""
    troubles = [probe for probe in probes if probe.trouble is not None]
    for probe in troubles:
        print_error(f"a daemon {probe.trouble}; its log is {probe.log}")
    return 1 if troubles else 0
