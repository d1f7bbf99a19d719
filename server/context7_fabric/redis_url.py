"""Parser of Redis URLs: address, login and TLS. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from context7_fabric.durations import parse_duration

FORMS = (
    "redis://[user:password@]host[:port][/db], rediss://…, unix:///path[?db=…]"
    " or redis+sentinel://host[:port],…/service[/db]"
)
FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""Query parameters for TLS; each names a file."""

SENTINEL_LOGIN = frozenset({"sentinel_username", "sentinel_password"})
"""Further query parameters of a URL of Sentinels."""

_PORT = 6379
_SENTINEL_PORT = 26379
_SENTINEL = "+sentinel"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Sentinels that name the current master of `service`, and the login to them."""

    places: tuple[tuple[str, int], ...]
    service: str
    username: str | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Address of a server or a cluster's node, or the `path` of a socket on this machine.

    With `sentinels` it is the server that they name; host and port mean nothing then. `timeout` is
    the longest wait for a reply in seconds, None where the URL names none.
    """

    host: str
    port: int
    path: str
    db: int
    username: str | None
    password: str | None = field(repr=False)
    ssl: bool
    files: Mapping[str, str]
    timeout: float | None = None
    sentinels: SentinelAddress | None = None

    def arguments(self, *, cluster: bool) -> dict[str, Any]:
        """Return the keyword arguments of redis-py's clients."""
        place: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.sentinels:
            place = {}
        elif self.path:
            place = {"path" if cluster else "unix_socket_path": self.path}
        login = {"username": self.username, "password": self.password}
        chosen = {"db": self.db} if self.db else {}  # a cluster client rejects even 0
        return place | login | chosen | ({"ssl": True, **self.files} if self.ssl else {})


def parse(url: str, db: int | None, password: str | None, *, ssl: bool) -> RedisAddress:
    """Return the address that `url` names; `db` and `password`, where given, override it.

    Raises:
        ValueError: It names none. The text is one line without secrets.
    """
    if _SENTINEL in url.partition("://")[0].lower():
        return _parse_sentinels(url, db, password, ssl=ssl)
    parts, port = _split(url)
    local = parts.scheme == "unix"
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    named = options.pop("db", "" if local else parts.path.strip("/"))
    timeout = _seconds(options.pop("timeout", None))
    if unknown := options.keys() - FILES:
        raise ValueError(
            f"a Redis URL takes db, timeout, {', '.join(sorted(FILES))} behind its ?"
            f", not {', '.join(sorted(unknown))}"
        )
    tls = ssl or parts.scheme == "rediss"
    if (local and tls) or (options and not tls):
        raise ValueError("TLS needs a Redis URL that begins with rediss://")
    return RedisAddress(
        host=parts.hostname or "localhost",
        port=port or _PORT,
        path=unquote(parts.path) if local else "",
        db=_number(named) if db is None else db,
        username=_unquoted(parts.username),
        password=password or _unquoted(parts.password),
        ssl=tls,
        files=options,
        timeout=timeout,
    )


def _parse_sentinels(url: str, db: int | None, password: str | None, *, ssl: bool) -> RedisAddress:
    """Return the address in a URL of Sentinels; its login and TLS are those of the servers."""
    scheme, _, rest = url.partition("://")
    places, slash, path = rest.partition("/")
    login, _, hosts = places.rpartition("@")
    service, _, named = path.partition("?")[0].partition("/")
    if not (hosts and slash and service):
        raise _no_address()
    _, question, query = path.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    own = {name: options.pop(name, None) for name in SENTINEL_LOGIN}
    kind = scheme.lower().removesuffix(_SENTINEL)
    plain = f"{kind}://{login}@/{named}{question}{urlencode(options)}"
    found = [_sentinel(host) for host in hosts.split(",")]
    sentinels = SentinelAddress(
        tuple(found), unquote(service), own["sentinel_username"], own["sentinel_password"]
    )
    return replace(parse(plain, db, password, ssl=ssl), sentinels=sentinels)


def _sentinel(place: str) -> tuple[str, int]:
    parts, port = _split(f"redis://{place}")
    if not parts.hostname or "@" in place:
        raise _no_address()
    return parts.hostname, port or _SENTINEL_PORT


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_address() from None  # urllib's text shows the URL, which may hold a password
    if parts.scheme not in {"redis", "rediss", "unix"} or (
        parts.scheme == "unix" and not parts.path
    ):
        raise _no_address()
    return parts, port


def _no_address() -> ValueError:
    return ValueError(f"a Redis URL looks like {FORMS}")


def _number(db: str) -> int:
    if db and not (db.isascii() and db.isdigit()):
        raise ValueError("the database of a Redis URL is a number, such as redis://localhost/1")
    return int(db or 0)


def _seconds(timeout: str | None) -> float | None:
    seconds = None if timeout is None else parse_duration(timeout)
    if timeout is not None and not seconds:
        raise ValueError(
            "the timeout of a Redis URL is longer than 0 s, such as redis://localhost?timeout=5s"
        )
    return seconds


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None
