"""One MCP connection to Context7: opened on need, reopened when it dies, usable from any task.

An MCP client must be entered and left by the same task, so each connection is held by a task of
its own; callers only send requests over it.
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
    loss_in,
    rejection,
    tells_of_lost_session,
)

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
"""How long an HTTP server may take to end a session; a command's process has its own limits."""

RENEW_EVERY = 60.0
"""Seconds between two new sessions that were made only because an error may mean a lost one."""

_LONGEST_SAID = 100

Open = Callable[[], AbstractAsyncContextManager[Any]]
Send = Callable[[ClientSession], Awaitable[Any]]


class UpstreamConnection:
    """One connection, from the wish for it to its end."""

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

    def fail(self, reason: str) -> None:
        """End it, because of `reason`."""
        self.reason = reason
        self.client = None
        self.broken.set()
        self.ready.set()

    async def hold(
        self, open_transport: Open, seconds: float, announce: Callable[[], None]
    ) -> None:
        """Be the one task that enters and leaves this connection's client, until it is broken.

        It may take `seconds` to be made; `announce` hears when it is.
        """
        CURRENT.set(self.exchange)
        try:
            with self.making, anyio.fail_after(seconds) as connecting:
                async with Client(
                    open_transport(), mode="auto", cache=None, client_info=_client_info()
                ) as client:
                    connecting.deadline = float("inf")
                    self.exchange = Exchange()
                    self.client = client
                    self.ready.set()
                    announce()
                    await self.broken.wait()
                    connecting.deadline = anyio.current_time() + CLOSE_SECONDS
        except Exception as error:  # noqa: BLE001  # whatever a transport raises ends only this link
            if not self.broken.is_set():
                self.error = innermost(error, MCPError)
                self.fail(connection_reason(error, self.exchange, seconds))
            log.info("upstream connection ended: %s", self.reason)
        finally:
            self.fail(self.reason)


class LostSessionReply(MCPError):
    """A tool's own error result that tells of a lost session; it stands if a new one is no help."""

    def __init__(self, reply: Reply) -> None:
        """Keep the result."""
        super().__init__(types.INVALID_REQUEST, reply.text)
        self.reply = reply


class SessionRenewal:
    """Decides when a lost session is worth a new one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Let `tell` hear how each loss showed."""
        self._tell = tell
        self._last = float("-inf")

    def allowed(self, link: UpstreamConnection, error: MCPError, exchange: Exchange) -> bool:
        """Tell whether a new session is worth a try after `error`, and note that it is made."""
        loss = loss_in(error, exchange)
        if loss is SessionLoss.NONE:
            return False
        if not link.lost_session:
            now = anyio.current_time()
            due = link.answered and now - self._last >= RENEW_EVERY
            if loss is SessionLoss.POSSIBLE and not due:
                return False
            self._last = now if loss is SessionLoss.POSSIBLE else self._last
            link.lost_session = True
            said = f"it answered {error.message[:_LONGEST_SAID]!r}"
            self._tell(exchange.described if exchange.failed else said)
        return True


class InFlightRequest:
    """One request on its way, in a task that its sender need not wait for."""

    def __init__(self, send: Send, session: ClientSession, exchange: Exchange) -> None:
        self._send, self._session, self._exchange = send, session, exchange
        self._result: Any = None
        self._error: Exception | None = anyio.ClosedResourceError()  # until it has ended
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()

    async def run(self) -> None:
        """Send, and keep what comes of it."""
        CURRENT.set(self._exchange)
        try:
            with self.scope:
                self._result = await self._send(self._session)
                self._error = None
        except Exception as error:  # noqa: BLE001  # it belongs to the sender
            self._error = error
        finally:
            self.done.set()

    def outcome(self) -> Any:  # noqa: ANN401  # whatever the request brings
        """Return the result; raises what the request raised."""
        if self._error is not None:
            raise self._error
        return self._result


def _client_info() -> types.Implementation:
    from context7_fabric.version import __version__  # noqa: PLC0415  # the package's face stays light

    return types.Implementation(name="context7-fabric", version=__version__)


MOST_ATTEMPTS = 4
"""Connections over which one call is sent: the tools are idempotent, and a child may die twice."""

