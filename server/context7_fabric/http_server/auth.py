"""From the headers of a request to who sends it: the token that lets in, the key for Context7."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from context7_fabric.errors import AccessDenied, UnusableKey
from context7_fabric.http_server.token_file import TOKEN_PREFIX, TokenFile
from context7_fabric.settings.values import bare_key

KEY_HEADERS: Final = (
    "x-context7-api-key",
    "context7-api-key",
    "x-api-key",
    "context7_api_key",
    "x_api_key",
)
"""Where Context7's own server looks for a key behind Authorization; the first that is not empty."""

_BLANKS = " \t"
_BEARER = re.compile(r"bearer(?:[ \t]+(.*))?", re.IGNORECASE | re.DOTALL)
_OTHER_SCHEME = re.compile(
    r"(?:basic|digest|dpop|hoba|negotiate|ntlm|oauth|token)[ \t]", re.IGNORECASE
)
_HOW = "send `Authorization: Bearer TOKEN`; `context7-fabric token add NAME` gives one"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request: the name of the token, and the Context7 key, where there are any."""

    name: str | None = None
    api_key: str | None = field(default=None, repr=False)


class Authenticator:
    """Lets in whoever has a token of the file; everybody, where there is no file.

    Without a file Authorization may bear the Context7 key, as with Context7's own server. With
    one it bears our token and nothing else, and a key comes in the other headers only.
    """

    def __init__(self, tokens: TokenFile | None) -> None:
        """Heed `tokens`; None is for a server that only this machine reaches."""
        self._tokens = tokens

    @property
    def known(self) -> object:
        """What stays the same object as long as the same people are let in; None: everybody is."""
        return None if self._tokens is None else self._tokens.entries()

    async def refresh(self) -> None:
        """Learn who is let in by now; a look a second is enough."""
        if self._tokens is not None:
            await self._tokens.refresh()

    async def visitor(self, headers: Mapping[str, str]) -> Identity:
        """Return who sends a request with `headers`, whose names are in lower case.

        Raises:
            NotLetIn: There is no token, or nobody has it.
            UnusableKey: The Context7 key cannot be one.
        """
        await self.refresh()
        return self.known_visitor(headers)

    def known_visitor(self, headers: Mapping[str, str]) -> Identity:
        """Return the same by who was let in when that was last looked at; raises the same."""
        authorization = headers.get("authorization", "").strip(_BLANKS)
        others = (bare_key(headers.get(name, "")) for name in KEY_HEADERS)
        if self._tokens is None:
            return Identity(None, _key((_key_in(authorization), *others)))
        name = _owner(self._tokens, authorization)
        return Identity(name, _key(others))


def _key_in(authorization: str) -> str:
    """Return the key in an Authorization; another scheme than Bearer, such as Basic, has none."""
    return "" if _OTHER_SCHEME.match(authorization) else bare_key(authorization)


def _owner(tokens: TokenFile, authorization: str) -> str:
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None or not bearer[1]:
        raise AccessDenied(f"this server is for those who have a token: {_HOW}")
    name = tokens.owner_of(bearer[1])
    if name is None:
        raise AccessDenied(f"nobody here has this token: {_HOW}")
    return name


def _key(given: Iterable[str]) -> str | None:
    """Return the first of the headers' values that is not empty.

    Raises:
        UnusableKey: It is no key, but would be passed on as one.
    """
    key = next(filter(None, given), None)
    if key is None:
        return None
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UnusableKey("the Context7 key holds blanks or odd characters: send the bare key")
    if key.startswith(TOKEN_PREFIX):
        raise UnusableKey("a token for this server came as the Context7 key: it is not passed on")
    return key
