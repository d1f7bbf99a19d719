"""Time to the first right answer once upstream is back, for `outage.py`.

Each case is a way in which upstream goes away and returns. A client asks again and again meanwhile,
something else each time, as agents do.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from bench.mcp_client import Client, product
from bench.outage_store import META_KEY
from bench.workload import DOCS, docs
from support import faults, misbehaving_upstream
from support.catalogue import Catalogue
from support.context7_api import running_api
from support.faults import Fault
from support.mortal import MortalCommand, mortal_upstream
from support.processes import living
from support.product import Variables, product_environment
from support.sessions import Form, error_form, session_upstream
from support.upstreams import clean_environment

AWAY_SECONDS = 3.0
AGAIN_SECONDS = 0.1
GIVE_UP_SECONDS = 75.0
RIGHT = ("miss", "hit", "stale")
RESTART_SECONDS = 2.0  # promise after a restart
LIMIT_SECONDS = 62.0  # promise after a limit without a time
LIMIT = "limit without a time: "
UPSTREAM = "CONTEXT7_FABRIC_UPSTREAM"
TIMEOUT = {"CONTEXT7_FABRIC_UPSTREAM_TIMEOUT": "1.2s"}
LIBRARY = Catalogue().libraries[0].id
MONTH_AHEAD = 30 * 86400
WRONG_CLOCK = f"""\
import time
_now = time.time
time.time = lambda: _now() + {MONTH_AHEAD}
"""
_STARTING = Lock()


@dataclass(frozen=True)
class Recovery:
    """First result while upstream is away, calls that went out, and seconds until it is right."""

    name: str
    outcome: str
    text: str
    seconds: float
    calls: int
    back_after: float | None

    @property
    def allowed(self) -> float:
        return LIMIT_SECONDS if self.name.startswith(LIMIT) else RESTART_SECONDS

    @property
    def kept(self) -> bool:
        return self.back_after is not None and self.back_after <= self.allowed


@dataclass
class Asker:
    """A client that asks something else each time."""

    server: Client
    number: int = 0
    first: tuple[str, str, float] | None = None

    def start(self) -> int:
        self.number += 1
        arguments = docs(LIBRARY, f"How do parts work, number {self.number}?")
        return self.server.start("tools/call", name=DOCS, arguments=arguments)

    def ask(self) -> str:
        """Return the outcome of a call; the first one is kept as the result meanwhile."""
        begun = time.perf_counter()
        result = self.server.result(self.start())
        outcome = str(result["_meta"][META_KEY]["outcome"])
        if self.first is None:
            self.first = outcome, _text(result), time.perf_counter() - begun
        return outcome

    def ask_while_well(self) -> None:
        assert self.ask() == "miss", self.first
        self.first = None

    def ask_while_away(self) -> None:
        end = time.perf_counter() + AWAY_SECONDS
        while time.perf_counter() < end:
            self.ask()
            time.sleep(AGAIN_SECONDS)

    def answered(self) -> float | None:
        """Ask until the answer is right; return the seconds, None where it never is."""
        begun = time.perf_counter()
        while self.ask() not in RIGHT:
            if time.perf_counter() - begun > GIVE_UP_SECONDS:
                return None
            time.sleep(AGAIN_SECONDS)
        return time.perf_counter() - begun


def _text(result: Mapping[str, Any]) -> str:
    words = " ".join(block["text"] for block in result["content"]).split()
    return " ".join(words)[:160]


@contextmanager
def _asking(folder: Path, daemon: str, variables: Variables) -> Iterator[Asker]:
    named = {**variables, "CONTEXT7_FABRIC_DAEMON": daemon}
    with _started(product_environment(folder / "home", named)) as server:
        yield Asker(server)


@contextmanager
def _started(environment: Mapping[str, str]) -> Iterator[Client]:
    """Run the product; one starts at a time, for many at once would be timed on a busy machine."""
    with ExitStack() as stack:
        with _STARTING:
            server = stack.enter_context(product(environment))
        yield server


Found = tuple[Asker, int, float | None]  # client, calls, seconds until an answer is right
Case = Callable[[Path, str], Found]
"""A case in an empty folder, with a daemon ("auto") or without one ("off")."""


def _session(form: Form, folder: Path, daemon: str) -> Found:
    with (
        session_upstream(form) as upstream,
        _asking(folder, daemon, {UPSTREAM: upstream.url}) as asker,
    ):
        asker.ask_while_well()
        calls = upstream.calls
        upstream.forget()
        return asker, upstream.calls - calls + 1, asker.answered()


def _killed_thrice(folder: Path, daemon: str) -> Found:
    with (
        running_api() as api,
        _asking(folder, daemon, MortalCommand(api, folder).variables) as asker,
    ):
        asker.ask_while_well()
        api.clear()
        waiting: list[int] = []
        for _death in range(3):
            waiting += [asker.start() for _call in range(8)]
            time.sleep(AWAY_SECONDS / 12)
            pids = (folder / "context7.pids").read_text(encoding="ascii").split()
            for pid in living(map(int, pids)):
                os.kill(pid, signal.SIGKILL)
        back = asker.answered()
        for number in waiting:
            asker.server.result(number)
        return asker, api.calls, back


def _gone(kind: str, folder: Path, daemon: str) -> Found:
    with (
        running_api() as api,
        mortal_upstream(kind, api, folder) as mortal,
        _asking(folder, daemon, mortal.variables) as asker,
    ):
        asker.ask_while_well()
        mortal.end()
        asker.ask_while_away()
        contacts = mortal.contacts
        mortal.come_back()
        return asker, contacts, asker.answered()


def _black_hole(folder: Path, daemon: str) -> Found:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as hole:
        port, calls = hole.getsockname()[1], 0
        variables = {UPSTREAM: f"http://127.0.0.1:{port}/mcp", **TIMEOUT}
        with _asking(folder, daemon, variables) as asker:
            asker.ask_while_away()
            hole.settimeout(0)
            try:
                while True:
                    hole.accept()[0].close()
                    calls += 1
            except BlockingIOError:
                hole.close()
            with session_upstream(port=port):
                return asker, calls, asker.answered()


def _slow_start(folder: Path, daemon: str) -> Found:
    gate = folder / "gate"
    os.mkfifo(gate)
    variables = {UPSTREAM: misbehaving_upstream.command(folder, "--wait"), **TIMEOUT}
    with _asking(folder, daemon, variables) as asker:
        asker.ask_while_away()
        gate.write_bytes(b"go")
        back = asker.answered()
        return asker, misbehaving_upstream.log(folder).count("start"), back


def _half_an_emoji(folder: Path, daemon: str) -> Found:
    text = {"type": "text", "text": f"{misbehaving_upstream.SNIPPET}It waves \ud83d\n"}
    with session_upstream() as upstream:
        upstream.answer = lambda _name, _arguments: {"content": [text]}
        with _asking(folder, daemon, {UPSTREAM: upstream.url}) as asker:
            back = asker.answered()
            return asker, upstream.calls, back


def _limit(fault: Fault, folder: Path, daemon: str) -> Found:
    with (
        running_api() as api,
        _asking(folder, daemon, MortalCommand(api, folder).variables) as asker,
    ):
        asker.ask_while_well()
        api.clear()
        api.fail(fault)
        asker.ask_while_away()
        calls = api.calls
        api.heal()
        return asker, calls, asker.answered()


def _limit_by_status(status: int, folder: Path, daemon: str) -> Found:
    with session_upstream() as upstream, _asking(folder, daemon, {UPSTREAM: upstream.url}) as asker:
        asker.ask_while_well()
        calls, upstream.always = upstream.calls, Form(status, "slow down", "text/plain")
        asker.ask_while_away()
        calls, upstream.always = upstream.calls - calls, None
        return asker, calls, asker.answered()


def _clock_wrong(folder: Path, _daemon: str) -> Found:
    """Meet a limit with a clock that is a month ahead, then ask with the right one."""
    (folder / "sitecustomize.py").write_text(WRONG_CLOCK)
    with session_upstream() as upstream:
        upstream.always = Form(429, "slow down", "text/plain")
        variables = {UPSTREAM: upstream.url, "CONTEXT7_FABRIC_DAEMON": "off"}
        environment = product_environment(folder / "home", variables)
        wrong = clean_environment({**environment, "PYTHONPATH": str(folder)})
        with _started(wrong) as server:
            ahead = Asker(server)
            ahead.ask()
        calls, upstream.always = upstream.calls, None
        with _started(environment) as server:
            asker = Asker(server, number=1, first=ahead.first)
            return asker, calls, asker.answered()


LIMITS: Mapping[str, Case] = {
    f"{LIMIT}month used up": partial(_limit, faults.QUOTA_SPENT),
    f"{LIMIT}rate limited": partial(_limit, faults.RATE_LIMITED),
    f"{LIMIT}spending limit": partial(_limit, faults.SPENDING_LIMIT),
    f"{LIMIT}HTTP 429": partial(_limit_by_status, 429),
    f"{LIMIT}HTTP 402": partial(_limit_by_status, 402),
}
"""Cases that wait for a minute."""

SESSIONS: Mapping[str, Form] = {
    "404": Form(404),
    "404, -32001": error_form(404, -32001, "Session not found"),
    "404, plain text": Form(404, "unknown session", "text/plain"),
    "404, detail": Form(404, '{"detail":"Session not found"}'),
    "400": error_form(400, -32000, "Bad Request: No valid session ID provided"),
    "401": Form(401),
    "503": Form(503, "no backend", "text/plain"),
    "200, error": error_form(200, -32001, "Session not found"),
}
OTHERS: Mapping[str, Case] = {
    **{f"session lost: {name}": partial(_session, form) for name, form in SESSIONS.items()},
    "child killed three times": _killed_thrice,
    "child gone, and back": partial(_gone, "command"),
    "URL restarted": partial(_gone, "http"),
    "black hole": _black_hole,
    "slow start (calls: starts)": _slow_start,
    "half an emoji": _half_an_emoji,
    "limit met while the clock was ahead": _clock_wrong,
}


def recoveries(folder: Path, daemon: str) -> list[Recovery]:
    """Measure all cases; the waits for a limit's end overlap with the others."""

    def measured(number: int, name: str, case: Case) -> Recovery:
        own = folder / f"{number}"
        own.mkdir()
        asker, calls, back = case(own, daemon)
        return Recovery(name, *(asker.first or ("", "", 0.0)), calls, back)

    with ThreadPoolExecutor(len(LIMITS)) as waiting:
        begun = [waiting.submit(measured, at, *each) for at, each in enumerate(LIMITS.items())]
        others = [measured(at, *each) for at, each in enumerate(OTHERS.items(), len(LIMITS))]
        return [*others, *(each.result() for each in begun)]
