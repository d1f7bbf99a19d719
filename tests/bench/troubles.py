"""What goes wrong with upstream in `outage.py`, each under the name that its table shows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from support import faults
from support.context7_api import Api
from support.faults import Fault
from support.mortal import Mortal

SLOW_SECONDS = 0.6
MOVED = ("/bench/docs", "/bench/moved")
NOWHERE = "http://context7.invalid"
"""A name that no resolver knows (RFC 6761)."""

Begin = Callable[[Api, Mortal], None]


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong after a good start.

    `end` puts it right again without a trace; None when that cannot be: the product keeps a rest,
    or a library has moved. Calls under way when all was asked end within `settle` seconds. `waits`:
    callers wait most of the time. `pause` is left between calls, for what one learns behind its
    answer and the next must cope with. `nameless` is for what was wrong from the start: the host of
    upstream or of its API has no name.
    """

    name: str
    begin: Begin
    end: Begin | None = None
    settle: float = 0.2
    waits: bool = False
    pause: float = 0.0
    nameless: Literal["upstream", "api"] | None = None


def _limiting(fault: Fault, name: str) -> Trouble:
    return Trouble(name, partial(_fail, fault))


def _failing(fault: Fault, name: str) -> Trouble:
    return Trouble(name, partial(_fail, fault), _heal)


def _dawdling(fault: Fault, name: str, seconds: float) -> Trouble:
    return Trouble(name, partial(_fail, fault), settle=seconds + 0.5, waits=True)


def _fail(fault: Fault, api: Api, _upstream: Mortal) -> None:
    api.fail(fault)


def _heal(api: Api, _upstream: Mortal) -> None:
    api.heal()


def _missing(api: Api, _upstream: Mortal) -> None:
    api.fail(faults.LIBRARY_MISSING, on="docs")
    api.fail(faults.NO_LIBRARIES, on="search")


def _move(api: Api, _upstream: Mortal) -> None:
    old, new = MOVED
    api.redirects[old] = new
    message = f"Library {old} has been redirected to this library: {new}."
    api.fail(faults.problem(301, "library_redirected", message), on="search")


def _nothing(_api: Api, _upstream: Mortal) -> None:
    """Leave all as it is: it never was right."""


def _end(_api: Api, upstream: Mortal) -> None:
    upstream.end()


def _restart(_api: Api, upstream: Mortal) -> None:
    upstream.end()
    upstream.come_back()


def troubles(timeout: float) -> tuple[Trouble, ...]:
    """Return all troubles; `timeout` is what the product allows an upstream call."""
    return (
        _limiting(faults.RATE_LIMITED, "429"),
        _limiting(faults.rate_limited(17), "429, Retry-After"),
        _limiting(faults.QUOTA_SPENT, "429, month used up"),
        _failing(faults.INVALID_KEY, "401"),
        Trouble("404", _missing, _heal),
        _failing(faults.SERVER_ERROR, "500"),
        _failing(faults.SEARCH_FAILED, "503"),
        _failing(faults.NOT_FINALIZED, "202"),
        Trouble("301", _move, waits=True, pause=0.2),
        _dawdling(faults.HANGING, "hangs", timeout),
        _dawdling(faults.slow(SLOW_SECONDS), "slow", SLOW_SECONDS),
        _failing(faults.HTML_PAGE, "HTML page"),
        _failing(faults.BINARY, "binary"),
        _failing(faults.EMPTY, "empty body"),
        _failing(faults.CLOSED, "closed"),
        _failing(faults.CLOSED_HALFWAY, "closed halfway"),
        Trouble("upstream: no such host", _nothing, nameless="upstream"),
        Trouble("its API: no such host", _nothing, nameless="api"),
        Trouble("killed", _end, settle=1.0),
        Trouble("killed, back at once", _restart, settle=1.5),
    )
