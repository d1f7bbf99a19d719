"""`doctor`: check home, daemon, upstream and store; report faults and remedies."""

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
from context7_fabric.docsets.index import probe_search
from context7_fabric.docsets.library import TOTAL_BYTES, DocsetLibrary
from context7_fabric.docsets.versions import only_falls_back
from context7_fabric.errors import SearchUnavailable, StoreError, UpstreamError, UpstreamOff
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.relay.usage import unknown_variables
from context7_fabric.runtime.app import App
from context7_fabric.runtime.home_migration import leftovers
from context7_fabric.settings import Settings
from context7_fabric.upstream.call_gate import clear_statuses, read_all_statuses
from context7_fabric.version import __version__
from context7_fabric.views.upstream_status import (
    describe_back_off,
    describe_lost_session,
    describe_opening,
)

if TYPE_CHECKING:
    from context7_fabric.daemon.status import DaemonProbe

_MOST_NAMED = 5
_PROBE_SECONDS = 60.0
_UPSTREAM_SECONDS = 15.0
_DISK_ADVICE = "free space on the disk, or move the store's folder away: a new one is made"
_SERVER_ADVICE = "check that the server of CONTEXT7_FABRIC_BACKEND runs and accepts writes"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Result of a check, with its `text`; an `ok` of None is neither good nor bad."""

    name: str
    ok: bool | None
    text: str


def run(words: list[str]) -> int:
    """Print the checks; exit code 1 if one fails."""
    options = _parser().parse_args(words)

    async def work(app: App) -> int:
        daemon = await to_thread.run_sync(check_daemon, app.settings.daemon.mode)
        ended = await clear_statuses(app.fabric) if options.fix else 0
        with notice_of_a_wait():
            upstream = await _upstream(app)
        checks = [_version(), _home(app), *_old_home(app.settings), _variables(), daemon, upstream]
        checks += await _status_checks(app, ended)
        # The faults come last, so that they include those of the checks before them.
        docsets = await to_thread.run_sync(_docsets, app.settings)
        checks += [docsets, await _store(app), await _contexts(app.fabric), _faults(app.fabric)]
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
        return HealthCheck("variables", ok=True, text="every CONTEXT7_FABRIC_ name is known")
    text = f"unknown and ignored: {', '.join(unknown)}; unset them, or correct their names"
    return HealthCheck("variables", None, text)


def _home(app: App) -> HealthCheck:
    if app.settings.store.backend == "memory":
        return HealthCheck(
            "home", None, "in memory (CONTEXT7_FABRIC_BACKEND=memory): nothing is kept"
        )
    trouble = app.fabric.trouble()
    if trouble is not None:
        text = f"{trouble}: fix that, or set CONTEXT7_FABRIC_HOME to another folder of yours"
        return HealthCheck("home", ok=False, text=text)
    return HealthCheck("home", ok=True, text=str(app.settings.store_home))


def _old_home(settings: Settings) -> list[HealthCheck]:
    """Check the place of the home before it was in the data folder, if something is there."""
    if settings.stays is not None:
        text = f"{settings.old_home} is still used, and not yet {settings.home}: {settings.stays}"
        return [HealthCheck("old home", None, text)]
    paths = ", ".join(map(str, leftovers(settings)))
    if not paths:
        return []
    return [HealthCheck("old home", None, f"not used any more, and may be deleted: {paths}")]


def check_daemon(mode: str) -> HealthCheck:
    """Check the daemons of this home; blocks."""
    if mode == "off":
        return HealthCheck("daemon", None, "switched off (CONTEXT7_FABRIC_DAEMON=off)")
    if sys.platform == "win32":
        return HealthCheck("daemon", None, "there is none on Windows: each client serves itself")
    from context7_fabric.daemon.status import daemon_home, folder_trouble, probe_all
    from context7_fabric.relay.handshake import STATUS

    home = daemon_home()
    trouble = folder_trouble(home)
    if trouble is not None:
        text = (
            f"{trouble}: each client serves itself; set CONTEXT7_FABRIC_HOME to a folder of yours"
        )
        return HealthCheck("daemon", ok=False, text=text)
    return judged(list(probe_all(home, STATUS)))


def judged(found: Sequence[DaemonProbe]) -> HealthCheck:
    """Return the check that sums up the probes of a home's daemons."""
    if not found:
        return HealthCheck("daemon", None, "none runs, the next client starts one")
    text = "; ".join(map(_described, found))
    return HealthCheck("daemon", ok=all(probe.trouble is None for probe in found), text=text)


def _described(probe: DaemonProbe) -> str:
    status = probe.status
    if status is None:
        return f"one {probe.trouble}: end its process, which {probe.log} names"
    clients = "1 client" if status.windows == 1 else f"{status.windows} clients"
    since = local_time(status.since)
    return f"pid {status.pid}, version {status.version}, {clients}, up since {since}"


