"""The MCP server: its description, and a handler for each method."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage

from context7_fabric.mcp_server.client_project import ClientProject
from context7_fabric.mcp_server.fast_path import Cached, FastPath, beside, called
from context7_fabric.mcp_server.notifications import Notifications
from context7_fabric.mcp_server.prompts import Prompts
from context7_fabric.mcp_server.resources import Resources
from context7_fabric.mcp_server.streams import MessageReader
from context7_fabric.mcp_server.tool_schemas import InputSchemas
from context7_fabric.mcp_server.tools import HandlerContext, Tools
from context7_fabric.models import LOCAL_OWNER, DocsetUse, Viewer
from context7_fabric.services import Services
from context7_fabric.settings import Settings
from context7_fabric.settings.values import Meta
from context7_fabric.version import __version__

NAME = "context7-fabric"
INSTRUCTIONS = (
    "Current documentation of libraries, frameworks, SDKs, command-line tools and cloud services,"
    " from Context7. Reach for it whenever a task touches one of them, familiar ones included: what"
    " a model remembers may be out of date. First resolve-library-id with the library's name, then"
    " query-docs with the id and one precise question. Look-ups and questions asked before are"
    " answered from a local store; documentation held here says how to get past it."
    " It is no help with reviewing or"
    " debugging a project's own code."
)

SAME_FOR_ALL = CacheHint(ttl_ms=3_600_000, scope="public")
"""Cache hint of results that change with the program alone: an hour."""

CACHE_HINTS: dict[CacheableMethod, CacheHint] = {
    "resources/list": SAME_FOR_ALL,
    "resources/templates/list": SAME_FOR_ALL,
}


def build_server(
    services: Services,
    principal: str,
    owner: str = LOCAL_OWNER,
    meta: Meta = "brief",
    docsets: DocsetUse = "first",
    project: str = "",
    *,
    asks_roots: bool = False,
) -> FabricServer:
    """Return an MCP server that answers from `services` for `principal`, with a use of `docsets`.

    The contexts in USER are those of `owner`. `meta` is the extent of the answers' `_meta`. Pins of
    the `project` count, a folder (empty: none); of a client that is in none, those of its roots if
    the server `asks_roots`.
    """
    viewer = Viewer(principal, owner)
    where = ClientProject(services.pinned.projects, project, asks_roots)
    tools = Tools(services, viewer, meta, docsets, where)
    resources = Resources(services, viewer, where)
    prompts, notifications = Prompts(services), Notifications(services.subscriptions)
    server = FabricServer(
        NAME,
        version=__version__,
        title="Context7 Fabric",
        description="Context7's documentation, answered from what is already known.",
        instructions=INSTRUCTIONS,
        lifespan=partial(_connection, notifications, where),
        on_list_tools=tools.list,
        on_call_tool=partial(called, tools),
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_subscribe_resource=notifications.subscribe,
        on_unsubscribe_resource=notifications.unsubscribe,
        on_subscriptions_listen=notifications.listen,
        on_completion=resources.complete,
        cache_hints=CACHE_HINTS,
        get_tool_input_schema=InputSchemas(services.tools, services.tool_names),
    )
    server.middleware += [admit, notifications.subscribe_to_lists]
    server.cached, server.meta = tools.cached, meta
    return server


def build_client_server(services: Services, principal: str, settings: Settings) -> FabricServer:
    """Return the MCP server for the one client on stdio whose `settings` these are."""
    return build_server(
        services,
        principal,
        meta=settings.meta,
        docsets=settings.docset_use,
        project=settings.project,
        asks_roots=settings.asks_roots,
    )


async def admit(ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
    """Serve a client that sent no `initialize`, as one of the last protocol version with it.

    It has no capabilities then, and may still send `initialize` later. A middleware of the server.
    """
    connection = ctx.session._connection  # noqa: SLF001  # there is no public way
    if ctx.method != "initialize" and not connection.initialize_accepted:
        connection.initialized.set()
    return await call_next(ctx)


class FabricServer(Server[str]):
    """Server with a fast path for each connection, which answers what is `cached`.

    It promises legacy clients notifications only where the transport can deliver them.
    """

    cached: Cached
    meta: Meta

    async def run(
        self,
        read_stream: ReadStream[SessionMessage | Exception],
        write_stream: WriteStream[SessionMessage],
        initialization_options: InitializationOptions,
        raise_exceptions: bool = False,  # noqa: FBT001, FBT002  # the SDK's signature
    ) -> None:
        """Serve one connection until it ends."""
        fast_path = FastPath(self.cached, self.meta)
        if isinstance(read_stream, MessageReader):
            read_stream.fast_reply = fast_path.answer
        with beside(fast_path.open):
            await super().run(read_stream, write_stream, initialization_options, raise_exceptions)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return the capabilities that `initialize` promises."""
        options = super().create_initialization_options(
            notification_options, experimental_capabilities, extensions
        )
        if notification_options is None and options.capabilities.resources:
            options.capabilities.resources.subscribe = False
        return options


@asynccontextmanager
async def _connection(
    notifications: Notifications, project: ClientProject, _server: Server[Any]
) -> AsyncGenerator[str]:
    """Name each connection, and begin to look at its project.

    All connections over HTTP share one lifespan, and one name.
    """
    name = uuid4().hex
    project.look()
    async with notifications.connection(name):
        yield name
