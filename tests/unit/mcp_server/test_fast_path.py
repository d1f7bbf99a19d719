"""The fast path takes plain calls only, and reads them as the SDK does."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import mcp_types as types
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types.methods import validate_client_request

from context7_fabric.mcp_server.fast_path import FastPath
from context7_fabric.mcp_server.json_rpc import read_message
from context7_fabric.mcp_server.streams import Duplex, LineReader, MessageReader, MessageWriter
from context7_fabric.models import QUERY_DOCS, Answer, Caller, Outcome, Tier

ARGUMENTS = {"libraryId": "/widgets/widget1", "query": "start"}
PARAMS = {"name": QUERY_DOCS, "arguments": ARGUMENTS}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": PARAMS}
HANDSHAKE = b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}'
ANSWER = Answer("text", Outcome.HIT, Tier.QUESTION, "/widgets/widget1", 1.0, 2.0)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["jsonrpc", "id", "method", "params", "name", "arguments", "_meta", "progressToken", "task"]
)
VALUES = JSON | st.sampled_from(
    ["2.0", "1.0", "tools/call", "ping", QUERY_DOCS, ARGUMENTS, PARAMS, {"progressToken": 1.5}]
)


class Hearing:
    """Everything is cached; the calls are noted."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.request_ids: list[str] = []

    def __call__(self, tool: str, arguments: dict[str, Any], caller: Caller) -> Answer:
        assert caller.client == "tests 1"
        self.calls.append((tool, arguments))
        self.request_ids.append(caller.request_id)
        return ANSWER


def opened(hearing: Hearing) -> FastPath:
    """A fast path after the handshake and the first call."""
    path = FastPath(hearing, "full")
    assert path.answer(HANDSHAKE) is None
    path.open(partial(Caller, client="tests 1"), "2025-06-18")
    return path


def answered(line: bytes) -> bytes | None:
    return opened(Hearing()).answer(line)


def line_of(message: object) -> bytes:
    return json.dumps(message).encode()


def with_params(**more: object) -> dict[str, object]:
    return CALL | {"params": PARAMS | more}


def read_by_the_sdk(line: bytes) -> tuple[types.RequestId, str, dict[str, Any] | None]:
    """The id of a call, its tool and its arguments; raises a ValueError if it is none."""
    request = read_message(line)
    if not isinstance(request, types.JSONRPCRequest) or request.method != "tools/call":
        raise ValueError(request)
    validate_client_request(request.method, "2025-06-18", request.params)
    params = types.CallToolRequestParams.model_validate(request.params, by_name=False)
    return request.id, params.name, params.arguments


def check_against_the_sdk(line: bytes) -> None:
    hearing = Hearing()
    reply = opened(hearing).answer(line)
    if reply is not None:
        number, *call = read_by_the_sdk(line)
        assert repr(hearing.calls) == repr([tuple(call)])  # NaN is not equal to itself
        number_of_reply = json.loads(reply)["id"]
        assert (number_of_reply, type(number_of_reply)) == (number, type(number))
    else:
        assert hearing.calls == []


def text_of(pairs: list[tuple[str, object]]) -> str:
    """An object in JSON, in which names may come twice."""
    return "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in pairs) + "}"


def _text(value: object) -> str:
    return value if isinstance(value, str) and value[:1] == "{" else json.dumps(value)


@st.composite
def changed_calls(draw: st.DrawFn) -> bytes:
    """A call in which a few fields were put, put twice or taken away."""
    outer: list[tuple[str, object]] = list(CALL.items())
    inner: list[tuple[str, object]] = list(PARAMS.items())
    for pairs in (outer, inner):
        for _ in range(draw(st.integers(0, 2))):
            if draw(st.booleans()) and pairs:
                pairs.pop(draw(st.integers(0, len(pairs) - 1)))
            else:
                pair = (draw(NAMES), draw(VALUES))
                pairs.insert(draw(st.integers(0, len(pairs))), pair)
    whole = [(name, text_of(inner) if value is PARAMS else value) for name, value in outer]
    return text_of(whole).encode("utf-8", "surrogatepass")


@given(line=changed_calls())
def test_call_that_the_fast_path_answers_is_read_alike_by_the_sdk(line: bytes) -> None:
    check_against_the_sdk(line)


@given(
    name=st.sampled_from([*CALL, *PARAMS]),
    value=st.sampled_from(["2.0", "tools/call", QUERY_DOCS, 7, "7", PARAMS, ARGUMENTS, {}]),
    first=st.booleans(),
)
def test_a_name_that_comes_twice_is_read_as_the_sdk_reads_it(
    name: str, value: object, *, first: bool
) -> None:
    inner: list[tuple[str, object]] = list(PARAMS.items())
    outer: list[tuple[str, object]] = list(CALL.items())
    pairs = outer if name in CALL else inner
    pairs.insert(0 if first else len(pairs), (name, value))
    whole = [(key, text_of(inner) if each is PARAMS else each) for key, each in outer]
    check_against_the_sdk(text_of(whole).encode())


