"""`doctor`: check home, daemon, upstream and store, and say what is wrong and what to do."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
from anyio import to_thread
from rich.table import Table
from rich.text import Text

from context7_fabric.cli.output import (
    harmless,
    notice_of_a_wait,
    print_json,
    print_table,
    with_app,
)
from context7_fabric.cli.text import local_time
from context7_fabric.errors import StoreError, UpstreamError, UpstreamOff
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.relay.usage import unknown_variables
from context7_fabric.runtime.app import App
from context7_fabric.upstream.status import all_restraints, end_restraints
from context7_fabric.version import __version__
from context7_fabric.views.upstream_status import told_limit, told_opening, told_session

if TYPE_CHECKING:
    from context7_fabric.daemon.status import DaemonProbe

_PROBE_SECONDS = 60.0
_UPSTREAM_SECONDS = 15.0
_DISK_ADVICE = "free room on the disk, or move the store's folder away: it is made anew"
_SERVER_ADVICE = "see that the server of CONTEXT7_FABRIC_BACKEND runs and takes writes"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing looked at: `ok` None means that there is nothing to be right or wrong."""

    name: str
    ok: bool | None
    told: str


def run(words: list[str]) -> int:
    """Print the checks; exit code 1 when one fails."""
    options = _parser().parse_args(words)

    async def work(app: App) -> int:
        daemon = await to_thread.run_sync(check_daemon, app.settings.daemon.mode)
        ended = await end_restraints(app.fabric) if options.fix else 0
        with notice_of_a_wait():
            upstream = await _upstream(app)
        checks = [_version(), _home(app), _variables(), daemon, upstream]
        checks += await _restraints(app, ended)
        # The faults come last, so that they hold what the checks before them met.
        checks += [await _store(app), await _contexts(app.fabric), _faults(app.fabric)]
        _show(checks, as_json=options.json)
        return 1 if any(check.ok is False for check in checks) else 0

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "context7-fabric doctor",
        description="Check home, daemon, upstream and store.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--fix", action="store_true", help="end the limits on calls that Context7 answered with"
    )
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return parser


def _version() -> HealthCheck:
    return HealthCheck("version", None, __version__)


def _variables() -> HealthCheck:
    unknown = unknown_variables(os.environ)
    if not unknown:
        return HealthCheck("variables", ok=True, told="every CONTEXT7_FABRIC_ name is known")
    told = f"unknown and ignored: {', '.join(unknown)}; unset them, or correct their names"
    return HealthCheck("variables", None, told)


def _home(app: App) -> HealthCheck:
    if app.settings.store.backend == "memory":
        return HealthCheck(
            "home", None, "in memory (CONTEXT7_FABRIC_BACKEND=memory): nothing is kept"
        )
    trouble = app.fabric.trouble()
    if trouble is not None:
        told = f"{trouble}: mend that, or set CONTEXT7_FABRIC_HOME to another folder of yours"
        return HealthCheck("home", ok=False, told=told)
    return HealthCheck("home", ok=True, told=str(app.settings.home))


def check_daemon(mode: str) -> HealthCheck:
    """Look for the daemons that the windows of this environment would be served by; blocks."""
    if mode == "off":
        return HealthCheck("daemon", None, "switched off (CONTEXT7_FABRIC_DAEMON=off)")
    if sys.platform == "win32":
        return HealthCheck("daemon", None, "there is none on Windows: each window serves itself")
    from context7_fabric.daemon.status import daemon_home, folder_trouble, probe_all
    from context7_fabric.relay.handshake import STATUS

    home = daemon_home()
    trouble = folder_trouble(home)
    if trouble is not None:
        told = (
            f"{trouble}: each window serves itself; set CONTEXT7_FABRIC_HOME to a folder of yours"
        )
        return HealthCheck("daemon", ok=False, told=told)
    return judged(list(probe_all(home, STATUS)))


def judged(found: Sequence[DaemonProbe]) -> HealthCheck:
    """Return what the visits to all daemons of a home come to."""
    if not found:
        return HealthCheck("daemon", None, "none runs, the next window starts one")
    told = "; ".join(map(_visited, found))
    return HealthCheck("daemon", ok=all(visit.trouble is None for visit in found), told=told)


def _visited(visit: DaemonProbe) -> str:
    status = visit.status
    if status is None:
        return f"one {visit.trouble}: end its process, {visit.log} tells which"
    windows = "1 window" if status.windows == 1 else f"{status.windows} windows"
    since = local_time(status.since)
    return f"pid {status.pid}, version {status.version}, {windows}, up since {since}"


