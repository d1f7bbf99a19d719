"""The composition root: settings in, open services out, everything closed by one exit stack."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.documents.ids import LibraryId
from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.base import Backend
from context7_fabric.fabric.backends.disk import DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.policy import Lifetime
from context7_fabric.models import Clock
from context7_fabric.registry.learned import Learned
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.services.answers import Answers
from context7_fabric.services.context7 import Context7
from context7_fabric.services.desk import Desk
from context7_fabric.services.docs import Docs
from context7_fabric.services.offline import Bookcase
from context7_fabric.services.principals import principal_of, read_secret
from context7_fabric.services.records import AnswerShelf
from context7_fabric.services.resolver import Resolver
from context7_fabric.services.tool_book import ToolBook
from context7_fabric.settings import Settings
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.client import McpUpstream
from context7_fabric.upstream.off import NoUpstream
from context7_fabric.upstream.settings import OffTarget
from context7_fabric.upstream.target import Dialler

log = logging.getLogger(__name__)

VERSION_FRESH = 30 * 86400.0
"""Seconds that documentation of one fixed version stays fresh: it hardly changes any more."""

LEASE_MARGIN = 5.0
"""Seconds by which a flight's lease outlives upstream's time-out."""


@dataclass(frozen=True, slots=True)
class App:
    """What the faces work with. `aclose` may be called early, from any task, and again."""

    settings: Settings
    desk: Desk
    fabric: Fabric
    upstream: Upstream
    principal: str
    in_memory: bool

    async def aclose(self) -> None:
        """End the upstream connection and close the store."""
        if isinstance(self.upstream, McpUpstream):
            await self.upstream.aclose()
        await self.fabric.aclose()


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    clock: Clock = time.time,
    connect: Callable[[TaskGroup], Upstream] | None = None,
) -> AsyncGenerator[App]:
    """Open everything that `settings` ask for; `connect` puts another upstream in place."""
    async with AsyncExitStack() as stack:
        backend, in_memory = await anyio.to_thread.run_sync(_open_backend, settings)
        fabric = await stack.enter_async_context(Fabric(backend, clock))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        upstream = connect(tasks) if connect else _connect(settings, tasks)
        tools = ToolBook(fabric, upstream, settings.upstream.origin)
        if isinstance(upstream, McpUpstream):
            upstream.on_connected = tools.refresh_quietly
        principal = await anyio.to_thread.run_sync(_principal, settings)
        desk = _desk(settings, clock, fabric, tasks, Context7(upstream, tools), tools)
        app = App(settings, desk, fabric, upstream, principal, in_memory)
        try:
            yield app
        finally:
            with anyio.CancelScope(shield=True):
                await app.aclose()
            tasks.cancel_scope.cancel()


def _open_backend(settings: Settings) -> tuple[Backend, bool]:
    """Open the store; in memory when the home cannot be used, saying so once."""
    if settings.in_memory:
        return MemoryBackend(), True
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DiskBackend(settings.home / "fabric"), False
    except (OSError, StoreUnavailable) as error:
        log.error(  # noqa: TRY400  # one line is wanted, no traceback
            "nothing will be remembered past this process: the home %s cannot be used (%s);"
            " CONTEXT7_FABRIC_HOME names another",
            settings.home,
            error,
        )
        return MemoryBackend(), True


def _connect(settings: Settings, tasks: TaskGroup) -> Upstream:
    if isinstance(settings.upstream.target, OffTarget):
        return NoUpstream()
    dialler = Dialler(settings.upstream)
    return McpUpstream(dialler.open, tasks, label=dialler.label, timeout=settings.upstream.timeout)


def _principal(settings: Settings) -> str:
    credential = settings.upstream.credential
    needed = settings.principal is None and credential is not None
    secret = read_secret(settings.home) if needed else b""
    return principal_of(settings.principal, credential, secret)


def _desk(
    settings: Settings,
    clock: Clock,
    fabric: Fabric,
    tasks: TaskGroup,
    context7: Context7,
    tools: ToolBook,
) -> Desk:
    shelf, learned = AnswerShelf(fabric), Learned(fabric)
    origin, offline = settings.upstream.origin, isinstance(settings.upstream.target, OffTarget)
    answers = Answers(
        shelf,
        tasks,
        clock,
        origin=origin,
        patience=settings.freshness.patience,
        flight_seconds=settings.upstream.timeout + LEASE_MARGIN,
        offline=offline,
    )
    resolver = Resolver(
        answers,
        context7,
        learned,
        cache(partial(load_seeds, settings.seed_file)),
        clock,
        lifetime=_list_lifetime(settings, offline=offline),
        origin=origin,
    )
    docs = Docs(
        answers,
        context7,
        learned,
        Bookcase(shelf, clock),
        clock,
        lifetime=partial(_docs_lifetime, settings, offline),
        origin=origin,
    )
    return Desk(resolver, docs, tools, shelf)


def _list_lifetime(settings: Settings, *, offline: bool) -> Lifetime:
    freshness = settings.freshness
    on_error = None if offline else freshness.stale_on_error
    return Lifetime(freshness.library_ttl, freshness.docs_stale, on_error)


def _docs_lifetime(settings: Settings, offline: bool, library: LibraryId) -> Lifetime:  # noqa: FBT001  # bound by partial
    freshness = settings.freshness
    fresh = (
        freshness.docs_fresh
        if library.version is None
        else max(VERSION_FRESH, freshness.docs_fresh)
    )
    on_error = None if offline else freshness.stale_on_error
    return Lifetime(fresh, freshness.docs_stale, on_error)
