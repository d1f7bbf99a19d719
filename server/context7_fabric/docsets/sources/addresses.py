"""Addresses that a source may be read from: hosts, schemes, public and private networks, proxies.

A name is resolved once, every address of it is checked, and the connection goes to one that was
checked: a name that resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # on every system

import anyio

from context7_fabric.errors import SourceRefused, SourceUnavailable
from context7_fabric.settings.values import DocsetSettings

FORGES = frozenset({"github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "git.sr.ht"})
"""Hosts of repositories that need no setting."""

HOSTS_SETTING = "CONTEXT7_FABRIC_DOCSETS_HOSTS"
PRIVATE_SETTING = "CONTEXT7_FABRIC_DOCSETS_PRIVATE_ADDRESSES"

RESOLVE_SECONDS = 10.0
"""Seconds for a name to be resolved."""

_PORTS = {"https": 443, "http": 80}
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 ones (RFC 6052)."""

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class CheckedAddress:
    """Address that a connection may be made to.

    `addresses` are those of the host, all of them checked; empty if the `proxy` resolves the name.
    """

    host: str
    port: int
    addresses: tuple[str, ...]
    proxy: str | None = None


def check_forge(host: str, source: str, settings: DocsetSettings) -> None:
    """Check that repositories may come from a host.

    Raises:
        SourceRefused: It is neither a well-known forge nor one that the settings name.
    """
    if host.lower() not in FORGES | settings.hosts:
        reason = f"{host!r} is not one of the known forges"
        raise SourceRefused(source, reason, f"name it in {HOSTS_SETTING} if you trust it")


async def checked_address(
    url: str, source: str, settings: DocsetSettings, *, named: bool = True
) -> CheckedAddress:
    """Resolve the host of an address and check where it leads.

    With `named` the user named the host, and the setting for private addresses counts; it never
    does for the target of a redirect.

    Raises:
        SourceRefused: The scheme is not https, or an address of the host is not public.
        SourceUnavailable: The name cannot be resolved.
    """
    parts = urlsplit(url)
    host, port = _host_and_port(parts, source)
    proxy = proxy_of(url, settings.environment)
    found = await _resolved(host, port, source, has_proxy=proxy is not None)
    is_private_allowed = named and settings.private_addresses
    for each in found:
        _check_address(host, each, source, allowed=is_private_allowed)
    is_local = is_private_allowed and bool(found) and all(each.is_loopback for each in found)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise SourceRefused(source, f"{parts.scheme!r} is not allowed", "give an https address")
    pinned = () if proxy else tuple(str(each) for each in found)
    return CheckedAddress(host, port, pinned, proxy)


def _host_and_port(parts: SplitResult, source: str) -> tuple[str, int]:
    try:
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        host.encode("idna" if "%" not in host else "ascii")
    except ValueError as error:  # a name that cannot be one
        raise SourceRefused(source, "the address cannot be read", "correct it") from error
    if not host:
        raise SourceRefused(source, "the address names no host", "correct it")
    return host, port


async def _resolved(host: str, port: int, source: str, *, has_proxy: bool) -> list[IpAddress]:
    """Return the addresses of a host; none if only the proxy can resolve it."""
    try:
        with anyio.fail_after(RESOLVE_SECONDS):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        if has_proxy:
            return []
        raise SourceUnavailable(
            source, f"the name {host!r} cannot be resolved", "check the name and the network"
        ) from error
    return [ip_address(each[4][0]) for each in dict.fromkeys(found)]


def _check_address(host: str, address: IpAddress, source: str, *, allowed: bool) -> None:
    if is_public(address) or (allowed and is_private(address)):
        return
    shown = f"{host!r}" if host == str(address) else f"{host!r} ({address})"
    remedy = "give a public address"
    if is_private(address):
        remedy = f"{PRIVATE_SETTING}=on allows a host of your own network"
    raise SourceRefused(source, f"{shown} is not a public address", remedy)


def is_public(address: IpAddress) -> bool:
    """Tell whether an address, or the IPv4 one that it stands for, is one of the internet."""
    inner = _embedded(address)
    if inner is not None and not is_public(inner):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return inner is not None or (address.is_global and not special)


def is_private(address: IpAddress) -> bool:
    """Tell whether an address may be a host of the user's own network.

    Link-local ones are not: machines in a cloud serve their credentials there.
    """
    inner = _embedded(address) or address
    special = inner.is_link_local or inner.is_multicast or inner.is_unspecified
    return not inner.is_global and not special and (inner.is_loopback or not inner.is_reserved)


def _embedded(address: IpAddress) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def proxy_of(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for an address, None for a direct connection."""
    parts = urlsplit(url)
    low = {name.lower(): text for name, text in environment.items()}
    proxy = low.get(f"{parts.scheme}_proxy") or low.get("all_proxy")
    exempt = proxy_bypass_environment(parts.netloc, {"no": low.get("no_proxy", "")})
    return None if exempt else proxy
