"""MCP client of Context7: connects on need, reconnects after a loss, usable from any task.

An MCP client must be entered and left by the same task, so a task of its own holds each
connection; callers only send requests over it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp import Client
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from context7_fabric.errors import (
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamUnreadable,
)
from context7_fabric.lenient_json import readable
from context7_fabric.models import Progress, no_progress
from context7_fabric.upstream.base import Reply, ToolList
from context7_fabric.upstream.failures import (
    CURRENT,
    Exchange,
    SessionLoss,
    breaks_connection,
    connection_reason,
    innermost,
    rejection,
    reports_lost_session,
    session_loss,
)
from context7_fabric.version import __version__

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
"""Seconds for an HTTP server to end a session; a command's process has limits of its own."""

RENEW_EVERY = 60.0
"""Seconds between two new sessions that were made only because one may have been lost."""

MOST_ATTEMPTS = 4
"""Connections over which one call is sent: the tools are idempotent, and a child may die twice."""

MOST_TIMEOUTS = 2
"""Time-outs in a row after which a connection counts as dead and another one is made."""

MOST_PAGES = 20
"""Pages of a list of tools that are read: upstream has a few tools, on one page."""

RECONNECT_EVERY = 0.5
RECONNECT_FOR = 30.0
"""Seconds after the last call for which a failed connection is tried again every half second: as
long as the circuit breaker stays open at most."""

HAND_OVER = 0.05
"""Seconds by which a call may be older than the connection that is made for it."""

_LONGEST_QUOTE = 100
_T = TypeVar("_T")
OpenTransport = Callable[[], AbstractAsyncContextManager[Any]]
Send = Callable[[ClientSession], Awaitable[_T]]


class UpstreamConnection:
    """One connection, from the decision to make it to its end."""

    def __init__(self) -> None:
        self.begun = anyio.current_time()
        self.ready = anyio.Event()
        self.broken = anyio.Event()
        self.ended = anyio.Event()
        self.making = anyio.CancelScope()
        self.exchange = Exchange()
        self.error: MCPError | None = None
        self.client: Client | None = None
        self.timeouts = 0
        self.answered = False
        self.lost_session = False
        self.reason = "the connection broke"

    async def hold(
        self, open_transport: OpenTransport, seconds: float, on_ready: Callable[[], None]
    ) -> None:
        """Enter the client, wait until the connection is broken, and leave the client.

        Connecting may take `seconds`; `on_ready` is called after it.
        """
        CURRENT.set(self.exchange)
        info = types.Implementation(name="context7-fabric", version=__version__)
        try:
            with self.making, anyio.fail_after(seconds) as connecting:
                async with Client(
                    open_transport(), mode="auto", cache=None, client_info=info
                ) as client:
                    connecting.deadline = float("inf")
                    self.exchange = Exchange()
                    self.client = client
                    self.ready.set()
                    on_ready()
                    await self.broken.wait()
                    connecting.deadline = anyio.current_time() + CLOSE_SECONDS
        except Exception as error:  # noqa: BLE001  # any error of a transport ends this connection only
            if not self.broken.is_set():
                cause = innermost(error)
                self.error = cause if isinstance(cause, MCPError) else None
                self.reason = connection_reason(cause, self.exchange, seconds)
            log.info("upstream connection ended: %s", self.reason)
        finally:
            self.client = None
            self.broken.set()
            self.ready.set()


class LostSessionReply(MCPError):
    """A tool's own error result that reports a lost session; it stands if a new one is no help."""

    def __init__(self, reply: Reply) -> None:
        """Keep the result."""
        super().__init__(types.INVALID_REQUEST, reply.text)
        self.reply = reply


class SessionRenewal:
    """Rule for when a lost session is worth a new one."""

    def __init__(self, on_loss: Callable[[str], None]) -> None:
        """Call `on_loss` with the symptom of each loss."""
        self._on_loss = on_loss
        self._last = float("-inf")

    def allowed(self, connection: UpstreamConnection, error: MCPError, exchange: Exchange) -> bool:
        """Return whether to retry with a new session after `error`, and note that it is made."""
        loss = session_loss(error, exchange)
        if loss is SessionLoss.NONE:
            return False
        if connection.lost_session:
            return True
        if loss is SessionLoss.POSSIBLE:
            now = anyio.current_time()
            if not connection.answered or now - self._last < RENEW_EVERY:
                return False
            self._last = now
        connection.lost_session = True
        quoted = f"it answered {error.message[:_LONGEST_QUOTE]!r}"
        self._on_loss(exchange.described if exchange.failed else quoted)
        return True


