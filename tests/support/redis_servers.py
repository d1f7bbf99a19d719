"""Real Redis servers on ports of their own, for the length of a block: alone or as a cluster."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import trustme

from support.processes import Process, spawn, wait_gone
from support.programs import needed, needed_server
from support.upstreams import free_port

READY = r"Ready to accept connections|Failed listening|Sentinel ID is"
SECONDS_TO_START = 30.0
MASTERS = 3
SERVICE = "fabric"


@dataclass(frozen=True)
class Tls:
    """The files of a server that speaks TLS, among them the certificate to trust."""

    authority: Path
    certificate: Path

    @classmethod
    def made_in(cls, folder: Path) -> "Tls":
        authority, tls = trustme.CA(), cls(folder / "authority.pem", folder / "server.pem")
        authority.cert_pem.write_to_path(str(tls.authority))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(tls.certificate)
        )
        return tls


class RedisServer:
    """One server, which a test may stop or kill, start again on its port, hold and let go on."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        password: str = "",
        tls: Tls | None = None,
        port: int = 0,
    ) -> None:
        """Start a server in `folder`, which keeps nothing unless `options` make it."""
        self.port = port or free_port()
        self.password = password
        self._folder = folder
        self._tls = tls
        self._options = [*options, *(["--requirepass", password] if password else [])]
        self._now = ExitStack()
        self._process: Process | None = None
        self.start()

    @property
    def url(self) -> str:
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        trust = f"?ssl_ca_certs={quote(str(self._tls.authority))}" if self._tls else ""
        return f"redis{'s' if self._tls else ''}://{login}127.0.0.1:{self.port}{trust}"

    @property
    def patient_url(self) -> str:
        """The URL for tests of what works: a machine that stalls is no fault of Redis."""
        return f"{self.url}{'&' if self._tls else '?'}timeout=30s"

    @property
    def socket_url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, or start it again, with what it kept."""
        process = self._now.enter_context(
            spawn([needed_server("redis-server"), *self._arguments()])
        )
        self._now.callback(_kill, process.pid)
        line = process.out.wait_for(READY, SECONDS_TO_START)[0]
        assert not line.startswith("Failed"), "another process took the port"
        self._process = process

    def stop(self) -> None:
        assert self._process is not None
        os.kill(self._pid, signal.SIGTERM)
        self._process.wait()
        self._now.close()

    def kill(self) -> None:
        """Kill it without a clean shutdown."""
        self._now.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the block: the kernel still takes connections, but nothing is answered."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def cli(self, *words: str) -> str:
        done = subprocess.run(
            [needed("redis-cli"), "--raw", *self._cli_arguments(), *words],
            env={**os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {})},
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS_TO_START,
        )
        return done.stdout.rstrip("\n")

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def _socket(self) -> Path:
        return self._folder / f"{self.port}.sock"

    def _arguments(self) -> list[str]:
        keeps_nothing = ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        place = ["--bind", "127.0.0.1", "--unixsocket", str(self._socket)]
        ports = ["--port", str(self.port)]
        if self._tls:
            ports = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            ports += ["--tls-ca-cert-file", str(self._tls.authority)]
            ports += ["--tls-cert-file", str(self._tls.certificate)]
            ports += ["--tls-key-file", str(self._tls.certificate)]
        return [*keeps_nothing, *place, *ports, *self._options]

    def _cli_arguments(self) -> list[str]:
        trust = ["--tls", "--cacert", str(self._tls.authority)] if self._tls else []
        return ["-h", "127.0.0.1", "-p", str(self.port), *trust]


@contextmanager
def redis_server(
    *options: str, password: str = "", tls: bool = False, port: int = 0
) -> Iterator[RedisServer]:
    """A server, with options of redis-server's command line; port 0 is any free one."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder, options, password, Tls.made_in(folder) if tls else None, port)
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def redis_cluster(*options: str) -> Iterator[list[RedisServer]]:
    """Three masters that share the slots."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(redis_server(*_node(), *options)) for _ in range(MASTERS)]
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        nodes[0].cli("--cluster", "create", *places, "--cluster-replicas", "0", "--cluster-yes")
        for node in nodes:
            wait_until_serving(node)
        yield nodes


def _node() -> list[str]:
    """Return the options of a node; one that is stalled for less than its time-out is not lost."""
    bus = ["--cluster-port", str(free_port()), "--cluster-node-timeout", "15000"]
    return ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", *bus]


def wait_until_serving(node: RedisServer) -> None:
    """Ask a node until it knows every slot served: it learns of the others in its own time."""
    deadline = time.monotonic() + SECONDS_TO_START
    while "cluster_state:ok" not in node.cli("cluster", "info"):
        assert time.monotonic() < deadline, "the cluster did not come up"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_gone([pid], SECONDS_TO_START)


@dataclass(frozen=True)
class Watched:
    """A master and its replica, and the Sentinel that names the master."""

    first: RedisServer
    second: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}"

    def master(self) -> str:
        """Return the master's address by the Sentinel: a line for the host, one for the port."""
        return self.sentinel.cli("sentinel", "get-master-addr-by-name", SERVICE)

    def be_impatient(self) -> None:
        """Have half a second of silence be death to the Sentinel, for what is dead indeed.

        From the start it would be too short for a master that waits its turn on a busy machine.
        """
        self.sentinel.cli("sentinel", "set", SERVICE, "down-after-milliseconds", "500")


@contextmanager
def watched_servers() -> Iterator[Watched]:
    """Two servers under a Sentinel that counts one as down after five seconds without a reply."""
    with ExitStack() as stack:
        first = stack.enter_context(redis_server())
        second = stack.enter_context(redis_server("--replicaof", "127.0.0.1", str(first.port)))
        sentinel = stack.enter_context(_sentinel(first))
        deadline = time.monotonic() + SECONDS_TO_START
        while f"port={second.port}" not in first.cli("info", "replication") or (
            "num-slaves\n1" not in sentinel.cli("sentinel", "master", SERVICE)
        ):
            assert time.monotonic() < deadline, "the replica was not found"
        yield Watched(first, second, sentinel)


@contextmanager
def _sentinel(master: RedisServer) -> Iterator[RedisServer]:
    with TemporaryDirectory() as name:
        settings = Path(name) / "sentinel.conf"
        lines = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 5000",
            f"sentinel failover-timeout {SERVICE} 2000",
        )
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        server = RedisSentinel(Path(name), [str(settings)])
        try:
            yield server
        finally:
            server.kill()


class RedisSentinel(RedisServer):
    """A server that stores nothing and returns the addresses of others."""

    def _arguments(self) -> list[str]:
        return [*self._options, "--sentinel", "--bind", "127.0.0.1", "--port", str(self.port)]
