"""Judgement of `doctor`: from facts about an installation to one line each, with its remedy. Pure.

A remedy is a command or an act; a command stands in backticks.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from context7_fabric.cli.text import local_time

if TYPE_CHECKING:
    from context7_fabric.daemon.status import DaemonProbe
    from context7_fabric.project.pins import ProjectPins

State = Literal["ok", "info", "warning", "wrong"]
"""`info` is neither good nor bad; `wrong` alone makes `doctor` fail."""

FIX = "`context7-fabric doctor --fix`"

LEAST_ROOM, LITTLE_ROOM = 32 * 2**20, 512 * 2**20
"""Free bytes below which the store cannot work for long, and below which it may fail soon.

The first is the reserve and two logs of the store at their bound of 16 MB, which SQLite needs.
"""

MUCH_USED = 0.8
"""Share of a month's calls from which nothing is refreshed ahead (`upstream/quota.py`)."""

SLOW_MS = 3000
"""Milliseconds from which an answer is late: one with a stored copy is not waited for longer than
4 s (CONTEXT7_FABRIC_PATIENCE)."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One line: its name and state, and a remedy where something is to be done."""

    name: str
    state: State
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool | None:
        """True if well, False if wrong, None for all between."""
        return {"ok": True, "wrong": False}.get(self.state)

    @property
    def line(self) -> str:
        """The text with the remedy."""
        return f"{self.text}: {self.remedy}" if self.remedy else self.text


def no_answer(name: str, seconds: float) -> HealthCheck:
    """Return the line of a check that takes longer than `seconds`."""
    remedy = "look for a disk or a network folder that hangs, then run `context7-fabric doctor`"
    return HealthCheck(name, "wrong", f"no answer within {seconds:g} s", remedy)


def judge_variables(nearest: Mapping[str, str]) -> HealthCheck:
    """Judge unknown variables, each with the known one that it may mean, or ''."""
    if not nearest:
        return HealthCheck("variables", "ok", "every CONTEXT7_FABRIC_ name is known")
    named = [
        f"{name} (did you mean {known}?)" if known else name for name, known in nearest.items()
    ]
    remedy = f"correct the names, or `unset {' '.join(nearest)}`"
    return HealthCheck("variables", "warning", f"unknown and ignored: {', '.join(named)}", remedy)


def judge_pins(pins: ProjectPins | None) -> HealthCheck:
    """Judge the files with pins and locked versions; None where they are switched off."""
    if pins is None:
        return HealthCheck("pins", "info", "switched off (CONTEXT7_FABRIC_PROJECT=off)")
    text = f"{len(pins.pins)} pins, {len(pins.dependencies)} locked versions in this folder"
    if not pins.problems:
        return HealthCheck("pins", "ok" if pins else "info", text)
    text += f"; left out: {_some([f'{file} ({reason})' for file, reason in pins.problems])}"
    return HealthCheck("pins", "warning", text, "correct what `context7-fabric pin --list` names")


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """The home in use; `is_kept` is False in memory; `trouble` is why it cannot be used."""

    path: Path
    is_kept: bool = True
    trouble: str | None = None


def judge_home(home: HomeFacts) -> HealthCheck:
    """Judge the folder of the store."""
    if not home.is_kept:
        text = "in memory (CONTEXT7_FABRIC_BACKEND=memory): nothing is kept"
        return HealthCheck("home", "info", text)
    if home.trouble is not None:
        remedy = "fix that, or set CONTEXT7_FABRIC_HOME to another folder of yours"
        return HealthCheck("home", "wrong", home.trouble, remedy)
    return HealthCheck("home", "ok", str(home.path))


@dataclass(frozen=True, slots=True)
class OldHomeFacts:
    """The home of earlier versions: why it `stays` in use, or what is left of it."""

    path: Path
    home: Path
    stays: str | None = None
    left: Sequence[Path] = ()


def judge_old_home(old: OldHomeFacts | None) -> list[HealthCheck]:
    """Judge the place of the home before it was in the data folder, if something is there."""
    if old is not None and old.stays is not None:
        text = f"{old.path} is still used, and not yet {old.home}: {old.stays}"
        return [HealthCheck("old home", "warning", text)]
    if old is None or not old.left:
        return []
    paths = [str(each) for each in old.left]
    text = f"not used any more, and may be deleted: {', '.join(paths)}"
    return [HealthCheck("old home", "info", text, f"`rm -r {shlex.join(paths)}`")]


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """Files and folders of the home that other users may use, with their modes.

    `is_whole` is False if there are too many to look at all of them.
    """

    home: Path
    opened: Mapping[Path, int] = field(default_factory=dict)
    is_whole: bool = True


