"""A body that is no message is complained about in one line, which repeats nothing of it."""

from __future__ import annotations

import json

import pytest

from context7_fabric.protocol.malformed import complaint_about

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SECRET = "ctx7sk-secret"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 20_000, SECRET.encode(), f'{{"{SECRET}": "'.encode()],
    ids=["nothing", "half", "no text", "deep", "a word", "cut off"],
)
def test_what_is_no_json_is_a_parse_error(body: bytes) -> None:
    assert _told(body) == (-32700, "Parse error: the body is no JSON")


@pytest.mark.parametrize(
    "message",
    [
        SECRET,
        [LIST],
        {},
        {SECRET: SECRET},
        LIST | {"jsonrpc": "1.0"},
        LIST | {"params": SECRET},
        LIST | {"method": None},
    ],
    ids=str,
)
def test_json_that_is_no_message_is_an_invalid_request(message: object) -> None:
    wanted = "Invalid Request: the body is not one message of JSON-RPC 2.0"
    assert _told(json.dumps(message).encode()) == (-32600, wanted)


@pytest.mark.parametrize(
    "message",
    [LIST, LIST | {"method": "no such method"}, {"jsonrpc": "2.0", "id": 1, "result": {}}],
    ids=str,
)
def test_of_a_message_nothing_is_complained(message: object) -> None:
    assert complaint_about(json.dumps(message).encode()) is None


def _told(body: bytes) -> tuple[int, str]:
    complaint = complaint_about(body)
    assert complaint is not None
    told = json.loads(complaint)
    assert (told["jsonrpc"], told["id"]) == ("2.0", None)
    return told["error"]["code"], told["error"]["message"]
