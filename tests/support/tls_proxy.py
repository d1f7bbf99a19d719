"""A CONNECT proxy on loopback that ends TLS for context7.com in front of the stand-in.

Servers before 2.1 have the address of the API built in; with this proxy and its throw-away
authority configured they talk to the stand-in instead. Other hosts are refused.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import anyio
import trustme
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.from_thread import start_blocking_portal
from anyio.streams.tls import TLSStream

from support.context7_api import Api

OVER = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its address, the certificate to trust, and the hosts it was asked for."""

    url: str
    authority: Path
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a node process finds and trusts the proxy."""
        return {"HTTPS_PROXY": self.url, "NODE_EXTRA_CA_CERTS": str(self.authority)}


@contextmanager
def tls_proxy(api: Api, host: str = "context7.com") -> Iterator[Proxy]:
    authority = trustme.CA()
    tunnels = _Tunnels(f"{host}:443", urlsplit(api.url).port or 0, _server_side(authority, host))
    with TemporaryDirectory() as folder, start_blocking_portal(name="tls-proxy") as portal:
        certificate = Path(folder, "authority.pem")
        authority.cert_pem.write_to_path(str(certificate))
        serving, port = portal.start_task(tunnels.serve)
        try:
            yield Proxy(f"http://127.0.0.1:{port}", certificate, tunnels.asked)
        finally:
            serving.cancel()


def _server_side(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


@dataclass(frozen=True)
class _Tunnels:
    """Accepts connections, and carries the bytes of each to the stand-in and back."""

    host: str
    port: int
    tls: ssl.SSLContext
    asked: list[str] = field(default_factory=list)

    async def serve(self, *, task_status: TaskStatus[int]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            task_status.started(listener.extra(SocketAttribute.local_port))
            await listener.serve(self._accept)

    async def _accept(self, client: ByteStream) -> None:
        with suppress(*OVER):
            async with client:
                await self._connect(client)

    async def _connect(self, client: ByteStream) -> None:
        wanted = await _host_asked_for(client)
        self.asked.append(wanted)
        if wanted != self.host:
            await client.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inside = await TLSStream.wrap(
            client, server_side=True, ssl_context=self.tls, standard_compatible=False
        )
        async with inside, await anyio.connect_tcp("127.0.0.1", self.port) as stand_in:
            await _join(inside, stand_in)


async def _host_asked_for(client: ByteStream) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await client.receive()
    return head.split()[1].decode()


async def _join(one: ByteStream, other: ByteStream) -> None:
    """Carry bytes both ways until either side ends."""
    async with anyio.create_task_group() as both:

        async def carry(source: ByteStream, sink: ByteStream) -> None:
            with suppress(*OVER):
                while True:
                    await sink.send(await source.receive())
            both.cancel_scope.cancel()

        both.start_soon(carry, one, other)
        both.start_soon(carry, other, one)
