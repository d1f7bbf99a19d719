"""How soon the first right answer comes once upstream is back, for `outage.py`.

Each case is a way in which upstream goes away and returns. A client asks again and again meanwhile,
something else each time, as agents do.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.askers import Asker, Recovery, asking, see_well, started
from support import faults, misbehaving_upstream
from support.context7_api import running_api
from support.faults import Fault
from support.mortal import MortalCommand, MortalHttp
from support.processes import living
from support.product import product_environment
from support.sessions import Form, error_form, session_upstream
from support.upstreams import clean_environment

AWAY_SECONDS = 1.0
TIMEOUT = "1.2s"
MONTH_AHEAD = 30 * 86400

LIMIT_SECONDS = 62.0
"""What is promised after a limit without a time."""


SESSION_FORMS: Mapping[str, Form] = {
    "404": Form(404),
    "404, -32001": error_form(404, -32001, "Session not found"),
    "404, plain text": Form(404, "unknown session", "text/plain"),
    "404, detail": Form(404, '{"detail":"Session not found"}'),
    "400": error_form(400, -32000, "Bad Request: No valid session ID provided"),
    "401": Form(401),
    "503": Form(503, "no backend", "text/plain"),
    "200, error": error_form(200, -32001, "Session not found"),
}


def _session(form: Form, name: str, folder: Path, daemon: str) -> Recovery:
    with (
        session_upstream(form) as upstream,
        asking(folder, daemon, UPSTREAM=upstream.url) as asker,
    ):
        see_well(asker)
        calls = upstream.calls
        upstream.forget()
        return asker.recovery(f"session lost: {name}", upstream.calls - calls + 1, asker.answered())


def _killed_thrice(folder: Path, daemon: str) -> Recovery:
    with running_api() as api:
        mortal = MortalCommand(api, folder)
        with _product_of(mortal, folder, daemon) as asker:
            see_well(asker)
            api.clear()
            pids = partial(_pids, folder)
            waiting: list[int] = []
            for _death in range(3):
                waiting += [asker.start() for _call in range(8)]
                time.sleep(AWAY_SECONDS / 4)
                for pid in living(pids()):
                    os.kill(pid, signal.SIGKILL)
            back = asker.answered()
            for number in waiting:
                asker.server.reply(number)
            return asker.recovery("child killed three times", api.calls, back)


def _pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "context7.pids").read_text(encoding="ascii").split()]


def _child_gone(folder: Path, daemon: str) -> Recovery:
    with running_api() as api:
        mortal = MortalCommand(api, folder)
        with _product_of(mortal, folder, daemon) as asker:
            return _gone(mortal, asker, "child gone, and back")


def _url_restarted(folder: Path, daemon: str) -> Recovery:
    with running_api() as api, ExitStack() as stack:
        mortal = MortalHttp(api)
        stack.callback(mortal.close)
        with _product_of(mortal, folder, daemon) as asker:
            return _gone(mortal, asker, "URL restarted")


def _gone(mortal: MortalCommand | MortalHttp, asker: Asker, name: str) -> Recovery:
    see_well(asker)
    mortal.end()
    asker.ask_for(AWAY_SECONDS * 3)
    contacts = mortal.contacts
    mortal.come_back()
    return asker.recovery(name, contacts, asker.answered())


@contextmanager
def _product_of(mortal: MortalCommand | MortalHttp, folder: Path, daemon: str) -> Iterator[Asker]:
    named = {**mortal.variables, "CONTEXT7_FABRIC_DAEMON": daemon}
    with started(product_environment(folder / "home", named)) as server:
        yield Asker(server)


def _black_hole(folder: Path, daemon: str) -> Recovery:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as hole:
        port = hole.getsockname()[1]
        hole.settimeout(0)
        url = f"http://127.0.0.1:{port}/mcp"
        with asking(folder, daemon, UPSTREAM=url, UPSTREAM_TIMEOUT=TIMEOUT) as asker:
            asker.ask_for(AWAY_SECONDS * 3)
            calls = _accepted(hole)
            hole.close()
            with session_upstream(port=port):
                return asker.recovery("black hole", calls, asker.answered())


def _accepted(listener: socket.socket) -> int:
    """Return how many connections came, and close them."""
    count = 0
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return count
        connection.close()
        count += 1


def _slow_start(folder: Path, daemon: str) -> Recovery:
    folder.mkdir()
    gate = folder / "gate"
    os.mkfifo(gate)
    upstream = misbehaving_upstream.command(folder, "--wait")
    with asking(folder / "home", daemon, UPSTREAM=upstream, UPSTREAM_TIMEOUT=TIMEOUT) as asker:
        asker.ask_for(AWAY_SECONDS * 3)
        gate.write_bytes(b"go")
        back = asker.answered()
        starts = misbehaving_upstream.log(folder).count("start")
        return asker.recovery("slow start (calls: starts)", starts, back)


def _half_an_emoji(folder: Path, daemon: str) -> Recovery:
    snippet = f"{misbehaving_upstream.SNIPPET}It waves \ud83d\n"
    with session_upstream() as upstream:
        text = {"type": "text", "text": snippet}
        upstream.answer = lambda _name, _arguments: {"content": [text]}
        with asking(folder, daemon, UPSTREAM=upstream.url) as asker:
            back = asker.answered()
            return asker.recovery("half an emoji", upstream.calls, back)


def _limit(fault: Fault, name: str, folder: Path, daemon: str) -> Recovery:
    with running_api() as api:
        folder.mkdir()
        with _product_of(MortalCommand(api, folder), folder, daemon) as asker:
            see_well(asker)
            api.clear()
            api.fail(fault)
            asker.ask_for(AWAY_SECONDS * 3)
            calls = api.calls
            api.heal()
            return asker.recovery(name, calls, asker.answered(), LIMIT_SECONDS)


def _limit_at_the_door(status: int, folder: Path, daemon: str) -> Recovery:
    with session_upstream() as upstream, asking(folder, daemon, UPSTREAM=upstream.url) as asker:
        see_well(asker)
        calls, upstream.always = upstream.calls, Form(status, "slow down", "text/plain")
        asker.ask_for(AWAY_SECONDS * 3)
        calls, upstream.always = upstream.calls - calls, None
        name = f"limit without a time: HTTP {status}"
        return asker.recovery(name, calls, asker.answered(), LIMIT_SECONDS)


_WRONG_CLOCK = """\
import time
_now = time.time
time.time = lambda: _now() + {seconds}
"""


def _clock_wrong(folder: Path, _daemon: str) -> Recovery:
    """Meet a limit with a clock that is a month ahead, then ask with the right one."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_WRONG_CLOCK.format(seconds=MONTH_AHEAD))
    with session_upstream() as upstream:
        upstream.always = Form(429, "slow down", "text/plain")
        told = {"CONTEXT7_FABRIC_UPSTREAM": upstream.url, "CONTEXT7_FABRIC_DAEMON": "off"}
        environment = product_environment(folder / "home", told)
        wrong = clean_environment({**environment, "PYTHONPATH": str(folder)})
        with started(wrong) as server:
            ahead = Asker(server)
            ahead.ask()
        calls, upstream.always = upstream.calls, None
        with started(environment) as server:
            asker = Asker(server, number=1, first=ahead.first)
            return asker.recovery("limit met while the clock was ahead", calls, asker.answered())