class InFlightRequest:
    """One request in a task of its own, which its sender need not wait for."""

    def __init__(self, send: Send[Any], session: ClientSession, exchange: Exchange) -> None:
        self._send, self._session, self._exchange = send, session, exchange
        self._result: Any = None
        self._error: Exception | None = anyio.ClosedResourceError()  # until it has ended
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()

    async def run(self) -> None:
        """Send, and keep the result or the error."""
        CURRENT.set(self._exchange)
        try:
            with self.scope:
                self._result = await self._send(self._session)
                self._error = None
        except Exception as error:  # noqa: BLE001  # it belongs to the sender
            self._error = error
        finally:
            self.done.set()

    def outcome(self) -> Any:  # noqa: ANN401  # the type of what was sent
        """Return the result; raises the error of the request."""
        if self._error is not None:
            raise self._error
        return self._result


class McpUpstream:
    """Context7 over MCP, in any version of the protocol."""

    def __init__(
        self,
        open_transport: OpenTransport,
        tasks: TaskGroup,
        *,
        label: str,
        timeout: float,
        patience: float | None = None,
    ) -> None:
        """Connect with `open_transport`; connections live in `tasks` and end with it.

        `label` names upstream in messages. `timeout` bounds a call in seconds, connecting
        included. A connection may take `patience` seconds in the background of calls that have
        given up, by default as long as a call.
        """
        self._open_transport = open_transport
        self._tasks = tasks
        self._label = label
        self._timeout = timeout
        self._patience = timeout if patience is None else patience
        self._connection: UpstreamConnection | None = None
        self._renewals = SessionRenewal(self._report_loss)
        self._reconnecting = False
        self._closed = False
        self._wanted_until = float("-inf")
        self.on_connected: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Run in the background after each new connection."""
        self.on_session_lost: Callable[[str], Coroutine[Any, Any, None]] | None = None
        """Run in the background, with the symptom, each time upstream has lost the session."""

    @property
    def connected(self) -> bool:
        """True if there is a usable connection."""
        return self._connection is not None and self._connection.client is not None

    @property
    def connecting_for(self) -> float:
        """Seconds for which a connection has been in the making; 0 if none is."""
        connection = self._connection
        if connection is None or connection.ready.is_set():
            return 0.0
        return anyio.current_time() - connection.begun

    async def list_tools(self) -> ToolList:
        """Return upstream's tools, of `MOST_PAGES` pages at most."""
        tools: list[types.Tool] = []
        page: types.PaginatedRequestParams | None = None
        for _page in range(MOST_PAGES):
            result = await self._request(partial(ClientSession.list_tools, params=page))
            tools += result.tools
            if result.next_cursor is None:
                break
            page = types.PaginatedRequestParams(cursor=result.next_cursor)
        dumped = (tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools)
        return ToolList(tuple(dumped))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], progress: Progress = no_progress
    ) -> Reply:
        """Call the tool `name` and return the text of all blocks."""
        # The client's own call_tool lists the tools again after each call of an unlisted one.
        params = types.CallToolRequestParams(name=name, arguments=_sendable(arguments))
        request = types.CallToolRequest(params=params)

        async def send(session: ClientSession) -> Reply:
            result = await session.send_request(
                request, types.CallToolResult, progress_callback=progress
            )
            texts = [each.text for each in result.content if isinstance(each, types.TextContent)]
            reply = Reply("\n".join(texts), is_error=bool(result.is_error))
            if reply.is_error and reports_lost_session(reply.text):
                raise LostSessionReply(reply)
            return reply

        try:
            return await self._request(send)
        except UpstreamRejected as error:
            if isinstance(error.__cause__, LostSessionReply):
                return error.__cause__.reply
            raise

    def reconnect(self) -> None:
        """Try to connect in the background, while calls ask for it."""
        self._wanted_until = anyio.current_time() + RECONNECT_FOR
        if not (self.connected or self._reconnecting or self._closed):
            self._reconnecting = True
            self._tasks.start_soon(self._reconnect)

    async def aclose(self) -> None:
        """End the connection and, with it, the child process if there is one."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            self._drop(connection)
            await connection.ended.wait()

    async def _request(self, send: Send[_T]) -> _T:
        """Send over the connection; again if that breaks or upstream has lost its session."""
        deadline = anyio.current_time() + self._timeout
        renewed = False
        reason = ""
        for _attempt in range(MOST_ATTEMPTS):
            connection, session = await self._connect(deadline)
            exchange = Exchange()
            try:
                return await self._send(send, connection, session, exchange, deadline)
            except MCPError as error:
                if breaks_connection(error):
                    reason = connection.reason
                elif not renewed and self._renewals.allowed(connection, error, exchange):
                    renewed = True
                else:
                    raise rejection(self._label, exchange, error) from error
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                reason = connection.reason
            except ValidationError as error:
                raise UpstreamUnreadable(self._label, "it is not a result of MCP") from error
            self._drop(connection)
        raise UpstreamUnreachable(self._label, reason)

    async def _send(
        self,
        send: Send[_T],
        connection: UpstreamConnection,
        session: ClientSession,
        exchange: Exchange,
        deadline: float,
    ) -> _T:
        """Send and wait for the answer; the deadline bounds both, as a peer may not read either."""
        request = InFlightRequest(send, session, exchange)
        self._tasks.start_soon(request.run)
        try:
            with anyio.CancelScope(deadline=deadline) as waiting:
                await request.done.wait()
        finally:
            # Not awaited: a cancellation takes the SDK five seconds if the peer does not read.
            request.scope.cancel()
        if waiting.cancelled_caught and not request.done.is_set():
            connection.timeouts += 1
            if connection.timeouts >= MOST_TIMEOUTS:
                self._drop(connection)
            raise UpstreamTimeout(self._label, self._timeout)
        connection.timeouts = 0
        result: _T = request.outcome()
        connection.answered = True
        return result

    async def _connect(self, deadline: float) -> tuple[UpstreamConnection, ClientSession]:
        """Return a connection that is up; one in the making is awaited until its own time-out.

        A call that comes late to a slow start does not begin the wait again.
        """
        self._wanted_until = anyio.current_time() + RECONNECT_FOR
        connection = self._connection or self._begin()
        due = min(deadline, connection.begun + self._timeout)
        with anyio.CancelScope(deadline=due):
            await connection.ready.wait()
        if not connection.ready.is_set():
            raise self._not_yet(connection, deadline)
        if connection.client is None:
            raise self._unconnected(connection)
        return connection, connection.client.session

    def _unconnected(self, connection: UpstreamConnection) -> UpstreamError:
        """Return why there is no connection, and try again where that may help."""
        if connection.exchange.refused:
            return rejection(self._label, connection.exchange, connection.error)
        self.reconnect()
        return UpstreamUnreachable(self._label, connection.reason, connecting=True)

    def _not_yet(self, connection: UpstreamConnection, deadline: float) -> UpstreamError:
        """Return why a call does not wait longer for a connection in the making."""
        so_far = anyio.current_time() - connection.begun
        if connection.begun + self._timeout > deadline + HAND_OVER:
            return UpstreamTimeout(self._label, self._timeout)  # spent on an earlier connection
        going_on = ", it is still being started" if so_far < self._patience else ""
        reason = f"no connection within {so_far:.3g} s{going_on}"
        return UpstreamUnreachable(self._label, reason, connecting=True)

    def _begin(self) -> UpstreamConnection:
        connection = self._connection = UpstreamConnection()
        self._tasks.start_soon(self._hold, connection)
        return connection

    async def _hold(self, connection: UpstreamConnection) -> None:
        on_ready = partial(self._run_behind, self.on_connected)
        try:
            await connection.hold(self._open_transport, self._patience, on_ready)
        finally:
            self._forget(connection)
            connection.ended.set()

    async def _reconnect(self) -> None:
        """Connect again and again until that works, or no call has asked for it for a while."""
        try:
            while not (self.connected or self._closed):
                await anyio.sleep(RECONNECT_EVERY)
                if anyio.current_time() > self._wanted_until or self._closed:
                    return
                connection = self._connection or self._begin()
                await connection.ready.wait()
                if connection.client is None and connection.exchange.refused:
                    return
        finally:
            self._reconnecting = False

    def _report_loss(self, how: str) -> None:
        log.info("upstream has lost the session: %s", how)
        self._run_behind(self.on_session_lost and partial(self.on_session_lost, how))

    def _run_behind(self, work: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        if work is not None:
            self._tasks.start_soon(_run_quietly, work)

    def _drop(self, connection: UpstreamConnection) -> None:
        connection.broken.set()
        if not connection.ready.is_set():
            connection.making.cancel()
        self._forget(connection)

    def _forget(self, connection: UpstreamConnection) -> None:
        if self._connection is connection:
            self._connection = None


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments whose texts can be encoded in UTF-8: others would break the connection."""
    return {
        name: readable(value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


async def _run_quietly(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await run()
    except Exception:
        log.exception("background work after a change of the connection failed")
