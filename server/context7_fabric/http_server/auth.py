"""Identity of a request, from its headers: access token, Context7 key; and the rate of a token."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from context7_fabric.errors import AccessDenied, RateLimited, UnusableKey
from context7_fabric.http_server.token_file import TOKEN_PREFIX, TokenFile
from context7_fabric.models import Clock
from context7_fabric.settings.values import bare_key

KEY_HEADERS: Final = (
    "x-context7-api-key",
    "context7-api-key",
    "x-api-key",
    "context7_api_key",
    "x_api_key",
)
"""Headers besides Authorization that Context7's own server reads a key from; the first that is not
empty counts."""

_BEARER = re.compile(r"bearer(?:[ \t]+(.*))?", re.IGNORECASE | re.DOTALL)
_OTHER_SCHEME = re.compile(
    r"(?:basic|digest|dpop|hoba|negotiate|ntlm|oauth|token)[ \t]", re.IGNORECASE
)
_SEND_TOKEN = "send `Authorization: Bearer TOKEN`; `context7-fabric token add NAME` makes a token"  # noqa: S105  # no token

MOST_NAMES = 2000
"""Token buckets that are kept: twice the greatest number of tokens."""

_LEAST_BURST = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Sender of a request: the name of its token and its Context7 key, None where it has none."""

    name: str | None = None
    api_key: str | None = field(default=None, repr=False)


class Authenticator:
    """Checks the access token of a request; without a token file every request is accepted.

    Without a file, Authorization may hold the Context7 key, as with Context7's own server. With a
    file it holds our token only, and a key comes in one of the other headers.
    """

    def __init__(self, tokens: TokenFile | None) -> None:
        """Accept `tokens`; None is for a server that only this machine reaches."""
        self._tokens = tokens

    @property
    def accepted(self) -> object:
        """Object that is replaced whenever the accepted tokens change; None accepts everything."""
        return None if self._tokens is None else self._tokens.entries()

    async def refresh(self) -> None:
        """Read the token file again, at most once a second."""
        if self._tokens is not None:
            await self._tokens.refresh()

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the sender of a request with `headers`, whose names are in lower case.

        Raises:
            AccessDenied: The token is missing or unknown.
            UnusableKey: The Context7 key is malformed.
        """
        await self.refresh()
        return self.identify_now(headers)

    def identify_now(self, headers: Mapping[str, str]) -> Identity:
        """Do the same as `identify` without reading the token file again."""
        authorization = headers.get("authorization", "").strip(" \t")
        others = (bare_key(headers.get(name, "")) for name in KEY_HEADERS)
        if self._tokens is None:
            return Identity(None, _first_key((_key_in(authorization), *others)))
        name = _token_name(self._tokens, authorization)
        return Identity(name, _first_key(others))


def _key_in(authorization: str) -> str:
    """Return the key in Authorization; schemes other than Bearer, such as Basic, hold none."""
    return "" if _OTHER_SCHEME.match(authorization) else bare_key(authorization)


def _token_name(tokens: TokenFile, authorization: str) -> str:
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None or not bearer[1]:
        raise AccessDenied(f"an access token is required: {_SEND_TOKEN}")
    name = tokens.owner_of(bearer[1])
    if name is None:
        raise AccessDenied(f"unknown access token: {_SEND_TOKEN}")
    return name


def _first_key(values: Iterable[str]) -> str | None:
    """Return the first of `values` that is not empty.

    Raises:
        UnusableKey: It must not be passed on as a key.
    """
    key = next(filter(None, values), None)
    if key is None:
        return None
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UnusableKey("the Context7 key holds blanks or invalid characters: send it alone")
    if key.startswith(TOKEN_PREFIX):
        raise UnusableKey(
            "a token of this server was sent as the Context7 key: it is not passed on"
        )
    return key


def burst_of(per_minute: int) -> int:
    """Return the number of requests that may come at once: a tenth of those of a minute.

    A client needs at least ten to start with; a minute's requests are the upper bound.
    """
    return min(per_minute, max(_LEAST_BURST, per_minute // 10))


class RateLimits:
    """Token bucket for each name. Bounded: the names used longest ago are dropped."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        """Allow `per_minute` requests, at least 1; `clock` gives seconds and never goes back."""
        self._burst = burst_of(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count one request of `name`.

        Raises:
            RateLimited: No request is left; a refused one does not count.
        """
        now = self._clock()
        left, then = self._buckets.pop(name, (float(self._burst), now))
        available = min(self._burst, left + (now - then) * self._per_second)
        if available < 1:
            self._buckets[name] = left, then
            raise RateLimited((1 - available) / self._per_second)
        self._buckets[name] = available - 1, now
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
