"""What the client takes from its arguments and the environment, checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.values import DAY

TTL_DAYS = "LIBRARY_CACHE_TTL_DAYS"
SERVICE_URL = "RAG_SERVICE_URL"
TOKEN = "CONTEXT7_FABRIC_TOKEN"  # noqa: S105  # the name of a variable
DEFAULT_TTL = 30 * DAY

_DAYS = re.compile(r"[0-9]{1,6}")
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """A shared server: where it is, without a slash at the end, and the token that it wants."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """Where it is, free of credentials."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The server's settings, and how many seconds after its check an id may be used.

    `service` is asked instead of this machine's registry, if there is one.
    """

    server: Settings
    ttl: float
    service: RemoteServer | None = None


def read_client_settings(environ: Mapping[str, str], rag_url: str | None) -> ClientSettings:
    """Build the settings; the environment names a service where `rag_url` does not.

    Raises:
        SettingError: A variable or the URL holds something that cannot be used.
    """
    given = (rag_url or "").strip()
    named = ("rag_url", given) if given else (SERVICE_URL, environ.get(SERVICE_URL, ""))
    server = read_settings(environ)
    ttl = server.freshness.library_ttl
    ttl = _ttl(environ) if ttl is None else ttl
    return ClientSettings(server, ttl, _service(*named, environ))


def _service(name: str, text: str, environ: Mapping[str, str]) -> RemoteServer | None:
    if not text.strip():
        return None
    url = text.strip().rstrip("/")
    if not _is_address(url):
        shown = "…" if "@" in url else text
        raise SettingError(name, shown, "an http(s) URL such as http://127.0.0.1:3000")
    token = environ.get(TOKEN, "").strip() or None
    if token is not None and not _TOKEN.fullmatch(token):
        raise SettingError(TOKEN, "…", "a token: it holds blanks or odd characters")
    if token is not None and "@" in url:
        raise SettingError(name, "…", f"without a password, as it has to be beside {TOKEN}")
    return RemoteServer(url, token)


def _is_address(url: str) -> bool:
    """Tell whether `url` is one of http or https to which a path can be added."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    whole = bool(parts.hostname) and not (parts.query or parts.fragment)
    return parts.scheme in ("http", "https") and whole and url.isprintable() and " " not in url


def _ttl(environ: Mapping[str, str]) -> float:
    text = environ.get(TTL_DAYS, "").strip()
    if not text:
        return DEFAULT_TTL
    if not _DAYS.fullmatch(text):
        raise SettingError(TTL_DAYS, text, "a whole number of days")
    return int(text) * DAY