async def _upstream(app: App) -> HealthCheck:
    label = app.settings.upstream.target.label
    key = "with a key" if app.settings.upstream.credential else "without a key"
    started = time.monotonic()
    try:
        with anyio.fail_after(_UPSTREAM_SECONDS):
            tools = await app.desk.tools.refresh()
    except TimeoutError:
        told = f"{label} ({key}) has not answered within {_UPSTREAM_SECONDS:g} s"
        return HealthCheck("upstream", ok=False, told=told)
    except UpstreamOff:
        return HealthCheck("upstream", None, "off: answers come from the store alone")
    except UpstreamError as error:
        return HealthCheck("upstream", ok=False, told=str(error))
    took = (time.monotonic() - started) * 1000
    names = ", ".join(str(tool.get("name")) for tool in tools.tools)
    return HealthCheck(
        "upstream", ok=True, told=f"{label} ({key}) answers in {took:.0f} ms: {names}"
    )


async def _restraints(app: App, ended: int) -> list[HealthCheck]:
    """Return limits, open circuit breakers and lost sessions of every credential."""
    now = time.time()
    own, found = app.desk.turnstile.key, await all_restraints(app.fabric, now)
    limits = [_owned(each.key == own, told_limit(each.limit, now)) for each in found if each.limit]
    openings = [
        _owned(each.key == own, told_opening(each.opening, now)) for each in found if each.opening
    ]
    lost = [
        _owned(each.key == own, told_session(each.lost_session, now))
        for each in found
        if each.lost_session
    ]
    none = "1 ended" if ended == 1 else f"{ended} ended" if ended else "none in force"
    return [
        HealthCheck("limits", not limits, "; ".join(limits) or none),
        HealthCheck("breaker", not openings, "; ".join(openings) or "closed: calls go to Context7"),
        HealthCheck(
            "sessions", None if lost else True, "; ".join(lost) or "none lost in the last hour"
        ),
    ]


def _owned(own: bool, told: str) -> str:  # noqa: FBT001  # one of two labels
    return told if own else f"another credential: {told}"


async def _store(app: App) -> HealthCheck:
    counts = await app.desk.shelf.counts()
    told = f"{counts['answers']} answers, {counts['lists']} look-ups; {await _medium(app.fabric)}"
    trouble = await _trouble(app.fabric)
    if trouble is not None:
        advice = _DISK_ADVICE if app.settings.store.backend == "disk" else _SERVER_ADVICE
        return HealthCheck("store", ok=False, told=f"{trouble}: {advice} ({told})")
    return HealthCheck("store", ok=True, told=told)


async def _medium(fabric: Fabric) -> str:
    """Return what the store lies on, how large it is, and where."""
    try:
        info = await to_thread.run_sync(fabric.backend.info)
    except StoreError as error:
        return str(error)
    place = f" in {info['folder']}" if "folder" in info else ""
    return f"{info['backend']}, {info['memory_human']}{place}"


async def _trouble(fabric: Fabric) -> str | None:
    """Write, read and delete a small context of our own; return what went wrong."""
    key, value = f"doctor:{uuid4().hex}", "a probe"
    try:
        if not await fabric.set_context(key, value, ttl=_PROBE_SECONDS):
            return fabric.faults.last
        context = await fabric.get_context(key)
        deleted = await fabric.delete_context(key)
    except StoreError as error:
        return str(error)
    kept = context is not None and context.value == value and deleted
    return None if kept else "what was written is not there any more"


async def _contexts(fabric: Fabric) -> HealthCheck:
    counts = [f"{scope} {await fabric.count_contexts(scope)}" for scope in Scope]
    return HealthCheck("contexts", None, ", ".join(counts))


def _faults(fabric: Fabric) -> HealthCheck:
    faults = fabric.faults
    if not faults.count:
        return HealthCheck("faults", ok=True, told="none met")
    return HealthCheck(
        "faults", ok=False, told=f"{faults.count} met just now, the last: {faults.last}"
    )


def _show(checks: list[HealthCheck], *, as_json: bool) -> None:
    if as_json:
        print_json({check.name: {"ok": check.ok, "told": check.told} for check in checks})
        return
    marks = {True: Text("ok", "green"), False: Text("wrong", "red"), None: Text()}
    table = Table(box=None, show_header=False)
    for _column in range(3):
        table.add_column(overflow="fold")
    for check in checks:
        table.add_row(check.name, marks[check.ok], harmless(check.told))
    print_table(table)
