"""A loopback stand-in of Context7's HTTP API, for tests in this process and for the real servers.

`running_api` serves it from a thread; every method of `Api` may be called from any thread.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from starlette import requests, responses
from starlette.types import Receive, Scope, Send

from support.catalogue import Catalogue
from support.faults import Endpoint, Fault, Reply
from support.listener import Arrivals, Gate, Latch, hang_up, serving
from support.replies import Call, World, reply_to


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names are in lower case, `at` is on the monotonic clock."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float

    @property
    def key(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None

    @property
    def call(self) -> Call:
        return Call(self.path, self.query, self.key)


class Api(World):
    """The stand-in: a log of requests, what it knows, faults in force, and gates."""

    url = ""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue)
        self._log: list[Request] = []
        self._faults: dict[Endpoint, tuple[Fault, float]] = {}
        self._latch = Latch()
        self._gate: Gate | None = None
        self._arrivals = Arrivals()
        self.wait_for, self.arrived = self._arrivals.wait_for, self._arrivals.arrived

    @property
    def requests(self) -> list[Request]:
        """The requests since `clear`, in order of arrival."""
        return list(self._log)

    @property
    def calls(self) -> int:
        return len(self._log)

    def clear(self) -> None:
        self._log = []
        self._arrivals.reset()

    def fail(self, fault: Fault, on: Endpoint | None = None, times: int | None = None) -> None:
        """Put a fault in force: at one endpoint or at all, so many times or until `heal`."""
        for endpoint in _endpoints(on):
            self._faults[endpoint] = (fault, float("inf") if times is None else times)

    def heal(self, on: Endpoint | None = None) -> None:
        """End the faults, and let what they hold go on."""
        for endpoint in _endpoints(on):
            self._faults.pop(endpoint, None)
        self.release()

    def release(self) -> None:
        """Let requests that have arrived go on if they hang or dawdle; later ones do so again."""
        latch, self._latch = self._latch, Latch()
        latch.open()

    @contextmanager
    def gate(self) -> Iterator[Gate]:
        """Hold all requests that arrive, until the gate's release or the end of the block."""
        self._gate = gate = Gate()
        try:
            yield gate
        finally:
            self._gate = None
            gate.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the ASGI side of the stand-in."""
        seen, latch = requests.Request(scope), self._latch
        request = Request(
            scope["path"], dict(seen.query_params), dict(seen.headers), time.monotonic()
        )
        self._log.append(request)
        self._arrivals.add()
        if self._gate:
            await self._gate.pass_through()
        fault = self._take(request.call.endpoint)
        if fault.hold:
            await latch.passed(None if fault.hold == float("inf") else fault.hold)
        true = reply_to(request.call, self, filtered=fault.filtered)
        response = _response(fault.reply(request.call.subject, true))
        if fault.cut == "half":
            await _send_half(response, send)
        if fault.cut:
            await hang_up(scope, receive)
        else:
            await response(scope, receive, send)

    def _take(self, endpoint: Endpoint | None) -> Fault:
        """Return the fault for one more request; one without fields where there is none."""
        if endpoint is None or endpoint not in self._faults:
            return Fault()
        fault, left = self._faults.pop(endpoint)
        if left > 1:
            self._faults[endpoint] = (fault, left - 1)
        return fault


@contextmanager
def running_api(catalogue: Catalogue | None = None) -> Iterator[Api]:
    """A stand-in for the length of the block."""
    api = Api(catalogue or Catalogue())
    with serving(api) as port:
        api.url = f"http://127.0.0.1:{port}/api"
        try:
            yield api
        finally:
            api.heal()


def _endpoints(on: Endpoint | None) -> tuple[Endpoint, ...]:
    return (on,) if on else ("search", "docs")


def _response(reply: Reply) -> responses.Response:
    return responses.Response(
        reply.body, reply.status, media_type=reply.media_type, headers=dict(reply.headers)
    )


async def _send_half(response: responses.Response, send: Send) -> None:
    half = bytes(response.body)[: len(response.body) // 2]
    headers = response.raw_headers
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": half, "more_body": True})
