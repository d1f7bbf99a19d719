"""Addresses that a source may be read from."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from context7_fabric.docsets.sources.addresses import (
    check_forge,
    checked_address,
    is_private,
    is_public,
    proxy_of,
)
from context7_fabric.errors import SourceRefused, SourceUnavailable
from context7_fabric.settings.values import DocsetSettings

PRIVATE = DocsetSettings(private_addresses=True)


@pytest.mark.parametrize("host", ["github.com", "GitHub.com", "git.sr.ht", "git.example.org"])
def test_check_forge_lets_known_and_named_hosts_pass(host: str) -> None:
    check_forge(host, "git+x", DocsetSettings(frozenset({"git.example.org"})))


@pytest.mark.parametrize("host", ["github.com.evil.org", "evilgithub.com", "", "localhost"])
def test_check_forge_refuses_others_and_names_the_setting(host: str) -> None:
    with pytest.raises(SourceRefused, match="CONTEXT7_FABRIC_DOCSETS_HOSTS"):
        check_forge(host, "git+x", DocsetSettings())


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("140.82.121.4", True, False),
        ("2606:50c0:8000::153", True, False),
        ("::ffff:140.82.121.4", True, False),
        ("64:ff9b::8c52:7904", True, False),
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("10.0.0.1", False, True),
        ("172.16.5.4", False, True),
        ("192.168.1.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd12::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::7f00:1", False, True),
        ("2002:7f00:1::", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),  # noqa: S104  # an address that is refused
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
    ],
)
def test_addresses_are_public_private_or_neither(
    address: str, *, public: bool, private: bool
) -> None:
    assert is_public(ip_address(address)) is public
    assert is_private(ip_address(address)) is private


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/llms.txt",
        "https://localhost/llms.txt",
        "https://2130706433/llms.txt",
        "https://0x7f.1/llms.txt",
        "https://017700000001/llms.txt",
        "https://[::1]/llms.txt",
        "https://[::ffff:127.0.0.1]/llms.txt",
        "https://10.0.0.1/llms.txt",
        "https://169.254.169.254/latest/meta-data/llms.txt",
        "https://0/llms.txt",
        "ftp://140.82.121.4/llms.txt",
        "http://140.82.121.4/llms.txt",
        "https:///llms.txt",
        f"https://{'a' * 70}.org/llms.txt",
    ],
)
async def test_checked_address_refuses_what_is_not_public(url: str) -> None:
    with pytest.raises(SourceRefused) as caught:
        await checked_address(url, url, DocsetSettings())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/llms.txt",
        "http://2130706433/llms.txt",
        "https://169.254.169.254/llms.txt",
        "https://[fe80::1]/llms.txt",
    ],
)
async def test_checked_address_of_a_redirect_is_never_private(url: str) -> None:
    with pytest.raises(SourceRefused):
        await checked_address(url, url, PRIVATE, named=False)


async def test_checked_address_with_the_setting_allows_ones_own_network() -> None:
    checked = await checked_address("https://10.1.2.3:8443/r", "x", PRIVATE)
    assert (checked.host, checked.port, checked.addresses) == ("10.1.2.3", 8443, ("10.1.2.3",))
    local = await checked_address("http://127.0.0.1:80/r", "x", PRIVATE)
    assert local.addresses == ("127.0.0.1",)
    for url in ("http://10.1.2.3/r", "https://169.254.169.254/r", "https://[fe80::1]/r"):
        with pytest.raises(SourceRefused):
            await checked_address(url, "x", PRIVATE)


async def test_checked_address_of_an_unknown_name_is_unavailable_or_left_to_the_proxy() -> None:
    url = "https://name.invalid/llms.txt"
    with pytest.raises(SourceUnavailable, match=r"'name\.invalid' cannot be resolved"):
        await checked_address(url, url, DocsetSettings())
    proxied = DocsetSettings(environment={"HTTPS_PROXY": "http://proxy:3128"})
    checked = await checked_address(url, url, proxied)
    assert (checked.addresses, checked.proxy) == ((), "http://proxy:3128")


async def test_checked_address_behind_a_proxy_is_not_private() -> None:
    proxied = DocsetSettings(environment={"https_proxy": "http://proxy:3128"})
    with pytest.raises(SourceRefused):
        await checked_address("https://127.0.0.1/llms.txt", "x", proxied)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p"}, "http://p"),
        ({"https_proxy": "http://p"}, "http://p"),
        ({"ALL_PROXY": "http://p"}, "http://p"),
        ({"HTTP_PROXY": "http://p"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://p", "no_proxy": "*"}, None),
        ({"HTTPS_PROXY": "http://p", "no_proxy": "other.org"}, "http://p"),
    ],
)
def test_proxy_of_follows_the_usual_variables(
    environment: dict[str, str], proxy: str | None
) -> None:
    assert proxy_of("https://docs.example.org/llms.txt", environment) == proxy
