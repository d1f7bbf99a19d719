"""Composition root of the services over one upstream and one credential."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from context7_fabric.answers.cache import AnswerCache, AnswerSettings
from context7_fabric.answers.cross_process import FlightLeases
from context7_fabric.answers.docs import DocsService, HeldDocumentation
from context7_fabric.answers.docset_names import DocsetNames
from context7_fabric.answers.docset_pages import DocsetPages
from context7_fabric.answers.docset_repeats import DeclinedQuestions
from context7_fabric.answers.fallback import RegistryFallback, SnippetFallback
from context7_fabric.answers.freshness import Lifetime
from context7_fabric.answers.library_choice import LibraryChoices
from context7_fabric.answers.pinned import PinnedLibraries
from context7_fabric.answers.resolve import ResolveService
from context7_fabric.answers.response_cache import ResponseCache
from context7_fabric.answers.stored import AnswerStore, RecordFactory
from context7_fabric.call_log.feedback import Feedback
from context7_fabric.call_log.records import CallLog
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.fabric.change_feed import ChangeFeed, ChangeListener
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import LOCAL_OWNER, Clock, Viewer
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.privacy.redaction import redact
from context7_fabric.project.projects import Projects
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import WRITTEN, RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.seed_files import load_prompts
from context7_fabric.services import Services
from context7_fabric.settings import Settings
from context7_fabric.settings.values import OffTarget
from context7_fabric.suggestions.suggester import StoredRowVectors, Suggester
from context7_fabric.suggestions.worker_client import WorkerClient
from context7_fabric.telemetry.observer import Observer
from context7_fabric.upstream.base import NoUpstream, Upstream
from context7_fabric.upstream.call_gate import CallGate, credential_key
from context7_fabric.upstream.client import McpUpstream
from context7_fabric.upstream.context7 import Context7
from context7_fabric.upstream.quota import Quota
from context7_fabric.upstream.tool_cache import ToolCache
from context7_fabric.upstream.transport import TransportFactory
from context7_fabric.views.contexts import ContextViews
from context7_fabric.views.prompts import PromptLibrary
from context7_fabric.views.subscriptions import Subscriptions, TopicStates
from context7_fabric.views.visibility import VisibleEntries

Connect: TypeAlias = Callable[[TaskGroup], Upstream]
"""Factory of an upstream whose connections live in the task group."""

LIST_FRESH = 30 * 86400.0
"""Seconds that a look-up stays fresh where no setting says otherwise."""

VERSION_FRESH = 30 * 86400.0
"""Seconds that documentation of one fixed version stays fresh: it hardly changes."""


@dataclass(frozen=True, slots=True)
class SharedResources:
    """Resources that all apps of a process share; `observers` are notified of every call."""

    fabric: Fabric
    clock: Clock
    news: ChangeFeed
    docsets: DocsetLibrary
    projects: Projects
    observers: Sequence[Observer] = ()


@dataclass(frozen=True, slots=True)
class LibraryKnowledge:
    """Libraries known to one principal: the registry, its rows, and the suggester."""

    rows: RowStore
    registry: Registry
    suggester: Suggester


@dataclass(frozen=True, slots=True)
class App:
    """Services for one upstream and one credential, with the shared fabric.

    `owner` owns the contexts in USER that it shows and writes.
    """

    settings: Settings
    services: Services
    fabric: Fabric
    upstream: Upstream
    principal: str
    owner: str = LOCAL_OWNER

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection upstream."""
        return isinstance(self.upstream, McpUpstream) and self.upstream.connected

    async def flush(self) -> None:
        """Write what is not written yet."""
        await self.services.call_log.flush()
        await self.services.quota.flush()

    async def aclose(self) -> None:
        """Write what is not written yet, and end the connection upstream."""
        await self.flush()
        if isinstance(self.upstream, McpUpstream):
            await self.upstream.aclose()


@asynccontextmanager
async def open_knowledge(
    settings: Settings, shared: SharedResources, principal: str, worker: WorkerClient
) -> AsyncGenerator[LibraryKnowledge]:
    """Open the libraries known to `principal`; `worker` is shared by all."""
    with shared.news.listen(*WRITTEN) as ear:
        async with anyio.create_task_group() as tasks:
            rows = RowStore(shared.fabric, principal, ear)
            registry = Registry(rows, partial(load_seeds, settings.seed_file), shared.clock)
            vectors = StoredRowVectors(shared.fabric, settings.suggestions.model)
            suggester = Suggester(tasks, registry.rows, vectors, worker, principal)
            registry.on_change, registry.on_forget = suggester.learn, suggester.forget
            tasks.start_soon(registry.keep_in_step)
            try:
                yield LibraryKnowledge(rows, registry, suggester)
            finally:
                with anyio.CancelScope(shield=True):
                    await registry.flush()
                suggester.close()
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_app_on(
    shared: SharedResources,
    knowledge: LibraryKnowledge,
    settings: Settings,
    viewer: Viewer,
    credential: str,
    connect: Connect | None,
) -> AsyncGenerator[App]:
    """Open the app of one upstream and credential; `connect` replaces the upstream.

    `credential` is a fingerprint: a principal that has a name keeps it when its key changes.
    """
    with shared.news.listen("") as ear:
        async with anyio.create_task_group() as tasks:
            upstream = connect(tasks) if connect else _connect(settings, tasks)
            quota = Quota(shared.fabric, shared.clock, viewer.principal, settings.monthly_calls)
            where = credential_key(viewer.principal, credential, settings.upstream.origin)
            gate = CallGate(shared.fabric, shared.clock, quota, where, upstream)
            services = _services(settings, shared, knowledge, tasks, viewer, gate, ear)
            if isinstance(upstream, McpUpstream):
                upstream.on_connected = partial(_behind_a_connection, services)
                upstream.on_session_lost = services.call_gate.session_lost
                services.call_gate.on_refused = upstream.reconnect
            app = App(settings, services, shared.fabric, upstream, viewer.principal, viewer.owner)
            try:
                yield app
            finally:
                with anyio.CancelScope(shield=True):
                    await app.aclose()
                tasks.cancel_scope.cancel()


