"""`doctor`: check an installation, a line for each part with its remedy, and repair what is safe.

`facts` gathers, `checks` judges, `bug_report` writes the form for a report. No repair deletes what
a person stored or added; the home of earlier versions is moved before, by every command
(`runtime/home_migration.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from rich.table import Table
from rich.text import Text

from context7_fabric.cli import facts
from context7_fabric.cli.bug_report import report
from context7_fabric.cli.checks import (
    HealthCheck,
    State,
    judge_clients,
    judge_daemon,
    judge_disk,
    judge_docsets,
    judge_home,
    judge_index_server,
    judge_model,
    judge_modes,
    judge_old_home,
    judge_pins,
    judge_quota,
    judge_rests,
    judge_store,
    judge_upstream,
    judge_variables,
)
from context7_fabric.cli.facts import Look, looked
from context7_fabric.cli.output import (
    harmless,
    notice_of_a_wait,
    print_json,
    print_table,
    settings_of_command,
)
from context7_fabric.cli.text import CommandParser
from context7_fabric.client_config.locate import this_machine
from context7_fabric.docsets.files import DocsetFolder
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.relay.usage import nearest_variables
from context7_fabric.runtime.app import App, connect_quietly
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import Settings
from context7_fabric.upstream.call_gate import clear_statuses, read_all_statuses
from context7_fabric.version import __version__
from context7_fabric.views.upstream_status import (
    describe_back_off,
    describe_lost_session,
    describe_opening,
)

DISK_SECONDS = 10.0
"""Longest time of a check that reads this machine's disk."""

DAEMON_SECONDS = 12.0
"""Longest time for the daemons: two that hang, at 5 s each."""

FIX_SECONDS = 30.0
"""Longest time of one repair."""

_ORDER = (
    "version",
    "fixed",
    "home",
    "old home",
    "modes",
    "disk",
    "variables",
    "pins",
    "daemon",
    "upstream",
    "limits",
    "breaker",
    "sessions",
    "quota",
    "model",
    "docsets",
    "docset age",
    "sources",
    "index",
    "index server",
    "clients",
    "client",
    "store",
    "contexts",
    "faults",
)
"""Names of the lines, in their order; other names come last."""

_GRAVITY: tuple[State, ...] = ("ok", "info", "warning", "wrong")

_MARKS: dict[State, Text] = {
    "ok": Text("ok", "green"),
    "info": Text(),
    "warning": Text("warning", "yellow"),
    "wrong": Text("wrong", "red"),
}


def run(words: list[str]) -> int:
    """Print the checks; exit code 1 if one is wrong."""
    options = _parser().parse_args(words)
    settings = settings_of_command()
    with notice_of_a_wait():
        checks = sorted(_checks(settings, fix=options.fix), key=_place)
    if options.report:
        print(report(checks, settings, os.environ))
    elif options.json:
        print_json(_object(checks))
    else:
        _show(checks)
    return 1 if any(check.state == "wrong" for check in checks) else 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric doctor",
        description="Check the installation: a line for each part, with what mends it. The exit"
        " code is 1 if a part is wrong, 0 if there are only warnings.",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="repair what is safe: modes, sockets of killed daemons, damaged docsets (put aside),"
        " and limits on calls that Context7 answered with (ended)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the same as a JSON object")
    form.add_argument(
        "--report",
        action="store_true",
        help="a Markdown form for a bug report, without keys, names of users, paths of the home"
        " and private libraries",
    )
    return parser


def _checks(settings: Settings, *, fix: bool) -> list[HealthCheck]:
    """Repair if that is wanted, then look at everything that is independent at once."""
    done = repaired(settings) if fix else []
    # The modes first: opening the store makes its own files private.
    before = looked([Look("modes", DISK_SECONDS, partial(_modes, settings))])
    return [_version(), *done, *before, *looked(_looks(settings, fix=fix))]


def _looks(settings: Settings, *, fix: bool) -> list[Look]:
    app_seconds = facts.UPSTREAM_SECONDS + DISK_SECONDS
    disk = [
        Look("old home", DISK_SECONDS, lambda: judge_old_home(facts.old_home_facts(settings))),
        Look("disk", DISK_SECONDS, lambda: [judge_disk(facts.disk_facts(settings.home))]),
        Look("variables", DISK_SECONDS, lambda: [judge_variables(nearest_variables(os.environ))]),
        Look("pins", DISK_SECONDS, lambda: [judge_pins(facts.pin_facts(settings))]),
        Look("model", DISK_SECONDS, lambda: [judge_model(facts.model_facts(settings.suggestions))]),
        Look("docsets", DISK_SECONDS, lambda: judge_docsets(facts.docset_facts(settings))),
    ]
    mode = settings.daemon.mode
    return [
        *disk,
        Look("daemon", DAEMON_SECONDS, lambda: [judge_daemon(facts.daemon_facts(mode))]),
        *_index_server(settings),
        Look("clients", DISK_SECONDS + facts.START_SECONDS, _clients),
        Look("store", app_seconds, lambda: anyio.run(partial(_app_checks, settings, fix=fix))),
    ]


def _version() -> HealthCheck:
    return HealthCheck("version", "info", __version__)


def _modes(settings: Settings) -> list[HealthCheck]:
    homes = dict.fromkeys((settings.store_home, settings.home))
    checks = [judge_modes(facts.mode_facts(home)) for home in homes]
    return [max(checks, key=lambda check: _GRAVITY.index(check.state))]


def _clients() -> list[HealthCheck]:
    return judge_clients(facts.client_facts(this_machine()))


