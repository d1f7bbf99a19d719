"""Notices of changes as a client of either era gets them, and waiting for them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic

import anyio
import mcp_types as types
from mcp import Client

from support.processes import one_soon

PROMPTS = "notifications/prompts/list_changed"
TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"


class Inbox:
    """Every notice of a change that came to a client: its method, and the URI or nothing."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, str]] = []
        self._came = anyio.Event()

    async def take(self, message: object) -> None:
        """Hear a message, as the SDK's client hands it to its `message_handler`."""
        if isinstance(message, types.ResourceUpdatedNotification):
            self._add(UPDATED, message.params.uri)
        elif isinstance(
            message, types.PromptListChangedNotification | types.ToolListChangedNotification
        ):
            self._add(message.method)

    async def wait_for(self, method: str, uri: str = "", times: int = 1) -> None:
        """Wait until this notice has come so often.

        Raises:
            TimeoutError: It has not within half a minute, where no other time is promised.
        """
        with anyio.fail_after(30):
            while self.notices.count((method, uri)) < times:
                await self._came.wait()

    def _add(self, method: str, uri: str = "") -> None:
        self.notices.append((method, uri))
        self._came.set()
        self._came = anyio.Event()


async def noticed_within(
    seconds: float,
    inboxes: Sequence[Inbox],
    change: Callable[[str], Awaitable[object]],
    method: str,
    uri: str = "",
) -> None:
    """Make changes by number until every inbox has the notice within `seconds`, as `one_soon`."""
    numbers = count()

    async def took() -> float:
        known = [each.notices.count((method, uri)) for each in inboxes]
        await change(str(next(numbers)))
        begun = monotonic()
        for each, times in zip(inboxes, known, strict=True):
            await each.wait_for(method, uri, times + 1)
        return monotonic() - begun

    await one_soon(seconds, took)


@asynccontextmanager
async def subscribed(client: Client, *uris: str) -> AsyncIterator[None]:
    """Subscribe `client` to changed lists and to `uris`, in the way of its protocol version."""
    if client.protocol_version < "2026":
        for uri in uris:
            await subscribe(client, uri)
        yield
        return
    async with client.listen(
        prompts_list_changed=True, tools_list_changed=True, resource_subscriptions=uris
    ):
        yield


async def subscribe(client: Client, uri: str) -> None:
    """Subscribe to a resource, as clients of the legacy era do."""
    request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri=uri))
    await client.session.send_request(request, types.EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    request = types.UnsubscribeRequest(params=types.UnsubscribeRequestParams(uri=uri))
    await client.session.send_request(request, types.EmptyResult)
