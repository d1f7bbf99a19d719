"""A loopback receiver of traces that decodes what OTLP exporters send, protobuf over HTTP."""

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from support.listener import Latch, serving

SECONDS = 30
SERVER, CLIENT = 2, 3
"""Kinds of spans."""

BY_SDK, BY_US = "mcp-python-sdk", "context7-fabric"
"""Scopes of the spans of calls: the SDK's, and the express lane's for the calls that it answers."""

Value = str | bool | int | float


@dataclass(frozen=True)
class Span:
    """A span as it came; ids are in hexadecimal, a root's `parent` is empty, times nanoseconds.

    `scope` is the program that made it.
    """

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    status: int
    scope: str

    @property
    def is_call(self) -> bool:
        return self.kind == SERVER and self.name.startswith("tools/call")


class Receiver:
    """Receiver of traces; every method may be called from any thread."""

    url = ""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.latch = Latch()
        self.latch.open()
        self._is_to_hold = False
        self._changed = threading.Condition()

    def hold(self) -> None:
        """Leave the request with a tool call's spans, and every later one, without a reply."""
        self._is_to_hold = True

    def wait_for(self, calls: int) -> list[Span]:
        """The spans so far, once those of so many tool calls are among them."""
        return self.wait_until(lambda: len(self.calls) >= calls)

    def wait_until(self, enough: Callable[[], bool]) -> list[Span]:
        """The spans so far, once there are enough; raises AssertionError."""
        with self._changed:
            found = self._changed.wait_for(enough, SECONDS)
            assert found, [span.name for span in self.spans]
            return list(self.spans)

    @property
    def calls(self) -> list[Span]:
        """The server's spans of tool calls, in the order in which they began."""
        return sorted((span for span in self.spans if span.is_call), key=lambda span: span.begun)

    @property
    def everything(self) -> str:
        """All that has arrived as text, for what must not be in it."""
        return repr(self.bodies) + repr(self.spans) + repr(self.headers)

    def below(self, span: Span) -> list[Span]:
        children = [child for child in self.spans if child.parent == span.id]
        return sorted(children, key=lambda child: child.begun)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self._changed:
            self.paths.append(request.url.path)
            self.headers.append(dict(request.headers))
            self.bodies.append(body)
            self.spans += _spans_in(body)
            if self._is_to_hold and self.calls:
                self._is_to_hold, self.latch = False, Latch()
            self._changed.notify_all()
        await self.latch.passed(None)
        await Response(b"", media_type="application/x-protobuf")(scope, receive, send)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    with serving(receiver) as port:
        receiver.url = f"http://127.0.0.1:{port}"
        try:
            yield receiver
        finally:
            receiver.latch.open()


def _spans_in(body: bytes) -> Iterator[Span]:
    for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in sent.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    begun=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes=_values(span.attributes),
                    resource=_values(sent.resource.attributes),
                    status=span.status.code,
                    scope=scope.scope.name,
                )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in attributes
    }
