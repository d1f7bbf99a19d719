"""Facts that `doctor` judges, gathered from the disk, the daemons, the store and Context7.

Each look runs in a thread of its own for a bounded time. A thread that hangs, as on a network
folder, is left behind: it does not keep the process.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
from anyio import to_thread

from context7_fabric.cli.checks import (
    ClientFacts,
    DaemonFacts,
    DiskFacts,
    DocsetFacts,
    HealthCheck,
    HomeFacts,
    ModeFacts,
    ModelFacts,
    OldHomeFacts,
    QuotaFacts,
    StoreFacts,
    UpstreamFacts,
    no_answer,
)
from context7_fabric.cli.text import one_line
from context7_fabric.cli.trial import EntryDoesNotStart, StartedEntry, process_of, start
from context7_fabric.client_config.clients import Machine, McpClient
from context7_fabric.client_config.edit import read_file
from context7_fabric.client_config.entries import parse, places_of
from context7_fabric.client_config.locate import clients_here, files_of
from context7_fabric.docsets.files import DocsetFolder
from context7_fabric.docsets.index import is_outdated, probe_search
from context7_fabric.docsets.library import TOTAL_BYTES, DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.sources.source import FolderSource, GitSource, Source, parse_source
from context7_fabric.docsets.versions import only_falls_back
from context7_fabric.errors import (
    ClientFileError,
    ConfigurationSyntaxError,
    DamagedDocset,
    FabricError,
    SearchUnavailable,
    StoreError,
    UnusableSource,
    UpstreamError,
    UpstreamLimited,
    UpstreamOff,
)
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.project.pins import ProjectPins, read_project
from context7_fabric.project.projects import project_folders
from context7_fabric.runtime.app import App
from context7_fabric.runtime.home_migration import leftovers
from context7_fabric.settings import Settings
from context7_fabric.settings.values import SuggestionSettings

MOST_PATHS = 20_000
"""Files and folders of a home whose modes are looked at: 0.2 s, more would delay the rest."""

UPSTREAM_SECONDS = 15.0
"""Longest wait for Context7: one that is started as a command may have to be installed first."""

START_SECONDS = 10.0
"""Longest wait for the start of a client's entry, also for clients that wait longer."""

Start = Callable[[McpClient, Mapping[str, Any]], StartedEntry]
"""Starts an entry of a client, or raises `EntryDoesNotStart`."""

_AT_ONCE = 4
"""Entries that are started at once."""

_REFUSALS = ("HTTP 401", "HTTP 403")
_PROBE_SECONDS = 60.0
_SERVER_SECONDS = 3.0
_DATA_OF_OTHERS = ("models",)
"""Folders in the home of what is public anyway, with the modes that its makers give it."""


@dataclass(frozen=True, slots=True)
class Look:
    """Work that returns lines, and the seconds that it may take; `name` is that of its first."""

    name: str
    seconds: float
    work: Callable[[], Sequence[HealthCheck]]


def looked(looks: Sequence[Look]) -> list[HealthCheck]:
    """Run all looks at once; return their lines in the order of `looks`.

    A look that is late, or that the system or the store fails, has one line that says so.
    """
    running = [_Running(look) for look in looks]
    return [check for each in running for check in each.result()]


