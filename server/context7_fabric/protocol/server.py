"""The MCP server: handlers that take a request apart, ask a service, and put its answer in form."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from context7_fabric import __version__
from context7_fabric.errors import ArgumentError
from context7_fabric.models import Answer, Caller, Outcome, Tier
from context7_fabric.protocol import arguments
from context7_fabric.protocol.tool_list import OWN, listed_tools
from context7_fabric.services.desk import Desk
from context7_fabric.upstream.generations import GET_DOCS, QUERY_DOCS, RESOLVE

log = logging.getLogger(__name__)

NAME = "context7-fabric"
META_KEY = "context7-fabric/answer"
INSTRUCTIONS = (
    "Current documentation of libraries, frameworks, SDKs, command-line tools and cloud services,"
    " from Context7. Reach for it whenever a task touches one of them, familiar ones included: what"
    " a model remembers may be out of date. First resolve-library-id with the library's name, then"
    " query-docs with the id and one precise question. Look-ups and questions asked before are"
    " answered from a local store, so asking again costs nothing. It is no help with reviewing or"
    " debugging a project's own code."
)

_Context = ServerRequestContext[str, Any]


def build_server(desk: Desk, principal: str) -> Server[str]:
    """Return an MCP server that answers from `desk`; what it reads is `principal`'s to read."""
    handlers = _Handlers(desk, principal)
    return Server(
        NAME,
        version=__version__,
        title="Context7 Fabric",
        description="Context7's documentation, answered from what is already known.",
        instructions=INSTRUCTIONS,
        lifespan=_connected,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_prompts=handlers.list_prompts,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_resource_templates,
    )


class _Handlers:
    """One handler a method of the protocol."""

    def __init__(self, desk: Desk, principal: str) -> None:
        self._desk = desk
        self._principal = principal

    async def list_tools(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed_tools(await self._desk.tools.stored()))

    async def list_prompts(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[])

    async def list_resources(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])

    async def list_resource_templates(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[])

    async def call_tool(
        self, ctx: _Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        if params.name not in OWN:
            raise MCPError(types.INVALID_PARAMS, f"Tool {params.name} not found")
        given, caller = params.arguments or {}, self._caller(ctx)
        answer = await self._answer(params.name, given, caller)
        self._desk.executions.record(params.name, given, caller, answer)
        log.debug("%s %s by %s %s", params.name, answer.outcome, answer.tier, answer.execution_id)
        return as_result(answer)

    def _caller(self, ctx: _Context) -> Caller:
        return Caller(
            self._principal,
            connection=_connection(ctx),
            progress=ctx.session.report_progress,
            client=_client(ctx),
        )

    async def _answer(self, tool: str, given: dict[str, Any], caller: Caller) -> Answer:
        try:
            arguments.check_size(tool, given)
            if tool == RESOLVE:
                return await self._desk.resolve(arguments.look_up(given), caller)
            read = {QUERY_DOCS: arguments.question, GET_DOCS: arguments.topic_question}[tool]
            return await self._desk.query(read(given), caller)
        except ArgumentError as error:
            return Answer(str(error), Outcome.ERROR, Tier.LOCAL, is_error=True)


@asynccontextmanager
async def _connected(_server: Server[str]) -> AsyncGenerator[str]:
    """Name each connection; over HTTP all share one life, and one name."""
    yield uuid4().hex


def _connection(ctx: _Context) -> str:
    """Name the client's connection, as far as the transport tells one from another."""
    if ctx.request is None:
        return ctx.lifespan_context
    session = ctx.request.headers.get("mcp-session-id")
    peer = ctx.request.client.host if ctx.request.client else ""
    return session or f"{ctx.lifespan_context} {peer}"


def _client(ctx: _Context) -> str:
    """Return what the client's program calls itself, as far as it does."""
    params = ctx.session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params else ""


def as_result(answer: Answer) -> types.CallToolResult:
    """Return `answer` on the wire: text first, a note about it second, provenance in `_meta`."""
    texts = [answer.text] if answer.note is None else [answer.text, answer.note]
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text) for text in texts],
        is_error=answer.is_error,
        _meta={META_KEY: provenance(answer)},
    )


def provenance(answer: Answer) -> dict[str, Any]:
    """Return what is told about an answer beside its text."""
    told: dict[str, Any] = {
        "outcome": answer.outcome.value,
        "tier": answer.tier.value,
        "fetched_at": answer.fetched_at,
        "age_seconds": None if answer.age_seconds is None else round(answer.age_seconds, 3),
        "library_id": answer.library_id,
        "execution_id": answer.execution_id,
        "tokens_saved": answer.tokens_saved,
    }
    return told | ({"screening": list(answer.screening)} if answer.screening else {})