MOST_TIMEOUTS = 2
"""So many time-outs in a row, and the connection is taken for dead: another is made."""

MOST_PAGES = 20
"""Pages of a list of tools that are read: upstream has a few tools, on one page."""

RECONNECT_EVERY = 0.5
RECONNECT_FOR = 30.0
"""After a failed connection another is tried every half second, for so long after the last call:
the longest time that the circuit breaker stays open."""

HAND_OVER = 0.05
"""Seconds that a call may be older than the connection that is made for it."""

_T = TypeVar("_T")
_Open = Callable[[], AbstractAsyncContextManager[Any]]
_Send = Callable[[ClientSession], Awaitable[_T]]


class McpUpstream:
    """Context7 over MCP, in whichever protocol era it speaks."""

    def __init__(
        self,
        open_transport: _Open,
        tasks: TaskGroup,
        *,
        label: str,
        timeout: float,
        patience: float | None = None,
    ) -> None:
        """Connect with `open_transport`; connections live in `tasks` and end with it.

        `label` names upstream in messages, `timeout` bounds a call in seconds, connecting
        included. A connection may take `patience` seconds, behind calls that have given up; None
        is as long as a call.
        """
        self._open_transport = open_transport
        self._tasks = tasks
        self._label = label
        self._timeout = timeout
        self._patience = timeout if patience is None else patience
        self._link: UpstreamConnection | None = None
        self._renewals = SessionRenewal(self._tell_of_loss)
        self._wanted_until = float("-inf")
        self._reconnecting = False
        self._closed = False
        self.on_connected: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Runs behind each new connection."""
        self.on_session_lost: Callable[[str], Coroutine[Any, Any, None]] | None = None
        """Runs behind each session that upstream has lost, with how that showed."""

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection that can be used."""
        return self._link is not None and self._link.client is not None

    @property
    def connecting_for(self) -> float:
        """Tell for how many seconds a connection has been in the making; 0 where none is."""
        link = self._link
        if link is None or link.ready.is_set():
            return 0.0
        return anyio.current_time() - link.begun

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
        """Call the tool `name` and return its text, block after block."""
        # The client's own call_tool lists the tools again after each call of an unlisted one.
        params = types.CallToolRequestParams(name=name, arguments=_sendable(arguments))
        request = types.CallToolRequest(params=params)

        async def send(session: ClientSession) -> Reply:
            result = await session.send_request(
                request, types.CallToolResult, progress_callback=progress
            )
            texts = [each.text for each in result.content if isinstance(each, types.TextContent)]
            reply = Reply("\n".join(texts), is_error=bool(result.is_error))
            if reply.is_error and tells_of_lost_session(reply.text):
                raise LostSessionReply(reply)
            return reply

        try:
            return await self._request(send)
        except UpstreamRejected as error:
            if isinstance(error.__cause__, LostSessionReply):
                return error.__cause__.reply
            raise

    def reconnect(self) -> None:
        """Try to connect behind the calls, as long as calls ask for it."""
        self._wanted_until = anyio.current_time() + RECONNECT_FOR
        if not (self.connected or self._reconnecting or self._closed):
            self._reconnecting = True
            self._tasks.start_soon(self._reconnect)

    async def aclose(self) -> None:
        """End the connection and, with it, the child process if there is one."""
        self._closed = True
        link = self._link
        if link is not None:
            self._drop(link)
            await link.ended.wait()

    async def _request(self, send: _Send[_T]) -> _T:
        """Send over the connection; again if that breaks or upstream has lost its session."""
        deadline = anyio.current_time() + self._timeout
        renewed = False
        reason = ""
        for _attempt in range(MOST_ATTEMPTS):
            link, session = await self._connected(deadline)
            exchange = Exchange()
            try:
                return await self._sent(send, link, session, exchange, deadline)
            except MCPError as error:
                if breaks_connection(error):
                    reason = link.reason
                elif not renewed and self._renewals.allowed(link, error, exchange):
                    renewed = True
                else:
                    raise rejection(self._label, exchange, error) from error
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                reason = link.reason
            except ValidationError as error:
                raise UpstreamUnreadable(self._label, "it is no result of MCP") from error
            self._drop(link)
        raise UpstreamUnreachable(self._label, reason)

    async def _sent(
        self,
        send: _Send[_T],
        link: UpstreamConnection,
        session: ClientSession,
        exchange: Exchange,
        deadline: float,
    ) -> _T:
        """Send and wait for the answer; the bound is for both, as a peer may not read either."""
        sending = InFlightRequest(send, session, exchange)
        self._tasks.start_soon(sending.run)
        try:
            with anyio.CancelScope(deadline=deadline) as waiting:
                await sending.done.wait()
        finally:
            # Not waited for: telling a peer that does not read takes the SDK five seconds.
            sending.scope.cancel()
        if waiting.cancelled_caught and not sending.done.is_set():
            raise self._timed_out(link)
        link.timeouts = 0
        result: _T = sending.outcome()
        link.answered = True
        return result

    def _timed_out(self, link: UpstreamConnection) -> UpstreamTimeout:
        link.timeouts += 1
        if link.timeouts >= MOST_TIMEOUTS:
            self._drop(link)
        return UpstreamTimeout(self._label, self._timeout)

    def _unconnected(self, link: UpstreamConnection) -> UpstreamError:
        """Return why there is no connection, and go on trying where that may help."""
        if link.exchange.refused:
            return rejection(self._label, link.exchange, link.error)
        self.reconnect()
        return UpstreamUnreachable(self._label, link.reason, connecting=True)

    async def _connected(self, deadline: float) -> tuple[UpstreamConnection, ClientSession]:
        """Return a connection that is up; one that is being made is waited for until its own end.

        A call that comes late to a slow start does not begin the wait anew.
        """
        self._wanted_until = anyio.current_time() + RECONNECT_FOR
        link = self._link or self._opened()
        due = min(deadline, link.begun + self._timeout)
        with anyio.CancelScope(deadline=due):
            await link.ready.wait()
        if not link.ready.is_set():
            raise self._not_yet(link, deadline)
        if link.client is None:
            raise self._unconnected(link)
        return link, link.client.session

    def _not_yet(self, link: UpstreamConnection, deadline: float) -> UpstreamError:
        """Return why a call does not wait longer for a connection that is still being made."""
        so_far = anyio.current_time() - link.begun
        if link.begun + self._timeout > deadline + HAND_OVER:
            return UpstreamTimeout(self._label, self._timeout)  # spent on an earlier connection
        going_on = ", it is still being started" if so_far < self._patience else ""
        reason = f"no connection within {so_far:.3g} s{going_on}"
        return UpstreamUnreachable(self._label, reason, connecting=True)

    def _opened(self) -> UpstreamConnection:
        link = self._link = UpstreamConnection()
        self._tasks.start_soon(self._held, link)
        return link

    async def _reconnect(self) -> None:
        """Connect again and again until that works, or no call has asked for it for a while."""
        try:
            while not (self.connected or self._closed):
                await anyio.sleep(RECONNECT_EVERY)
                if anyio.current_time() > self._wanted_until or self._closed:
                    return
                link = self._link or self._opened()
                await link.ready.wait()
                if link.client is None and link.exchange.refused:
                    return
        finally:
            self._reconnecting = False

    async def _held(self, link: UpstreamConnection) -> None:
        announce = partial(self._behind, self.on_connected)
        try:
            await link.hold(self._open_transport, self._patience, announce)
        finally:
            self._forget(link)
            link.ended.set()

    def _tell_of_loss(self, how: str) -> None:
        log.info("upstream has lost the session: %s", how)
        self._behind(self.on_session_lost and partial(self.on_session_lost, how))

    def _behind(self, work: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        if work is not None:
            self._tasks.start_soon(_quietly, work)

    def _drop(self, link: UpstreamConnection) -> None:
        link.broken.set()
        if not link.ready.is_set():
            link.making.cancel()
        self._forget(link)

    def _forget(self, link: UpstreamConnection) -> None:
        if self._link is link:
            self._link = None


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments whose texts UTF-8 can say: another would break the connection."""
    return {
        name: readable(value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


async def _quietly(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await run()
    except Exception:
        log.exception("what is done behind a connection has failed")