@given(line=st.binary())
@example(line=line_of(CALL)[:-1])
@example(line=line_of(CALL).replace(b"start", b"\xff"))
@example(line=line_of(CALL).replace(b"start", b"\\ud800"))
@example(line=line_of(CALL).replace(b'"start"', b"NaN"))
@example(line=b"\xef\xbb\xbf" + line_of(CALL))
@example(line=line_of([CALL]))
@example(line=b"[" * 10_000)
def test_bytes_that_are_no_call_are_left_to_the_sdk(line: bytes) -> None:
    check_against_the_sdk(line)


@given(number=st.integers() | st.text())
def test_a_reply_has_the_id_of_its_request(number: int | str) -> None:
    reply = answered(line_of(CALL | {"id": number}))
    if isinstance(number, str) or abs(number) <= 2**53:
        assert reply is not None
        assert json.loads(reply)["id"] == number
    else:
        assert reply is None


@pytest.mark.parametrize("token", [1, "one"])
def test_call_with_a_progress_token_is_answered(token: object) -> None:
    assert answered(line_of(with_params(_meta={"progressToken": token}))) is not None


@pytest.mark.parametrize(
    "message",
    [
        CALL | {"jsonrpc": "1.0"},
        CALL | {"id": 7.0},
        CALL | {"id": True},
        CALL | {"id": None},
        CALL | {"id": 2**53 + 1},
        CALL | {"method": "tools/list"},
        CALL | {"params": None},
        CALL | {"params": [PARAMS]},
        CALL | {"more": 1},
        {name: value for name, value in CALL.items() if name != "id"},
        with_params(name=7),
        with_params(arguments=None),
        with_params(arguments=[ARGUMENTS]),
        with_params(task={"ttl": 1}),
        with_params(_meta=None),
        with_params(_meta={"progressToken": 1.5}),
        with_params(_meta={"progressToken": True}),
        with_params(_meta={"traceparent": "00-1-2-01"}),
        with_params(_meta={"io.modelcontextprotocol/protocolVersion": "2026-07-28"}),
    ],
    ids=json.dumps,
)
def test_a_call_with_anything_unusual_is_left_to_the_sdk(message: object) -> None:
    assert answered(line_of(CALL)) is not None
    assert answered(line_of(message)) is None


def test_nothing_is_answered_before_a_call_came_through() -> None:
    path = FastPath(Hearing(), "full")
    assert path.answer(line_of(CALL)) is None
    assert path.answer(HANDSHAKE) is None
    assert path.answer(line_of(CALL)) is None


def test_nothing_is_answered_without_a_handshake() -> None:
    path = FastPath(Hearing(), "full")
    path.open(Caller, "2025-06-18")
    assert path.answer(line_of(CALL)) is None


@pytest.mark.parametrize(
    "again", [HANDSHAKE, HANDSHAKE.replace(b"initialize", b"\\u0069nitialize")]
)
def test_nothing_is_answered_once_the_client_shakes_hands_anew(again: bytes) -> None:
    path = opened(Hearing())
    assert path.answer(line_of(CALL)) is not None
    assert path.answer(again) is None
    path.open(partial(Caller, client="tests 1"), "2025-06-18")
    assert path.answer(line_of(CALL)) is None


@pytest.mark.parametrize("number", [7, "7", "how do I"], ids=repr)
def test_caller_of_an_answer_has_the_id_of_the_request(number: int | str) -> None:
    hearing = Hearing()
    assert opened(hearing).answer(line_of(CALL | {"id": number}))
    assert hearing.request_ids == [str(number)]


def test_it_stays_closed_to_a_client_of_an_era_without_a_handshake() -> None:
    path = FastPath(Hearing(), "full")
    assert path.answer(HANDSHAKE) is None
    path.open(partial(Caller, client="tests 1"), "2026-07-28")
    assert path.answer(line_of(CALL)) is None


def test_call_without_a_cached_answer_is_left_to_the_sdk() -> None:
    path = FastPath(lambda *_call: None, "full")
    path.answer(HANDSHAKE)
    path.open(Caller, "2025-06-18")
    assert path.answer(line_of(CALL)) is None


REST = b'{"jsonrpc":"2.0","id":8,"method":"ping"}'


async def test_others_have_their_turn_between_two_answers() -> None:
    lines, turns = LineReader(b"call\n" * 50 + REST + b"\n"), 0
    reader = MessageReader(lines, MessageWriter(asyncio.WriteTransport(), _Gone()))
    reader.fast_reply = lambda line: b"reply" if line == b"call" else None

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns())
    assert isinstance(await reader.receive(), SessionMessage)
    other.cancel()
    assert turns >= 48


class _Gone(Duplex):
    """A connection that is never read."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = True
