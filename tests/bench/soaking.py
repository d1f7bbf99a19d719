"""Clients that ask for a long time: what they ask, what came of it, and the memory it takes."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Protocol
from urllib.parse import urlsplit

from bench.backend import backend
from bench.contestants import IDLE, Contestant
from bench.errands import LIBRARIES, LONG, QUESTIONS, docs, look_up
from bench.http_field import node
from bench.http_load import ENVELOPE, JSON, SSE, VERSIONS
from bench.rpc import DOCS, LOOK_UP
from support.product import PROGRAM, product_at_port, product_environment

WINDOWS, VISITORS_OF_AN_ERA = 2, 2
REST_SECONDS = 0.05
"""What a client rests after each answer."""

SAMPLE_SECONDS = 5.0
HTTP, DAEMON = "HTTP server", "daemon"
SERVERS = (HTTP, DAEMON)

ACCEPT = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}

_MESSAGE = re.compile(r"^(?:data: *)?(\{.*)$", re.MULTILINE)
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


class Asks(Protocol):
    """Sends a request and returns the reply's JSON-RPC message."""

    def __call__(self, method: str, params: dict[str, object]) -> dict[str, Any]:
        """Raise where there is no reply."""
        ...


@dataclass
class Log:
    """What came of everything; all moments are in seconds since the beginning."""

    calls: list[tuple[float, float]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    resident: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _lock: Lock = field(default_factory=Lock)

    @property
    def now(self) -> float:
        """How long it has been."""
        return time.monotonic() - self._begun

    def answered(self, took: float, problem: str | None) -> None:
        """Note one request, and what was wrong with its reply."""
        with self._lock:
            self.calls.append((self.now, took))
            if problem is not None:
                self.errors.append((self.now, problem))

    def weigh(self, name: str, pid: int) -> None:
        """Note the resident memory of a server, in MiB."""
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        (kilobytes,) = _RESIDENT.findall(status)
        self.resident.setdefault(name, []).append((self.now, int(kilobytes) / 1024))


def errands(seed: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield methods and parameters without end: four of five are answered from what is stored."""
    chance, new = random.Random(seed), count()  # noqa: S311  # what is asked is no secret
    while True:
        draw = chance.random()
        if draw < 0.8:
            asked = docs(chance.choice([*LIBRARIES]), chance.choice(QUESTIONS))
            yield "tools/call", {"name": DOCS, "arguments": asked}
        elif draw < 0.9:
            asked = look_up(chance.choice([*LIBRARIES.values()]))
            yield "tools/call", {"name": LOOK_UP, "arguments": asked}
        elif draw < 0.95:
            asked = docs(LONG, f"What does client {seed} ask as number {next(new)}?")
            yield "tools/call", {"name": DOCS, "arguments": asked}
        elif draw < 0.98:
            yield "resources/read", {"uri": chance.choice(["fabric://EXECUTION", "fabric://stats"])}
        else:
            yield chance.choice(["tools/list", "prompts/list", "resources/list"]), {}


@contextmanager
def _over_http(url: str, form: str) -> Iterator[Asks]:
    address = urlsplit(url)
    with closing(HTTPConnection(address.netloc, timeout=60)) as connection:

        def ask(method: str, params: dict[str, object]) -> dict[str, Any]:
            meta = {} if form == SSE else {"_meta": ENVELOPE}
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | meta}
            named = str(params.get("name") or params.get("uri") or "")
            told = {"Mcp-Method": method, "Mcp-Name": named} if form == JSON else {}
            headers = {**ACCEPT, "MCP-Protocol-Version": VERSIONS[form], **told}
            headers = {name: text for name, text in headers.items() if text}
            connection.request("POST", address.path, json.dumps(message), headers)
            text = connection.getresponse().read().decode()
            (line,) = _MESSAGE.findall(text)
            reply: dict[str, Any] = json.loads(line)
            return reply

        yield ask


@contextmanager
def _in_a_window(contestant: Contestant) -> Iterator[Asks]:
    with contestant.calling() as caller:
        caller.introduce()

        def ask(method: str, params: dict[str, object]) -> dict[str, Any]:
            told: dict[str, Any] = json.loads(caller.reply(method, **params))
            return told

        yield ask


def _client(opened: Callable[[], Any], seed: int, log: Log, over: Event) -> None:
    with opened() as ask:
        for method, params in errands(seed):
            begun = time.perf_counter()
            try:
                problem = _problem(ask(method, params))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
                problem = repr(error)
            log.answered((time.perf_counter() - begun) * 1000, problem)
            if over.wait(REST_SECONDS):
                return


def _daemon_of(window: Contestant, log: Log) -> int:
    """Wait until a window has started its daemon, and return its process."""
    while True:
        pids = window.daemon_pids()
        if pids and log.calls:
            return pids[0]


def _problem(reply: dict[str, Any]) -> str | None:
    """Return what is wrong with a reply, None where nothing is."""
    bad = "result" not in reply or reply["result"].get("isError")
    return json.dumps(reply)[:300] if bad else None


def soaked(folder: Path, seconds: float, tell: Callable[[Log], None]) -> Log:
    """Let all clients ask for so long; `tell` hears of it with every sample."""
    with ExitStack() as stack:
        api = stack.enter_context(backend())
        variables = {
            "CONTEXT7_FABRIC_UPSTREAM": stack.enter_context(node(api)),
            "CONTEXT7_FABRIC_DAEMON": "auto",
            "CONTEXT7_FABRIC_DAEMON_IDLE": IDLE,
        }
        served = stack.enter_context(
            product_at_port("http", product_environment(folder / "shared", variables))
        )
        own = product_environment(folder / "own", variables)
        window = Contestant("window", [PROGRAM], own, ours=True, shared=True)
        stack.callback(window.stop_daemon)
        log, over = Log(), Event()
        url = served.url("/mcp")
        openings = [partial(_in_a_window, window)] * WINDOWS
        openings += [partial(_over_http, url, form) for form in VERSIONS] * VISITORS_OF_AN_ERA
        clients = [
            Thread(target=_client, args=(opened, seed, log, over))
            for seed, opened in enumerate(openings)
        ]
        for each in clients:
            each.start()
        pids = {HTTP: served.process.pid, DAEMON: _daemon_of(window, log)}
        while log.now < seconds and not over.wait(min(SAMPLE_SECONDS, seconds - log.now)):
            for name, pid in pids.items():
                log.weigh(name, pid)
            tell(log)
        over.set()
        for each in clients:
            each.join()
        return log
