"""The MCP server: its name, what it says of itself, and a handler for each method."""

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

from context7_fabric.mcp_server.completions import Completions
from context7_fabric.mcp_server.fast_path import Cached, FastPath, beside, called
from context7_fabric.mcp_server.notifications import Notifications
from context7_fabric.mcp_server.prompts import Prompts
from context7_fabric.mcp_server.resources import Resources
from context7_fabric.mcp_server.streams import MessageReader
from context7_fabric.mcp_server.tool_schemas import InputSchemas
from context7_fabric.mcp_server.tools import HandlerContext, Tools
from context7_fabric.models import LOCAL_OWNER, Viewer
from context7_fabric.services import Services
from context7_fabric.settings.values import Meta
from context7_fabric.version import __version__

NAME = "context7-fabric"
INSTRUCTIONS = (
    "Current documentation of libraries, frameworks, SDKs, command-line tools and cloud services,"
    " from Context7. Reach for it whenever a task touches one of them, familiar ones included: what"
    " a model remembers may be out of date. First resolve-library-id with the library's name, then"
    " query-docs with the id and one precise question. Look-ups and questions asked before are"
    " answered from a local store, so asking again costs nothing. It is no help with reviewing or"
    " debugging a project's own code."
)

SAME_FOR_ALL = CacheHint(ttl_ms=3_600_000, scope="public")
"""How long a client may keep what changes with the program alone: an hour."""

CACHE_HINTS: dict[CacheableMethod, CacheHint] = {
    "resources/list": SAME_FOR_ALL,
    "resources/templates/list": SAME_FOR_ALL,
}


def build_server(
    desk: Services, principal: str, owner: str = LOCAL_OWNER, meta: Meta = "brief"
) -> FabricServer:
    """Return an MCP server that answers from `desk`; what it reads is `principal`'s to read.

    What is in USER belongs to `owner`. `meta` is the extent of the answers' `_meta`.
    """
    viewer = Viewer(principal, owner)
    tools, resources, prompts = Tools(desk, viewer, meta), Resources(desk, viewer), Prompts(desk)
    completions, notices = Completions(desk, viewer), Notifications(desk.changes)
    server = FabricServer(
        NAME,
        version=__version__,
        title="Context7 Fabric",
        description="Context7's documentation, answered from what is already known.",
        instructions=INSTRUCTIONS,
        lifespan=partial(_connected, notices),
        on_list_tools=tools.list,
        on_call_tool=partial(called, tools),
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_subscribe_resource=notices.subscribe,
        on_unsubscribe_resource=notices.unsubscribe,
        on_subscriptions_listen=notices.listen,
        on_completion=completions.complete,
        cache_hints=CACHE_HINTS,
        get_tool_input_schema=InputSchemas(desk.tools, desk.tool_names),
    )
    server.middleware += [admit, notices.greet]
    server.cached, server.meta = tools.cached, meta
    return server


async def admit(ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
    """Serve also a client that has not shaken hands: as one of the last era that does.

    It has no capabilities then, and may still send `initialize` later.
    """
    connection = ctx.session._connection  # noqa: SLF001  # nothing else opens it
    if ctx.method != "initialize" and not connection.initialize_accepted:
        connection.initialized.set()
    return await call_next(ctx)


class FabricServer(Server[str]):
    """Promises legacy clients notices only where the transport says that it can bring them.

    Where the transport reads lines, each connection has a fast path, which answers what is
    `cached`.
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
        lane = FastPath(self.cached, self.meta)
        if isinstance(read_stream, MessageReader):
            read_stream.lane = lane.answer
        with beside(lane.open):
            await super().run(read_stream, write_stream, initialization_options, raise_exceptions)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return what `initialize` promises."""
        options = super().create_initialization_options(
            notification_options, experimental_capabilities, extensions
        )
        if notification_options is None and options.capabilities.resources:
            options.capabilities.resources.subscribe = False
        return options


@asynccontextmanager
async def _connected(notices: Notifications, _server: Server[Any]) -> AsyncGenerator[str]:
    """Name each connection; over HTTP all share one life, and one name."""
    name = uuid4().hex
    async with notices.connection(name):
        yield name
