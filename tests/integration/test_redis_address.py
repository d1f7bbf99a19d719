"""Redis URLs: the accepted forms, and errors that show no secret."""

from __future__ import annotations

import pytest

from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.redis_url import parse

PLAIN = {"host": "localhost", "port": 6379, "username": None, "password": None}
SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("redis://", {}),
        ("redis://cache:7000/3", {"host": "cache", "port": 7000, "db": 3}),
        ("redis://cache?db=4", {"host": "cache", "db": 4}),
        ("redis://[::1]:7000", {"host": "::1", "port": 7000}),
        ("redis://:p%40ss@cache", {"host": "cache", "password": "p@ss"}),
        ("redis://me:p@cache", {"host": "cache", "username": "me", "password": "p"}),
        ("rediss://cache", {"host": "cache", "ssl": True}),
        (
            "rediss://cache?ssl_ca_certs=/etc/my%20ca.pem",
            {"host": "cache", "ssl": True, "ssl_ca_certs": "/etc/my ca.pem"},
        ),
    ],
)
def test_a_url_says_where_and_how(url: str, arguments: dict[str, object]) -> None:
    assert parse(url, None, None, ssl=False).arguments(cluster=False) == PLAIN | arguments


def test_a_path_takes_the_place_of_host_and_port() -> None:
    address = parse("unix://:p@/run/my%20redis.sock?db=1", None, None, ssl=False)
    login = {"db": 1, "username": None, "password": "p"}
    path = "/run/my redis.sock"
    assert address.arguments(cluster=False) == {"unix_socket_path": path} | login
    assert address.arguments(cluster=True) == {"path": path} | login


@pytest.mark.parametrize(
    "url",
    ["redis://cache?timeout=90s", "rediss://a?timeout=1.5m", "redis+sentinel://a/b?timeout=90s"],
)
def test_a_url_with_a_timeout_names_its_seconds_and_nothing_to_redis_py(url: str) -> None:
    address = parse(url, None, None, ssl=False)
    assert address.timeout == 90.0
    assert "timeout" not in address.arguments(cluster=False)


def test_what_is_given_apart_overrides_the_url() -> None:
    arguments = parse("redis://:old@cache/1", 0, "new", ssl=True).arguments(cluster=False)
    assert arguments == PLAIN | {"host": "cache", "password": "new", "ssl": True}


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@cache",
        f"{SECRET}",
        f"unix://:{SECRET}@",
        f"redis://:{SECRET}@cache:port",
        f"redis://:{SECRET}/x@cache",
        f"redis://:{SECRET}@[cache",
        f"redis://:{SECRET}@cache/first",
        f"redis://:{SECRET}@cache?ssl_ca_certs=x",
        f"redis://:{SECRET}@cache?color=blue",
        f"unix://:{SECRET}@/run/redis.sock?db=-1",
        f"redis://:{SECRET}@cache?timeout=",
        f"redis://:{SECRET}@cache?timeout=0s",
        f"redis://:{SECRET}@cache?timeout=5",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as caught:
        RedisBackend(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_tls_needs_a_host() -> None:
    with pytest.raises(ValueError, match="rediss://"):
        RedisBackend("unix:///run/redis.sock", ssl=True)


def test_an_address_does_not_show_its_password() -> None:
    assert SECRET not in repr(parse(f"redis://:{SECRET}@cache", None, None, ssl=False))
