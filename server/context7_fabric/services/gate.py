"""One upstream with what counts and restrains its calls, put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from context7_fabric.answers.cache import Line
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.call_gate import Turnstile
from context7_fabric.upstream.circuit_breaker import Guard
from context7_fabric.upstream.client import McpUpstream
from context7_fabric.upstream.quota import Meter

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Gate:
    """An upstream, the meter and the guard of its calls, and how it is with its connection."""

    upstream: Upstream
    meter: Meter
    turnstile: Turnstile
    line: Line


def open_gate(
    fabric: Fabric, clock: Clock, meter: Meter, credential: str, upstream: Upstream
) -> Gate:
    """Return the gate to `upstream`; limits of `credential` are shared through `fabric`."""
    turnstile = Turnstile(fabric, clock, Guard(clock), meter, credential)
    connecting = partial(_connecting_for, upstream)
    return Gate(upstream, meter, turnstile, Line(connecting, turnstile.may_refresh))


def credential_key(principal: str, credential: str, origin: str) -> str:
    """Return the name of one credential at one Context7.

    A principal that has a name keeps it when its key changes; `credential` is a fingerprint.
    """
    where = sha256(f"{credential} {origin}".encode()).hexdigest()[:_DIGITS]
    return f"{principal}:{where}"


def _connecting_for(upstream: Upstream) -> float:
    return upstream.connecting_for if isinstance(upstream, McpUpstream) else 0.0
