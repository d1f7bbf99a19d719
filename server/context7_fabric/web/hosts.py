"""Under which names a server answers: a page from elsewhere must not reach it by another's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from context7_fabric.web.refusals import Refusal

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@,\s]+?))\.?(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that are ours, in lower case and without a port; None is any."""

    allowed: frozenset[str] | None

    def refusal(self, host: str | None, origin: str | None) -> Refusal | None:
        """Return the answer to a request with these headers, or None when it may go on.

        An Origin must name the host and port that Host names: pages of any other are strangers.
        """
        if self.allowed is not None and _name_in(host) not in self.allowed:
            return Refusal(421, f"this server does not answer for the host {(host or '')[:200]!r}")
        if origin is not None and not _same(origin, host):
            return Refusal(403, "pages from elsewhere may not use this server (Origin)")
        return None


def _name_in(host: str | None) -> str | None:
    found = _HOST.fullmatch((host or "").lower())
    return None if found is None else found[1] or found[2]


def _same(origin: str, host: str | None) -> bool:
    found = _ORIGIN.fullmatch(origin.lower())
    return found is not None and host is not None and found[1] == host.lower()