LIMITS = 5
"""Cases that wait for the end of a limit: the first of all."""

Case = Callable[[Path, str], Recovery]


def cases() -> Sequence[Case]:
    """Return all cases; those that wait for a minute come first."""
    limits: list[Case] = [
        partial(_limit, faults.QUOTA_SPENT, "limit without a time: month used up"),
        partial(_limit, faults.RATE_LIMITED, "limit without a time: rate limited"),
        partial(_limit, faults.SPENDING_LIMIT, "limit without a time: spending limit"),
        partial(_limit_at_the_door, 429),
        partial(_limit_at_the_door, 402),
    ]
    sessions: list[Case] = [partial(_session, form, name) for name, form in SESSION_FORMS.items()]
    return [
        *limits,
        *sessions,
        _killed_thrice,
        _child_gone,
        _url_restarted,
        _black_hole,
        _slow_start,
        _half_an_emoji,
        _clock_wrong,
    ]


def recoveries(folder: Path, daemon: str) -> list[Recovery]:
    """Measure all cases; the waits for a limit's end overlap with the others."""
    limits = cases()[:LIMITS]
    with ThreadPoolExecutor(len(limits)) as waiting:
        begun = [
            waiting.submit(case, folder / f"limit-{number}", daemon)
            for number, case in enumerate(limits)
        ]
        others = [
            _measured(case, folder / f"case-{number}", daemon)
            for number, case in enumerate(cases()[LIMITS:])
        ]
        return [*others, *(each.result() for each in begun)]


def _measured(case: Case, folder: Path, daemon: str) -> Recovery:
    if case in (_killed_thrice, _child_gone):
        folder.mkdir()
    return case(folder, daemon)
