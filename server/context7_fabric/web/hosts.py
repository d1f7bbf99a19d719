"""Names under which a server answers, and the origins of the pages that may use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from context7_fabric.web.refusals import Refusal

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@,\s]+?))\.?(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_METHODS: Final = "GET, POST, OPTIONS, DELETE"
_HEADERS: Final = (
    "Content-Type, Accept, Authorization, Last-Event-ID, MCP-Session-Id, MCP-Protocol-Version,"
    " Mcp-Method, Mcp-Name, X-Context7-API-Key, Context7-API-Key, X-API-Key"
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that are ours, in lower case and without a port; None is any.

    `origins` are those of the pages that may use the server, None where those of this machine may.
    """

    allowed: frozenset[str] | None
    origins: frozenset[str] | None = None

    def refusal(self, host: str | None, origin: str | None) -> Refusal | None:
        """Return the answer to a request with these headers, or None when it may go on.

        An Origin is allowed, or names the host and port that Host names.
        """
        if self.allowed is not None and _name_in(host) not in self.allowed:
            return Refusal(421, f"this server does not answer for the host {(host or '')[:200]!r}")
        if origin is not None and not (is_own(origin, host) or self._is_allowed(origin.lower())):
            told = (
                f"pages of {origin[:200]!r} may not use this server: list the origin in"
                " CONTEXT7_FABRIC_ORIGINS to allow it (Origin)"
            )
            return Refusal(403, told)
        return None

    def _is_allowed(self, origin: str) -> bool:
        if self.origins is not None:
            return origin in self.origins
        found = _ORIGIN.fullmatch(origin)
        return found is not None and _name_in(found[1]) in _LOOPBACK


def shared_with(origin: str) -> dict[str, str]:
    """Return the headers by which a browser lets the pages of `origin` read an answer (CORS)."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After, MCP-Session-Id",
        "Vary": "Origin",
    }


def preflight(origin: str) -> dict[str, str]:
    """Return the answer's headers to a browser that asks what pages of `origin` may send."""
    return shared_with(origin) | {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }


def _name_in(host: str | None) -> str | None:
    found = _HOST.fullmatch((host or "").lower())
    return None if found is None else found[1] or found[2]


def is_own(origin: str, host: str | None) -> bool:
    """Tell whether a page of `origin` comes from the server that `host` names."""
    found = _ORIGIN.fullmatch(origin.lower())
    return found is not None and host is not None and found[1] == host.lower()
