"""Bytes become messages as leniently as Context7's server reads them; others are refused."""

from __future__ import annotations

import json

import mcp_types as types
import pytest

from context7_fabric.mcp_server.json_rpc import LONGEST_ID, InvalidMessage, read_message

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SECRET = "ctx7sk-secret"
CALL = b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":{"name":"x","arguments":%b}}'


def refused(data: bytes) -> tuple[int, str, object]:
    """Code, text and id of the error that answers `data`."""
    with pytest.raises(InvalidMessage) as caught:
        read_message(data)
    reply = json.loads(caught.value.reply)
    assert reply["jsonrpc"] == "2.0"
    return reply["error"]["code"], reply["error"]["message"], reply["id"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[" * 20_000, SECRET.encode(), f'{{"{SECRET}": "'.encode()],
    ids=["nothing", "half", "no text", "deep", "a word", "cut off"],
)
def test_reading_what_is_not_json_raises_a_parse_error(data: bytes) -> None:
    code, text, number = refused(data)
    assert (code, number) == (-32700, None)
    assert text == "Parse error: the message is not JSON, or is nested too deeply"


@pytest.mark.parametrize(
    ("message", "number"),
    [
        (SECRET, None),
        ([LIST], None),
        ({}, None),
        ({SECRET: SECRET}, None),
        (LIST | {"jsonrpc": "1.0"}, 1),
        (LIST | {"params": SECRET}, 1),
        (LIST | {"method": None}, 1),
    ],
    ids=str,
)
def test_reading_json_that_is_no_message_raises_an_invalid_request(
    message: object, number: object
) -> None:
    wanted = "Invalid Request: this is not one message of JSON-RPC 2.0"
    assert refused(json.dumps(message).encode()) == (-32600, wanted, number)


@pytest.mark.parametrize(
    "message",
    [LIST, LIST | {"method": "no such method"}, {"jsonrpc": "2.0", "id": 1, "result": {}}],
    ids=str,
)
def test_reading_a_message_returns_it(message: dict[str, object]) -> None:
    read = read_message(json.dumps(message).encode())
    assert read.model_dump(by_alias=True, exclude_unset=True) == message


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b'"add CORS \\ud83c"', "add CORS \ufffd"),
        (b'"\\udf89 first"', "\ufffd first"),
        (b'"\\ud83c\\ud83c\\udf89"', "\ufffd\U0001f389"),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\xc3("', "\ufffd("),
        (b'"\xed\xa0\xbc"', "\ufffd\ufffd\ufffd"),
        (b'"a\x00b\tc"', "a\x00b\tc"),
    ],
    ids=ascii,
)
def test_reading_text_that_strict_readers_refuse_puts_a_replacement_character(
    written: bytes, text: str
) -> None:
    message = read_message(CALL % (b"7", b'{"q":%b}' % written))
    assert isinstance(message, types.JSONRPCRequest)
    assert message.params == {"name": "x", "arguments": {"q": text}}


@pytest.mark.parametrize(
    ("number", "read"),
    [
        (b"1.0", 1),
        (b"2e3", 2000),
        (b"-5", -5),
        (b"0", 0),
        (b'"\\ud83c"', "\ufffd"),
        (b'"%b"' % (b"x" * LONGEST_ID), "x" * LONGEST_ID),
        (b"9007199254740993", 9007199254740993),
    ],
    ids=lambda each: ascii(each)[:30],
)
def test_reading_an_id_returns_it_as_it_is_answered(number: bytes, read: object) -> None:
    message = read_message(CALL % (number, b"{}"))
    assert isinstance(message, types.JSONRPCRequest)
    assert (message.id, type(message.id)) == (read, type(read))


@pytest.mark.parametrize(
    "number",
    [
        b"1e999",
        b"{}",
        b"[]",
        b"[1]",
        b"true",
        b"null",
        b"1.5",
        b"-1e400",
        b"NaN",
        b"9" * 5000,
        b'"%b"' % (b"x" * (LONGEST_ID + 1)),
    ],
    ids=lambda each: ascii(each)[:20],
)
def test_reading_an_id_that_is_none_raises_an_invalid_request(number: bytes) -> None:
    code, _text, answered = refused(CALL % (number, b"{}"))
    assert (code, answered) == (-32600, None)


DEEP = b"[" * 50_000


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (CALL % (b"7", DEEP), 7),
        (CALL % (b'"a\\"b"', DEEP), 'a"b'),
        (b'{"params":{"id":5},"id" : "late","x":' + DEEP, "late"),
        (b'{"method":"id","id":3,"x":' + DEEP, 3),
        (b'{"x":"{\\"id\\":4","id":9,"y":' + DEEP, 9),
        (b'{"params":{"id":5,"x":' + DEEP, None),
        (b'[{"id":5},' + DEEP, None),
        (b'{"x":"' + b"a" * 5000 + b'","id":5,"y":' + DEEP, None),
        (b'{"id":5', None),
        (b'{"id":1.5,"x":' + DEEP, None),
    ],
    ids=lambda each: ascii(each)[:40],
)
def test_refusing_a_message_tells_the_id_that_its_head_holds(data: bytes, number: object) -> None:
    assert refused(data)[::2] == (-32700, number)