def judge_modes(modes: ModeFacts) -> HealthCheck:
    """Judge the modes in a home: files 0600, folders 0700."""
    if not modes.opened:
        text = "all private to you" if modes.is_whole else "those looked at are private to you"
        return HealthCheck("modes", "ok", text)
    named = [f"{path} ({mode:04o})" for path, mode in modes.opened.items()]
    within = any(path != modes.home for path in modes.opened)
    text = f"other users may use {_some(named)}"
    return HealthCheck("modes", "wrong" if within else "warning", text, FIX)


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A folder with the bytes and the files that its disk still takes, None where unlimited."""

    path: Path
    free: int
    files: int | None = None


def judge_disk(disk: DiskFacts) -> HealthCheck:
    """Judge the room on the disk of a home."""
    room = f"{disk.free / 2**20:,.0f} MiB free for {disk.path}"
    if disk.files == 0:
        text = f"no file can be made on the disk of {disk.path}"
        return HealthCheck("disk", "wrong", text, _room_remedy())
    if disk.free < LEAST_ROOM:
        return HealthCheck("disk", "wrong", f"{room}: nothing can be kept soon", _room_remedy())
    if disk.free < LITTLE_ROOM:
        return HealthCheck("disk", "warning", room, _room_remedy())
    return HealthCheck("disk", "ok", room)


def _room_remedy() -> str:
    return (
        "free space on the disk; `context7-fabric remove ID` frees that of a docset,"
        " `context7-fabric purge --all` that of the answers"
    )


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """Daemons there are, or why there can be none (`off`, or the `trouble` with their folder).

    `stale` are the sockets that daemons left which were killed.
    """

    off: str = ""
    trouble: str | None = None
    probes: Sequence[DaemonProbe] = ()
    stale: Sequence[str] = ()


def judge_daemon(daemon: DaemonFacts) -> HealthCheck:
    """Judge the daemons of a home."""
    if daemon.off:
        return HealthCheck("daemon", "info", daemon.off)
    if daemon.trouble is not None:
        text = f"{daemon.trouble}: each client serves itself"
        remedy = "correct that, or set CONTEXT7_FABRIC_HOME to a folder of yours"
        return HealthCheck("daemon", "wrong", text, remedy)
    text = "; ".join(_described(each) for each in daemon.probes)
    ill = [each for each in daemon.probes if each.trouble is not None]
    if ill:
        remedy = f"end its process, which {ill[0].log} names, by `kill PID`"
        return HealthCheck("daemon", "wrong", text, remedy)
    if daemon.stale:
        left = f"a killed one left {_some(daemon.stale)}"
        return HealthCheck("daemon", "warning", f"{text}; {left}" if text else left, FIX)
    if not text:
        return HealthCheck("daemon", "info", "none runs, the next client starts one")
    return HealthCheck("daemon", "ok", text)


def _described(probe: DaemonProbe) -> str:
    status = probe.status
    if status is None:
        return f"one {probe.trouble}"
    clients = "1 client" if status.windows == 1 else f"{status.windows} clients"
    since = local_time(status.since)
    return f"pid {status.pid}, version {status.version}, {clients}, up since {since}"


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """Upstream's label without secrets, and its tools, or the `failure` to list them.

    `milliseconds` is the time that the answer took; `is_refused` tells that the key was refused,
    `is_limited` that it has no calls left. A `label` of '' means that upstream is off.
    """

    label: str
    with_key: bool
    milliseconds: float = 0.0
    tools: Sequence[str] = ()
    failure: str = ""
    is_refused: bool = False
    is_limited: bool = False


def judge_upstream(upstream: UpstreamFacts) -> HealthCheck:
    """Judge the connection to Context7."""
    if not upstream.label:
        return HealthCheck("upstream", "info", "off: answers come from the store alone")
    if upstream.failure:
        return HealthCheck("upstream", "wrong", upstream.failure, _upstream_remedy(upstream))
    key = "with a key" if upstream.with_key else "without a key"
    text = f"{upstream.label} ({key}) answers in {upstream.milliseconds:.0f} ms"
    names = ", ".join(upstream.tools)
    state: State = "ok" if upstream.milliseconds < SLOW_MS else "warning"
    remedy = "" if state == "ok" else "check the network and HTTPS_PROXY"
    return HealthCheck("upstream", state, f"{text}: {names}", remedy)


def _upstream_remedy(upstream: UpstreamFacts) -> str:
    if upstream.is_refused:
        return "correct CONTEXT7_API_KEY (https://context7.com/dashboard has your keys)"
    if upstream.is_limited:
        return "wait, or set CONTEXT7_API_KEY to a key with more calls"
    proxy = "check the network, HTTPS_PROXY and CONTEXT7_FABRIC_UPSTREAM"
    return f"{proxy}, then run `context7-fabric doctor`"


def judge_rests(
    limits: Sequence[str], openings: Sequence[str], lost: Sequence[str], ended: int = 0
) -> list[HealthCheck]:
    """Judge limits on calls, open circuit breakers and lost sessions, a line for each of them.

    Each text says itself what ends it (`views/upstream_status.py`). `ended` limits were ended now.
    """
    none = "1 ended" if ended == 1 else f"{ended} ended" if ended else "none in force"
    return [
        HealthCheck(
            "limits",
            "wrong" if limits else "ok",
            "; ".join(limits) or none,
            FIX if limits else "",
        ),
        HealthCheck(
            "breaker",
            "wrong" if openings else "ok",
            "; ".join(openings) or "closed: calls go to Context7",
            FIX if openings else "",
        ),
        HealthCheck(
            "sessions", "info" if lost else "ok", "; ".join(lost) or "none lost in the last hour"
        ),
    ]


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """Calls of this month, those of the plan (None: not known), and Context7's last message."""

    calls: int
    of: int | None
    message: str = ""


