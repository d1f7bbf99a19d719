"""What the client takes from its arguments and the environment, checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from context7_fabric.errors import SettingError
from context7_fabric.services.settings import DAY
from context7_fabric.settings import Settings, read_settings

TTL_DAYS = "LIBRARY_CACHE_TTL_DAYS"
SERVICE_URL = "RAG_SERVICE_URL"
DEFAULT_TTL = 30 * DAY

_DAYS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The server's settings, and how many seconds after its check an id may be used."""

    server: Settings
    ttl: float


def read_client_settings(environ: Mapping[str, str], rag_url: str | None) -> ClientSettings:
    """Build the settings; the environment names a service where `rag_url` does not.

    Raises:
        SettingError: A variable holds something that cannot be used, or a service is named.
    """
    refuse_service("rag_url", rag_url)
    refuse_service(SERVICE_URL, environ.get(SERVICE_URL))
    server = read_settings(environ)
    ttl = server.freshness.library_ttl
    return ClientSettings(server, _ttl(environ) if ttl is None else ttl)


def refuse_service(name: str, url: str | None) -> None:
    """Raise `SettingError` when `url` names a service, for there is no client of one."""
    if url and url.strip():
        expected = "a service that can be asked: leave it out to use this machine's registry"
        raise SettingError(name, url, expected)


def _ttl(environ: Mapping[str, str]) -> float:
    text = environ.get(TTL_DAYS, "").strip()
    if not text:
        return DEFAULT_TTL
    if not _DAYS.fullmatch(text):
        raise SettingError(TTL_DAYS, text, "a whole number of days")
    return int(text) * DAY