async def _behind_a_connection(services: Services) -> None:
    """Use the new connection: list upstream's tools, fetch a missing model."""
    await services.call_gate.connected()
    await services.tools.refresh_quietly()
    await services.suggester.fetch_model()


def connect_quietly(settings: Settings, tasks: TaskGroup) -> Upstream:
    """Return the upstream of the settings; what a program writes on stderr is not passed on."""
    return _connect(settings, tasks, shows_stderr=False)


def _connect(settings: Settings, tasks: TaskGroup, *, shows_stderr: bool = True) -> Upstream:
    if isinstance(settings.upstream.target, OffTarget):
        return NoUpstream()
    dialler = TransportFactory(settings.upstream, shows_stderr)
    timeout = settings.upstream.timeout
    return McpUpstream(
        dialler.open, tasks, label=dialler.label, timeout=timeout, patience=dialler.patience
    )


def _services(
    settings: Settings,
    shared: SharedResources,
    knowledge: LibraryKnowledge,
    tasks: TaskGroup,
    viewer: Viewer,
    gate: CallGate,
    ear: ChangeListener,
) -> Services:
    fabric, clock, principal = shared.fabric, shared.clock, viewer.principal
    store, learned = AnswerStore(fabric), LearnedChoices(fabric)
    tools = ToolCache(fabric, gate.upstream, settings.upstream.origin, tasks)
    context7 = Context7(gate.upstream, tools, gate, shared.observers)
    registry, suggester = knowledge.registry, knowledge.suggester
    answering = _answering(settings)
    stamp = RecordFactory(clock, answering.origin)
    leases = FlightLeases(fabric, tasks, shared.news)
    answers = AnswerCache(store, tasks, leases, clock, gate.quota, answering, gate)
    choices = LibraryChoices(registry, learned, viewer)
    local = RegistryFallback(registry, suggester, choices)
    lists = partial(_list_lifetime, settings, registry, answering.offline)
    resolver = ResolveService(answers, context7, learned, registry, local, stamp, lists)
    lifetime = partial(_docs_lifetime, settings, answering.offline)
    declined, offline = DeclinedQuestions(fabric), answering.offline
    pages = DocsetPages(shared.docsets, registry, learned, declined, clock, offline=offline)
    held = HeldDocumentation(pages, SnippetFallback(store, clock))
    docs = DocsService(answers, context7, learned, registry, held, stamp, lifetime)
    redacted = redact if settings.redact else str
    executions = CallLog(fabric, clock, redacted, settings.executions)
    feedback = Feedback(fabric, executions, clock, redacted, principal, viewer.owner)
    states = TopicStates(fabric, registry, tools, shared.docsets, viewer)
    changes = Subscriptions(states.look, ear, stamp=states.stamp)
    for each in (gate.quota.write_behind, executions.write_behind, changes.run):
        tasks.start_soon(each)
    return Services(
        resolver=resolver,
        docs=docs,
        docsets=shared.docsets,
        docset_names=DocsetNames(shared.docsets, registry),
        pinned=PinnedLibraries(shared.projects, registry, learned, shared.docsets),
        responses=ResponseCache(fabric.revision, clock),
        tools=tools,
        answer_store=store,
        registry=registry,
        suggester=suggester,
        choices=choices,
        quota=gate.quota,
        call_gate=gate,
        call_log=executions,
        views=VisibleEntries(fabric, executions, clock),
        feedback=feedback,
        contexts=ContextViews(fabric, clock, viewer),
        tool_names=settings.tools,
        prompts=PromptLibrary(fabric, viewer, load_prompts),
        subscriptions=changes,
        redacted=redacted,
        observers=shared.observers,
    )


def _answering(settings: Settings) -> AnswerSettings:
    return AnswerSettings(
        origin=settings.upstream.origin,
        patience=settings.freshness.patience,
        flight=settings.upstream.timeout,
        negative=settings.freshness.negative_ttl,
        offline=isinstance(settings.upstream.target, OffTarget),
    )


def _list_lifetime(
    settings: Settings,
    registry: Registry,
    offline: bool,  # noqa: FBT001  # bound by partial
    row: Row | None,
) -> Lifetime:
    freshness = settings.freshness
    seeded = row is not None and row.source == "seed"
    fresh = freshness.library_ttl
    if fresh is None:
        fresh = (registry.seed_ttl if seeded else None) or LIST_FRESH
    on_error = None if offline else freshness.stale_on_error
    return Lifetime(fresh, freshness.docs_stale, on_error)


def _docs_lifetime(settings: Settings, offline: bool, library: LibraryId) -> Lifetime:  # noqa: FBT001  # bound by partial
    freshness = settings.freshness
    fresh = (
        freshness.docs_fresh
        if library.version is None
        else max(VERSION_FRESH, freshness.docs_fresh)
    )
    on_error = None if offline else freshness.stale_on_error
    return Lifetime(fresh, freshness.docs_stale, on_error)