def judge_quota(quota: QuotaFacts) -> HealthCheck:
    """Judge the use of the month's calls."""
    said = f'; Context7 said: "{quota.message}"' if quota.message else ""
    text = f"{quota.calls:,} calls this month"
    if quota.of is None:
        return HealthCheck("quota", "info", f"{text}{said}")
    text = f"{quota.calls:,} of {quota.of:,} calls this month"
    more = "a key with more calls (CONTEXT7_API_KEY), or CONTEXT7_FABRIC_MONTHLY_CALLS if you have"
    if quota.calls >= quota.of:
        return HealthCheck("quota", "warning", f"{text}: used up{said}", f"set {more}")
    if quota.calls >= MUCH_USED * quota.of:
        return HealthCheck("quota", "warning", f"{text}: no more refreshing ahead{said}", more)
    return HealthCheck("quota", "ok", f"{text}{said}")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The embedding model, whether it is wanted and there; `path` is the folder that is named."""

    name: str
    is_wanted: bool
    is_there: bool
    path: Path | None = None


def judge_model(model: ModelFacts) -> HealthCheck:
    """Judge the presence of the model that ranks suggestions."""
    if not model.is_wanted:
        return HealthCheck("model", "info", "off: words alone rank suggestions")
    if model.is_there:
        return HealthCheck("model", "ok", model.name)
    if model.path is not None:
        text = f"no model in {model.path}: words alone rank suggestions"
        remedy = "put its files there, or `unset CONTEXT7_FABRIC_MODEL_PATH`"
        return HealthCheck("model", "wrong", text, remedy)
    text = f"{model.name} is not here: words alone rank suggestions"
    return HealthCheck("model", "warning", text, "`context7-fabric model fetch`")


@dataclass(frozen=True, slots=True)
class DocsetFacts:
    """Docsets held: how many, their bytes and their bound, and what is the matter with some.

    `damaged` are the paths with the reasons; `old` are the names of those too old to answer before
    Context7; `lost` are the folders of this machine that they came from and that are gone, by name;
    `outdated` are the names of those whose index cannot be brought to the present form.
    `without_git` tells that some come from repositories, and there is no git.
    """

    held: int = 0
    size: int = 0
    most: int = 1
    trouble: str = ""
    damaged: Mapping[str, str] = field(default_factory=dict)
    old: Sequence[str] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    outdated: Sequence[str] = ()
    without_git: bool = False


def judge_docsets(docsets: DocsetFacts) -> list[HealthCheck]:
    """Judge the docsets: what is held and damaged, their age, their sources, their indexes."""
    if docsets.trouble:
        remedy = "run context7-fabric with a Python whose SQLite has FTS5, or correct the folder"
        return [HealthCheck("docsets", "wrong", docsets.trouble, remedy)]
    text = f"{docsets.held} docsets, {docsets.size / 2**20:,.0f} of {docsets.most / 2**20:,.0f} MiB"
    if docsets.damaged:
        named = [f"{path} ({reason})" for path, reason in docsets.damaged.items()]
        first = HealthCheck("docsets", "wrong", f"{text}; cannot be read: {_some(named)}", FIX)
    else:
        first = HealthCheck("docsets", "ok" if docsets.held else "info", text)
    if not docsets.held:
        return [first]
    return [first, _judge_age(docsets), _judge_sources(docsets), _judge_index(docsets)]


def _judge_age(docsets: DocsetFacts) -> HealthCheck:
    if not docsets.old:
        return HealthCheck("docset age", "ok", "each is new enough to answer before Context7")
    text = f"too old to answer before Context7: {_some(docsets.old)}"
    command = shlex.join(["context7-fabric", "docsets", "refresh", *docsets.old[:_MOST_NAMED]])
    return HealthCheck("docset age", "warning", text, f"`{command}`")


def _judge_sources(docsets: DocsetFacts) -> HealthCheck:
    if docsets.lost:
        named = [f"{name} from {path}" for name, path in docsets.lost.items()]
        name = next(iter(docsets.lost)).partition("@")[0]
        remedy = f"name another, by `context7-fabric add SOURCE --id {shlex.quote(name)}`"
        return HealthCheck("sources", "warning", f"not there any more: {_some(named)}", remedy)
    if docsets.without_git:
        text = "git is not on the PATH, so docsets of repositories cannot be refreshed"
        return HealthCheck("sources", "warning", text, "install git")
    return HealthCheck("sources", "ok", "each can be named again")


def _judge_index(docsets: DocsetFacts) -> HealthCheck:
    if not docsets.outdated:
        return HealthCheck("index", "ok", "in step with every docset")
    text = f"of an earlier form, and rebuilt at each start: {_some(docsets.outdated)}"
    return HealthCheck("index", "warning", text, FIX)


def judge_index_server(url: str, failure: str) -> HealthCheck:
    """Judge the Qdrant server of the suggestions' index; `failure` is '' if it answers."""
    if not failure:
        return HealthCheck("index server", "ok", f"{url} answers")
    text = f"{url} does not answer ({failure}): words alone rank suggestions"
    remedy = "start it, or `unset CONTEXT7_FABRIC_QDRANT_URL`"
    return HealthCheck("index server", "wrong", text, remedy)


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """A client's file: `entry` says what reaches Context7 in it.

    `broken` is the reason why the file cannot be read, `failure` the one why our entry does not
    start, and `seconds` the time that its start took.
    """

    client: str
    path: Path
    entry: Literal["none", "ours", "other"] = "none"
    broken: str = ""
    failure: str = ""
    seconds: float = 0.0


