"""The extent of `_meta` belongs to the client: each client of a daemon has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.client import META_KEY, Dialogue, talking
from support.context7_api import Api
from support.product import PROGRAM, Variables, product_at_port, product_environment, run_product

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
BRIEF = ["outcome", "tier", "age_seconds", "execution_id"]


def keys_of_a_hit(dialogue: Dialogue) -> list[str] | None:
    dialogue.call("query-docs", **ASKED)
    result: dict[str, Any] = dialogue.call("query-docs", **ASKED)
    meta = result.get("_meta", {}).get(META_KEY)
    return None if meta is None else list(meta)


def test_meta_of_clients_of_one_daemon_has_the_extent_of_each(
    api: Api, home: Path, by_http: Variables
) -> None:
    shared = {**by_http, "CONTEXT7_FABRIC_DAEMON": "auto", "CONTEXT7_FABRIC_DAEMON_IDLE": "1s"}
    environments = [
        product_environment(home, {**shared, "CONTEXT7_FABRIC_META": meta})
        for meta in ("full", "", "OFF", "brief")
    ]
    with (
        talking([PROGRAM], environments[0]) as full,
        talking([PROGRAM], environments[1]) as default,
        talking([PROGRAM], environments[2]) as off,
        talking([PROGRAM], environments[3]) as brief,
    ):
        asked = [keys_of_a_hit(each) for each in (full, default, off, brief)]
        sockets = list((home / "daemon").glob("*.sock"))
    assert asked[0] is not None
    assert len(asked[0]) == 7
    assert asked[1:] == [BRIEF, None, BRIEF]
    assert len(sockets) == 1


@pytest.mark.parametrize(
    ("value", "words", "daemon"),
    [
        ("none", [], "auto"),
        ("brief,full", [], "off"),
        ("0", ["--transport", "http", "--port", "0"], "off"),
        ("true", ["stats"], "off"),
    ],
)
def test_meta_of_no_known_extent_ends_every_command_with_one_line(
    home: Path, value: str, words: list[str], daemon: str
) -> None:
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": "off",
        "CONTEXT7_FABRIC_META": value,
        "CONTEXT7_FABRIC_DAEMON": daemon,
    }
    done = run_product(*words, env=product_environment(home, variables))
    error = f"context7-fabric: CONTEXT7_FABRIC_META: '{value}' is not one of brief, full, off\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error)


def test_meta_over_http_has_the_extent_of_the_server(home: Path, by_http: Variables) -> None:
    environment = product_environment(home, {**by_http, "CONTEXT7_FABRIC_META": "off"})
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "query-docs", "arguments": ASKED},
    }
    headers = {"accept": "application/json, text/event-stream"}
    with product_at_port("http", environment) as served:
        replies = [
            httpx2.post(served.url("/mcp"), json=asked, headers=headers, timeout=40).text
            for _ in range(3)
        ]
    assert all("WebSocket" in each and "_meta" not in each for each in replies)