def _index_server(settings: Settings) -> list[Look]:
    suggestions = settings.suggestions
    if suggestions.qdrant_url is None or not suggestions.enabled:
        return []
    url = suggestions.qdrant_url.rpartition("@")[2]

    def work() -> list[HealthCheck]:
        return [judge_index_server(url, facts.index_server_failure(suggestions))]

    return [Look("index server", DISK_SECONDS, work)]


@dataclass(slots=True)
class _Found:
    """Lines of the tasks on an app."""

    upstream: Sequence[HealthCheck] = ()
    store: Sequence[HealthCheck] = ()


async def _app_checks(settings: Settings, *, fix: bool) -> list[HealthCheck]:
    """Return the lines about home, store and upstream, for which an app is opened."""
    found = _Found()

    async def upstream(app: App) -> None:
        found.upstream = [judge_upstream(await facts.upstream_facts(app))]

    async def store(app: App) -> None:
        quota = judge_quota(await facts.quota_facts(app))
        found.store = [quota, *judge_store(await facts.store_facts(app))]

    async with open_app(settings, connect=partial(connect_quietly, settings)) as app:
        ended = await clear_statuses(app.fabric) if fix else 0
        rests = await _rests(app, ended)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upstream, app)
            tasks.start_soon(store, app)
        return [judge_home(facts.home_facts(app)), *found.upstream, *rests, *found.store]


async def _rests(app: App, ended: int) -> list[HealthCheck]:
    """Return limits, open circuit breakers and lost sessions of every credential."""
    now = time.time()
    own, found = app.services.call_gate.key, await read_all_statuses(app.fabric, now)
    return judge_rests(
        [
            _owned(each.key == own, describe_back_off(each.back_off, now))
            for each in found
            if each.back_off
        ],
        [
            _owned(each.key == own, describe_opening(each.opening, now))
            for each in found
            if each.opening
        ],
        [
            _owned(each.key == own, describe_lost_session(each.lost_session, now))
            for each in found
            if each.lost_session
        ],
        ended,
    )


def _owned(own: bool, text: str) -> str:  # noqa: FBT001  # one of two labels
    return text if own else f"another credential: {text}"


def _place(check: HealthCheck) -> int:
    name = check.name if check.name in _ORDER else check.name.partition(" ")[0]
    return _ORDER.index(name)


def _object(checks: Sequence[HealthCheck]) -> dict[str, dict[str, object]]:
    """Return the lines by their names; those of one name are joined."""
    found: dict[str, list[HealthCheck]] = {}
    for check in checks:
        found.setdefault(check.name, []).append(check)
    return {name: _joined(each) for name, each in found.items()}


def _joined(checks: Sequence[HealthCheck]) -> dict[str, object]:
    worst = max(checks, key=lambda check: _GRAVITY.index(check.state))
    line = "; ".join(check.line for check in checks)
    return {"ok": worst.ok, "state": worst.state, "told": line, "remedy": worst.remedy}


def _show(checks: Sequence[HealthCheck]) -> None:
    table = Table(box=None, show_header=False)
    for _column in range(3):
        table.add_column(overflow="fold")
    for check in checks:
        table.add_row(check.name, _MARKS[check.state], harmless(check.line))
    print_table(table)


def repaired(settings: Settings) -> list[HealthCheck]:
    """Make all repairs on this machine; return a line for each that did something, or failed."""
    homes = dict.fromkeys((settings.home, settings.store_home))
    works: list[Callable[[], str]] = [partial(make_private, home) for home in homes]
    works += [
        partial(remove_stale_sockets, settings.home),
        partial(put_damaged_aside, settings),
    ]
    return looked([Look("fixed", FIX_SECONDS, partial(_lines, work)) for work in works])


def _lines(work: Callable[[], str]) -> Sequence[HealthCheck]:
    done = work()
    return [HealthCheck("fixed", "info", done)] if done else []


def make_private(home: Path) -> str:
    """Take a home's files and folders from other users: 0600, 0700."""
    opened = facts.mode_facts(home).opened
    for path, mode in opened.items():
        path.chmod(mode & ~0o077)
    paths = ", ".join(map(str, list(opened)[:3]))
    more = f" and {len(opened) - 3} more" if len(opened) > 3 else ""  # noqa: PLR2004  # those named
    return f"private to you now: {paths}{more}" if opened else ""


def remove_stale_sockets(home: Path) -> str:
    """Remove the sockets of daemons that were killed."""
    if sys.platform == "win32":
        return ""
    from context7_fabric.relay.endpoint import endpoints

    removed = [each.name for each in endpoints(os.fspath(home)) if each.remove_stale()]
    return f"removed the socket of a killed daemon: {', '.join(removed)}" if removed else ""


def put_damaged_aside(settings: Settings) -> str:
    """Rename the files of damaged docsets, so that they can be looked at or added again.

    Their source is not asked: it takes minutes, and the line that names it may be damaged too.
    """
    path = settings.home / "docsets"
    folder = DocsetFolder(path)
    damaged = {Path(each.path) for each in DocsetLibrary(path, settings.docsets).damaged()}
    if not damaged:
        return ""
    found = [each for files in folder.files().values() for each in files if each.path in damaged]
    kept = []
    for file in found:
        with folder.turn(file.stem, "puts a damaged docset aside", lambda _holder: None):
            if file.path.exists():
                kept.append(str(folder.put_aside(file)))
    return f"damaged docsets are kept as {', '.join(kept)}: add them again" if kept else ""