def judge_clients(clients: Sequence[ClientFacts]) -> list[HealthCheck]:
    """Judge the clients: a line for each file with an entry, or that cannot be read."""
    lines = [_judge_client(each) for each in clients if each.entry != "none" or each.broken]
    if lines:
        return lines
    if not clients:
        text = "none is here whose file is known"
        return [HealthCheck("clients", "info", text, "`context7-fabric setup CLIENT`")]
    names = list(dict.fromkeys(each.client for each in clients))
    remedy = f"`{shlex.join(['context7-fabric', 'setup', *names])}`"
    return [HealthCheck("clients", "info", f"not set up: {', '.join(names)}", remedy)]


def _judge_client(facts: ClientFacts) -> HealthCheck:
    name, set_up = f"client {facts.client}", f"`context7-fabric setup {facts.client}`"
    if facts.broken:
        text = f"{facts.path} cannot be read: {facts.broken}"
        return HealthCheck(name, "wrong", text, f"correct it, then run {set_up}")
    if facts.entry == "other":
        text = f"{facts.path} starts Context7's own server"
        return HealthCheck(name, "info", text, set_up)
    if facts.failure:
        text = f"its entry in {facts.path} does not start: {facts.failure}"
        return HealthCheck(name, "wrong", text, set_up)
    return HealthCheck(name, "ok", f"{facts.path} starts in {facts.seconds:.1f} s")


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """Counts of a store, its medium in words, the failure of a trial, and the faults met."""

    answers: int
    lists: int
    medium: str
    contexts: Mapping[str, int] = field(default_factory=dict)
    is_disk: bool = True
    trouble: str | None = None
    faults: int = 0
    last_fault: str | None = None


def judge_store(store: StoreFacts) -> list[HealthCheck]:
    """Judge the store, by what it holds and by an entry that was written and read."""
    text = f"{store.answers} answers, {store.lists} look-ups; {store.medium}"
    counts = ", ".join(f"{scope} {count}" for scope, count in store.contexts.items())
    return [
        _judge_trial(store, text),
        HealthCheck("contexts", "info", counts),
        HealthCheck("faults", "ok", "none met")
        if not store.faults
        else HealthCheck(
            "faults", "wrong", f"{store.faults} met just now, the last: {store.last_fault}"
        ),
    ]


def _judge_trial(store: StoreFacts, text: str) -> HealthCheck:
    if store.trouble is None:
        return HealthCheck("store", "ok", text)
    remedy = (
        "free space on the disk, or move the store's folder away: a new one is made"
        if store.is_disk
        else "check that the server of CONTEXT7_FABRIC_BACKEND runs and accepts writes"
    )
    return HealthCheck("store", "wrong", store.trouble, f"{remedy} ({text})")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