class _Running:
    """Look in a thread that ends with the process."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._deadline = time.monotonic() + look.seconds
        self._found: Sequence[HealthCheck] | BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def result(self) -> Sequence[HealthCheck]:
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        found = self._found
        if found is None:
            return [no_answer(self._look.name, self._look.seconds)]
        if not isinstance(found, BaseException):
            return found
        while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
            found = found.exceptions[0]
        if not isinstance(found, FabricError | OSError):
            raise found
        text = f"cannot be checked: {one_line(str(found))}"
        return [HealthCheck(self._look.name, "wrong", text)]

    def _work(self) -> None:
        try:
            self._found = self._look.work()
        except BaseException as error:  # noqa: BLE001  # it is raised again in the main thread
            self._found = error


def mode_facts(home: Path) -> ModeFacts:
    """Return what other users may use in a home; links are not followed; blocks."""
    opened: dict[Path, int] = {}
    is_whole = True
    if sys.platform == "win32" or not home.is_dir():
        return ModeFacts(home)
    for number, (path, mode) in enumerate(_modes(home)):
        if number == MOST_PATHS:
            is_whole = False
            break
        if mode & 0o077 and not stat.S_ISLNK(mode) and not mode & stat.S_ISVTX:
            opened[path] = stat.S_IMODE(mode)
    return ModeFacts(home, opened, is_whole)


def _modes(home: Path) -> Iterator[tuple[Path, int]]:
    """Yield the home, its files and folders, each with its type and mode."""
    yield home, home.stat().st_mode
    for folder, folders, files in os.walk(home):
        if Path(folder) == home:
            folders[:] = [each for each in folders if each not in _DATA_OF_OTHERS]
        for name in (*folders, *files):
            path = Path(folder, name)
            with suppress(OSError):  # removed meanwhile
                yield path, path.lstat().st_mode


def disk_facts(home: Path) -> DiskFacts:
    """Return the room on the disk of a home, which need not be there; blocks."""
    there = next(each for each in (home, *home.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if sys.platform == "win32":
        return DiskFacts(home, free)
    files = os.statvfs(there)
    return DiskFacts(home, free, files.f_favail if files.f_files else None)


def daemon_facts(mode: str) -> DaemonFacts:
    """Return the daemons of this environment's home; blocks."""
    if mode == "off":
        return DaemonFacts("switched off (CONTEXT7_FABRIC_DAEMON=off)")
    if sys.platform == "win32":
        return DaemonFacts("there is none on Windows: each client serves itself")
    from context7_fabric.daemon.status import daemon_home, folder_trouble, probe_all
    from context7_fabric.relay.endpoint import endpoints
    from context7_fabric.relay.handshake import STATUS

    home = daemon_home()
    if (trouble := folder_trouble(home)) is not None:
        return DaemonFacts(trouble=trouble)
    stale = [each.name for each in endpoints(home) if each.is_stale()]
    return DaemonFacts(probes=list(probe_all(home, STATUS)), stale=stale)


def model_facts(settings: SuggestionSettings) -> ModelFacts:
    """Return whether the model's files are here; it is not loaded; blocks."""
    path = settings.model_path
    is_there = settings.has_model() and (path is None or any(path.rglob("*.onnx")))
    return ModelFacts(settings.model, settings.enabled, is_there, path)


def old_home_facts(settings: Settings) -> OldHomeFacts | None:
    """Return what is known of the home of earlier versions, None where there can be none."""
    if settings.old_home is None:
        return None
    return OldHomeFacts(settings.old_home, settings.home, settings.stays, leftovers(settings))


def pin_facts(settings: Settings) -> ProjectPins | None:
    """Return the pins in the folder of the command, None where they are switched off; blocks."""
    if not settings.project:
        return None
    return read_project(project_folders(Path(settings.project), Path.home()), settings.home)


def docset_facts(settings: Settings) -> DocsetFacts:
    """Return the state of all docsets; blocks."""
    folder = settings.home / "docsets"
    library, now = DocsetLibrary(folder, settings.docsets), time.time()
    try:
        probe_search()
        size = library.size()
    except (SearchUnavailable, OSError) as error:
        return DocsetFacts(trouble=str(error))
    held = library.all(Viewer())
    sources = {each.name: _source(each) for each in held}
    return DocsetFacts(
        held=len(held),
        size=size,
        most=TOTAL_BYTES,
        damaged={each.path: one_line(each.reason) for each in library.damaged()},
        old=[each.name for each in held if only_falls_back(each, now)],
        lost=_lost(sources),
        outdated=_outdated(folder),
        without_git=_lacks_git(sources, settings.docsets.environment),
    )


def _source(docset: Docset) -> Source | None:
    try:
        return parse_source(docset.source, Path("/"))
    except UnusableSource:
        return None


def _lost(sources: Mapping[str, Source | None]) -> dict[str, str]:
    """Return the folders that docsets came from and that are gone, by the docset's name."""
    folders = ((name, each) for name, each in sources.items() if isinstance(each, FolderSource))
    return {name: str(each.path) for name, each in folders if not each.path.exists()}


def _lacks_git(sources: Mapping[str, Source | None], environment: Mapping[str, str]) -> bool:
    """Tell whether git is needed and is not on the path."""
    if not any(isinstance(each, GitSource) for each in sources.values()):
        return False
    return shutil.which("git", path=environment.get("PATH")) is None


