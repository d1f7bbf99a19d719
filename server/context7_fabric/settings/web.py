"""Whom the HTTP server serves, and where."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

from context7_fabric.settings.reader import SettingsReader, unusable
from context7_fabric.settings.values import WebSettings

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")


def read_web(reader: SettingsReader, home: Path) -> WebSettings:
    """Read what is said of the HTTP server; tokens are in `home` where nothing else is said."""
    default = WebSettings()
    named = reader.path("TOKENS_FILE")
    certificate, key = reader.path("TLS_CERT"), reader.path("TLS_KEY")
    if (certificate is None) != (key is None):
        missing = "TLS_KEY" if key is None else "TLS_CERT"
        raise unusable(missing, "", "set, as its counterpart is")
    return WebSettings(
        host=_host(reader.text("HOST") or default.host),
        tokens_file=(named or home / "tokens").absolute(),
        wants_tokens=named is not None,
        hosts=_names(reader.text("HOSTS")),
        origins=_origins(reader.text("ORIGINS")),
        rate=reader.whole("RATE") or default.rate,
        certificate=certificate,
        certificate_key=key,
        proxies=_networks(reader.text("PROXIES")),
    )


def _host(text: str) -> str:
    if not is_host(text):
        raise unusable("HOST", text, "an address or the name of a host")
    return text


def is_host(text: str) -> bool:
    """Tell whether `text` is an IP address or may be a host's name."""
    try:
        ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def _names(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    names = frozenset(word.strip().strip("[]").lower() for word in text.split(",")) - {""}
    for name in names:
        if not is_host(name):
            raise unusable("HOSTS", name, "the name of a host")
    return names


def _origins(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    origins = frozenset(word.strip().rstrip("/").lower() for word in text.split(",")) - {""}
    for origin in origins:
        scheme, _, rest = origin.partition("://")
        if not scheme or not rest or set(rest) & set("/?#@*\\ "):
            raise unusable("ORIGINS", origin, "an origin such as https://app.example or its port")
    return origins


def _networks(text: str | None) -> tuple[str, ...]:
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    for word in words:
        try:
            ip_network(word, strict=False)
        except ValueError as error:
            raise unusable("PROXIES", word, f"an address or a network ({error})") from error
    return tuple(words)
