"""The real Context7 servers, in front of the stand-in instead of the internet.

4.1.1 takes the stand-in's address from its environment. 1.0.33 has context7.com built in, so it
runs behind `support.tls_proxy` with `clean_environment(proxy.environment)`.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from support.context7_api import Api
from support.npm import npm_package
from support.processes import spawn

PACKAGE = "@upstash/context7-mcp"
NEWEST = "4.1.1"
OLDEST = "1.0.33"
READY = r"running on HTTP at http://localhost:(\d+)/mcp"
SECONDS_TO_START = 30
# Proxies would catch loopback traffic too; keys and exporters of the developer are not for tests.
UNWANTED = ("context7_", "otel_", "langsmith_", "node_extra_ca_certs", "node_options")


def context7_command(version: str = NEWEST) -> list[str]:
    """The command line of a real server on stdio; skips the test where node cannot have it."""
    return ["node", str(npm_package(PACKAGE, version) / PACKAGE / "dist" / "index.js")]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without proxies and Context7 settings, and some of one's own.

    On HTTP 4.1.1 also serves Prometheus on a fixed port by default: two would collide.
    """
    kept = {name: value for name, value in os.environ.items() if not _unwanted(name.lower())}
    return {**kept, "OTEL_METRICS_EXPORTER": "none", **(extra or {})}


def api_environment(api: Api, key: str | None = None) -> dict[str, str]:
    """The environment in which 4.1.1 asks the stand-in, with a key or anonymously."""
    keyed = {"CONTEXT7_API_KEY": key} if key else {}
    return clean_environment({"CONTEXT7_API_URL": api.url, **keyed})


@contextmanager
def context7_http(
    api: Api, version: str = NEWEST, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A real server on HTTP for the length of the block; yields the address of its `/mcp`."""
    command = [*context7_command(version), "--transport", "http", "--port", str(free_port())]
    with spawn(command, env=environment or api_environment(api)) as server:
        # It moves on to the next port where this one was taken meanwhile, so its word counts.
        port = server.err.wait_for(READY, SECONDS_TO_START)[1]
        yield f"http://127.0.0.1:{port}/mcp"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _unwanted(name: str) -> bool:
    return name.endswith("_proxy") or name.startswith(UNWANTED)