def _outdated(folder: Path) -> list[str]:
    """Return the names of the files whose index could not be brought to the present form."""
    found = []
    for generations in DocsetFolder(folder).files().values():
        with suppress(DamagedDocset):  # reported as such
            if not generations[0].is_gone and is_outdated(generations[0].path):
                found.append(generations[0].stem)
    return found


def index_server_failure(settings: SuggestionSettings) -> str:
    """Return why the Qdrant server of the index cannot be used, '' if it answers; blocks."""
    parts = urlsplit(settings.qdrant_url or "")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    key = {"api-key": settings.qdrant_api_key} if settings.qdrant_api_key else {}
    connection = kind(parts.hostname or "", parts.port, timeout=_SERVER_SECONDS)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/collections", headers=key)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return one_line(str(error)) or type(error).__name__
    finally:
        connection.close()
    return "" if status < 400 else f"HTTP {status}"  # noqa: PLR2004  # errors begin there


def client_facts(machine: Machine, begin: Start | None = None) -> list[ClientFacts]:
    """Return the facts about the files of the clients that are here; blocks.

    `begin` starts an entry, by default as its client does.
    """
    starting, here = begin or _starter(machine), clients_here(machine)
    found = [(client, path) for client in here for path in files_of(client, machine)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: _client(each[0], each[1], starting), found))


def _client(client: McpClient, path: Path, begin: Start) -> ClientFacts:
    facts = ClientFacts(client.name, path)
    try:
        text = read_file(path).text
        places = list(places_of(client, text))
    except (ClientFileError, ConfigurationSyntaxError) as error:
        return replace(facts, broken=error.reason)
    ours = [(container, each.name) for container, each in places if each.ours]
    if not ours:
        return replace(facts, entry="other" if places else "none")
    container, name = ours[0]
    facts = replace(facts, entry="ours")
    try:
        started = begin(client, parse(text, client.dialect).entries(container)[name])
    except EntryDoesNotStart as error:
        return replace(facts, failure=str(error))
    return replace(facts, seconds=started.seconds)


def _starter(machine: Machine) -> Start:
    def begin(client: McpClient, entry: Mapping[str, Any]) -> StartedEntry:
        process = process_of(client, entry, machine.environ)
        return start(process, min(client.limit, START_SECONDS))

    return begin


async def upstream_facts(app: App) -> UpstreamFacts:
    """Return whether Context7 lists its tools, and the time that it takes."""
    target = app.settings.upstream.target
    facts = partial(UpstreamFacts, target.label, bool(app.settings.upstream.credential))
    seconds = min(UPSTREAM_SECONDS, app.settings.upstream.timeout)
    started = time.monotonic()
    try:
        with anyio.fail_after(seconds):
            tools = await app.services.tools.refresh()
    except TimeoutError:
        return facts(failure=f"{target.label}: no answer within {seconds:g} s")
    except UpstreamOff:
        return UpstreamFacts("", with_key=False)
    except UpstreamError as error:
        text = str(error)
        refused = any(each in text for each in _REFUSALS)
        limited = isinstance(error, UpstreamLimited)
        return facts(failure=text, is_refused=refused, is_limited=limited)
    took = (time.monotonic() - started) * 1000
    return facts(milliseconds=took, tools=[str(tool.get("name")) for tool in tools.tools])


async def quota_facts(app: App) -> QuotaFacts:
    """Return the calls of this month, and Context7's last message about them."""
    usage = await app.services.quota.month()
    said = (await app.services.call_gate.status()).quota_message
    message = one_line(said.text) if said is not None else ""
    return QuotaFacts(usage.calls, app.services.quota.monthly_calls, message)


def home_facts(app: App) -> HomeFacts:
    """Return whether the home can be used."""
    is_kept = app.settings.store.backend != "memory"
    return HomeFacts(app.settings.store_home, is_kept, app.fabric.trouble() if is_kept else None)


async def store_facts(app: App) -> StoreFacts:
    """Return what the store holds, and whether it takes an entry; its faults are read last."""
    counts = await app.services.answer_store.counts()
    medium = await _medium(app.fabric)
    trouble = await _trouble(app.fabric)
    contexts = {str(scope): await app.fabric.count_contexts(scope) for scope in Scope}
    return StoreFacts(
        answers=counts["answers"],
        lists=counts["lists"],
        medium=medium,
        contexts=contexts,
        is_disk=app.settings.store.backend == "disk",
        trouble=trouble,
        faults=app.fabric.faults.count,
        last_fault=app.fabric.faults.last,
    )


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