async def _upstream(app: App) -> HealthCheck:
    label = app.settings.upstream.target.label
    key = "with a key" if app.settings.upstream.credential else "without a key"
    started = time.monotonic()
    try:
        with anyio.fail_after(_UPSTREAM_SECONDS):
            tools = await app.services.tools.refresh()
    except TimeoutError:
        text = f"{label} ({key}) has not answered within {_UPSTREAM_SECONDS:g} s"
        return HealthCheck("upstream", ok=False, text=text)
    except UpstreamOff:
        return HealthCheck("upstream", None, "off: answers come from the store alone")
    except UpstreamError as error:
        return HealthCheck("upstream", ok=False, text=str(error))
    took = (time.monotonic() - started) * 1000
    names = ", ".join(str(tool.get("name")) for tool in tools.tools)
    return HealthCheck(
        "upstream", ok=True, text=f"{label} ({key}) answers in {took:.0f} ms: {names}"
    )


async def _status_checks(app: App, ended: int) -> list[HealthCheck]:
    """Return limits, open circuit breakers and lost sessions of every credential."""
    now = time.time()
    own, found = app.services.call_gate.key, await read_all_statuses(app.fabric, now)
    limits = [
        _owned(each.key == own, describe_back_off(each.back_off, now))
        for each in found
        if each.back_off
    ]
    openings = [
        _owned(each.key == own, describe_opening(each.opening, now))
        for each in found
        if each.opening
    ]
    lost = [
        _owned(each.key == own, describe_lost_session(each.lost_session, now))
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


def _owned(own: bool, text: str) -> str:  # noqa: FBT001  # one of two labels
    return text if own else f"another credential: {text}"


def _docsets(settings: Settings) -> HealthCheck:
    """Check the docsets, and name the files that cannot be read; blocks."""
    library = DocsetLibrary(settings.home / "docsets", settings.docsets)
    try:
        probe_search()
        size, most = library.size() / 2**20, TOTAL_BYTES / 2**20
    except (SearchUnavailable, OSError) as error:
        return HealthCheck("docsets", ok=False, text=str(error))
    held, damaged, now = library.all(Viewer()), library.damaged(), time.time()
    old = [each.name for each in held if only_falls_back(each, now)]
    text = f"{len(held)} docsets, {size:,.0f} of {most:,.0f} MiB"
    if old:
        text += f"; too old to answer before Context7, refresh or remove: {_some(old)}"
    if damaged:
        text += f"; cannot be read, add again or remove: {_some([each.path for each in damaged])}"
    return HealthCheck("docsets", False if damaged else True if held else None, text)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


async def _store(app: App) -> HealthCheck:
    counts = await app.services.answer_store.counts()
    text = f"{counts['answers']} answers, {counts['lists']} look-ups; {await _medium(app.fabric)}"
    trouble = await _trouble(app.fabric)
    if trouble is not None:
        advice = _DISK_ADVICE if app.settings.store.backend == "disk" else _SERVER_ADVICE
        return HealthCheck("store", ok=False, text=f"{trouble}: {advice} ({text})")
    return HealthCheck("store", ok=True, text=text)


async def _medium(fabric: Fabric) -> str:
    """Return backend, size and folder of the store."""
    try:
        info = await to_thread.run_sync(fabric.backend.info)
    except StoreError as error:
        return str(error)
    place = f" in {info['folder']}" if "folder" in info else ""
    return f"{info['backend']}, {info['memory_human']}{place}"


async def _trouble(fabric: Fabric) -> str | None:
    """Write, read and delete a small context; return the failure."""
    key, value = f"doctor:{uuid4().hex}", "a probe"
    try:
        if not await fabric.set_context(key, value, ttl=_PROBE_SECONDS):
            return fabric.faults.last
        context = await fabric.get_context(key)
        deleted = await fabric.delete_context(key)
    except StoreError as error:
        return str(error)
    kept = context is not None and context.value == value and deleted
    return None if kept else "a value that was written is gone"


async def _contexts(fabric: Fabric) -> HealthCheck:
    counts = [f"{scope} {await fabric.count_contexts(scope)}" for scope in Scope]
    return HealthCheck("contexts", None, ", ".join(counts))


def _faults(fabric: Fabric) -> HealthCheck:
    faults = fabric.faults
    if not faults.count:
        return HealthCheck("faults", ok=True, text="none met")
    return HealthCheck(
        "faults", ok=False, text=f"{faults.count} met just now, the last: {faults.last}"
    )


def _show(checks: list[HealthCheck], *, as_json: bool) -> None:
    if as_json:
        print_json({check.name: {"ok": check.ok, "told": check.text} for check in checks})
        return
    marks = {True: Text("ok", "green"), False: Text("wrong", "red"), None: Text()}
    table = Table(box=None, show_header=False)
    for _column in range(3):
        table.add_column(overflow="fold")
    for check in checks:
        table.add_row(check.name, marks[check.ok], harmless(check.text))
    print_table(table)
