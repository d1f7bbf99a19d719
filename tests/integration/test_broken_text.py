"""Text that JavaScript accepts and strict parsers refuse, over every transport."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from support.client import HEADERS, PLAIN, Dialogue, outcome_of, texts_of, until
from support.daemons import daemons, log_of, with_daemon
from support.mcp_upstream import McpUpstream, mcp_upstream
from support.processes import spawn
from support.product import BY_ITSELF, PROGRAM, Served, product_at_port, product_environment

LIBRARY = "/widgets/widget1"
CUT = [
    (b"add CORS \\ud83c", "add CORS \ufffd"),
    (b"\\udf89 party", "\ufffd party"),
    (b"caf\xe9 au lait", "caf\ufffd au lait"),
    (b"\xf0\x9f\x8e cut in UTF-8", "\ufffd cut in UTF-8"),
    (b"\\ud83c\\ud83c\\udf89", "\ufffd\U0001f389"),
]
IDS = [ascii(written)[2:-1] for written, _text in CUT]
UNREADABLE = "was not a message"
DEEP = b"[" * 50_000 + b"]" * 50_000


def call(number: bytes, query: bytes, more: bytes = b"") -> bytes:
    """A line that calls query-docs."""
    return (
        b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":{"name":"query-docs",'
        b'"arguments":{"libraryId":"/widgets/widget1","query":"%b"%b}}}' % (number, query, more)
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[McpUpstream]:
    with mcp_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["by itself", "by a daemon"])
def session(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream: McpUpstream,
) -> Iterator[tuple[Dialogue, Callable[[], str]]]:
    """A session on stdio after its handshake, and the log lines about it."""
    variables = {"CONTEXT7_FABRIC_UPSTREAM": upstream.url}
    with daemons(tmp_path_factory.mktemp("home")) as home:
        alone = request.param == "by itself"
        env = product_environment(home, variables | BY_ITSELF)
        with spawn([PROGRAM], env if alone else with_daemon(home, variables)) as process:
            dialogue = Dialogue(process)
            dialogue.introduce()
            yield dialogue, lambda: process.err.text if alone else log_of(home)


def replied(dialogue: Dialogue, line: bytes, number: str) -> dict[str, Any]:
    """The reply to a line, by the number in it as JSON, which stands in no other reply."""
    dialogue.process.send(line)
    found = dialogue.process.out.wait_for(rf'^.*"id": ?{number}[,}}].*$')[0]
    message: dict[str, Any] = json.loads(found)
    return message


@pytest.mark.parametrize("turn", ["miss", "hit"])
@pytest.mark.parametrize(("written", "text"), CUT, ids=IDS)
def test_stdio_with_broken_text_answers_the_question_that_is_left(
    session: tuple[Dialogue, Callable[[], str]], written: bytes, text: str, turn: str
) -> None:
    number = f"{turn} {text}"
    reply = replied(
        session[0],
        call(json.dumps(number).encode(), written),
        json.dumps(number, ensure_ascii=False).replace("\\", "\\\\"),
    )
    assert outcome_of(reply["result"]) == turn
    assert f'answers "{text}"' in texts_of(reply["result"])[0]


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        (call(b"71", b"x", b',"y":' + DEEP), "71", -32700),
        (b'{"jsonrpc":"2.0","method":"ping","id":"72","x":%b}' % DEEP, '"72"', -32700),
        (b'{"jsonrpc":"2.0","id":73,"method":"ping","x":' + b"{" * 3000, "73", -32700),
        (b'{"jsonrpc":"2.0","id":74,"method":["ping"]}', "74", -32600),
        (
            b'{"jsonrpc":"2.0","id":75,"method":"ping","x":"' + b"y" * 17_000_000 + b'"}',
            "75",
            -32600,
        ),
        (b"nonsense", "null", -32700),
    ],
    ids=["deep", "deep text id", "cut off", "method", "overlong", "no json"],
)
def test_stdio_with_an_unreadable_line_answers_an_error_and_logs_it(
    session: tuple[Dialogue, Callable[[], str]], line: bytes, number: str, code: int
) -> None:
    dialogue, logged = session
    known = logged().count(UNREADABLE)
    assert replied(dialogue, line, number)["error"]["code"] == code
    assert dialogue.ask("ping") == {}
    until(dialogue, lambda: logged().count(UNREADABLE) > known)
    assert "Traceback" not in logged()


@pytest.mark.parametrize(
    "params",
    [
        b'{"name":"no-such-\\ud83c","arguments":{}}',
        b'{"name":5,"arguments":{}}',
        b'{"name":"query-docs","arguments":[1]}',
        b'{"name":"query-docs","arguments":{"libraryId":1e400,"query":NaN,"\\ud83c":{}}}',
        b'{"name":"query-docs","arguments":{"libraryId":%b,"query":[[]]}}' % (b"9" * 5000),
        b'{"name":"resolve-library-id","arguments":{"libraryName":{"\\udc00":1},"query":"x"}}',
        b'{"name":"get-library-docs","arguments":{"libraryId":"/a/b","page":1e999}}',
    ],
    ids=lambda each: ascii(each)[2:60],
)
def test_stdio_with_arguments_of_the_wrong_kind_answers_one_plain_line(
    session: tuple[Dialogue, Callable[[], str]], params: bytes
) -> None:
    dialogue, logged = session
    number = f"wrong {hash(params)}"
    line = b'{"jsonrpc":"2.0","id":"%b","method":"tools/call","params":%b}'
    reply = replied(dialogue, line % (number.encode(), params), f'"{number}"')
    text = reply["error"]["message"] if "error" in reply else texts_of(reply["result"])[0]
    assert "pydantic" not in text
    assert "http" not in text
    assert "\n" not in text
    assert "Traceback" not in logged()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", b'{"uri":"fabric://GLOBAL/\\ud83c"}'),
        ("resources/read", b'{"uri":"library://registry?query=\xe9"}'),
        ("resources/subscribe", b'{"uri":"fabric://GLOBAL/\\udc00x"}'),
        ("prompts/get", b'{"name":"\\ud83c","arguments":{"\\ud83c":"\\ud83c"}}'),
        (
            "completion/complete",
            b'{"ref":{"type":"ref/prompt","name":"\\ud83c"},"argument":{"name":"x","value":"\\ud83c"}}',
        ),
        ("no/such/\\ud83c", b"{}"),
    ],
    ids=lambda each: ascii(each)[:40],
)
def test_stdio_with_broken_text_answers_every_method(
    session: tuple[Dialogue, Callable[[], str]], method: str, params: bytes
) -> None:
    dialogue, logged = session
    number = f"method {hash((method, params))}"
    line = b'{"jsonrpc":"2.0","id":"%b","method":"%b","params":%b}'
    reply = replied(dialogue, line % (number.encode(), method.encode(), params), f'"{number}"')
    assert {"result", "error"} & reply.keys()
    assert "Traceback" not in logged()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: McpUpstream) -> Iterator[Served]:
    variables = {"CONTEXT7_FABRIC_UPSTREAM": upstream.url}
    env = product_environment(tmp_path_factory.mktemp("home"), variables)
    with product_at_port("http", env) as served:
        yield served


def posted(served: Served, path: str, body: bytes, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(
        served.url(path),
        content=body,
        headers=HEADERS | named,
        verify=PLAIN,
        trust_env=False,
        timeout=40,
    )


META = (
    b',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},'
    b'"io.modelcontextprotocol/clientCapabilities":{}}'
)
MODERN = {
    "mcp_protocol_version": "2026-07-28",
    "mcp_method": "tools/call",
    "mcp_name": "query-docs",
}


@pytest.mark.parametrize("turn", ["first", "again"])
@pytest.mark.parametrize("era", ["old", "modern"])
@pytest.mark.parametrize(("written", "text"), CUT, ids=IDS)
def test_http_with_broken_text_answers_the_question_that_is_left(
    served: Served, written: bytes, text: str, era: str, turn: str
) -> None:
    body = call(b"1", written)
    if era == "modern":
        body = body[:-2] + META + body[-2:]
    reply = posted(served, "/mcp", body, **(MODERN if era == "modern" else {}))
    assert reply.status_code == 200, (turn, reply.text)
    data = next(line for line in reply.text.splitlines() if "{" in line).removeprefix("data: ")
    assert f'answers "{text}"' in texts_of(json.loads(data)["result"])[0]


@pytest.mark.parametrize(
    ("body", "number", "code"),
    [
        (call(b"7", b"x", b',"y":' + DEEP), 7, -32700),
        (b'{"jsonrpc":"2.0","id":"late","method":"ping","x":"\\ud83c', "late", -32700),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":-1e999,"method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":false,"method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600),
    ],
    ids=["deep", "cut off", "object", "infinite", "false", "null"],
)
@pytest.mark.parametrize("era", ["2025-06-18", "2026-07-28"])
def test_http_with_an_unreadable_body_answers_400_in_json_rpc(
    served: Served, era: str, body: bytes, number: object, code: int
) -> None:
    reply = posted(served, "/mcp", body, mcp_protocol_version=era)
    assert reply.status_code == 400
    assert (reply.json()["id"], reply.json()["error"]["code"]) == (number, code)


@pytest.mark.parametrize(("written", "text"), CUT, ids=IDS)
def test_sse_with_broken_text_answers_the_question_that_is_left(
    served: Served, written: bytes, text: str
) -> None:
    with httpx2.stream(
        "GET", served.url("/sse"), headers={}, verify=PLAIN, trust_env=False, timeout=40
    ) as stream:
        lines = stream.iter_lines()
        path = next(line for line in lines if "/messages/" in line).removeprefix("data: ").strip()
        assert posted(served, path, call(b"5", written)).status_code == 202
        data = next(line for line in lines if '"id":5' in line).removeprefix("data: ")
    assert f'answers "{text}"' in texts_of(json.loads(data)["result"])[0]


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":"add CORS \\ud83c","metadata_filter":{}}',
        b'\xef\xbb\xbf{"query":"caf\xe9"}',
        b'{"query":"\xff\xfe \\udfff","n_results":3,"\\ud83c":"\\ud83c"}',
    ],
    ids=["half an emoji", "mark and Latin-1", "bytes and a key"],
)
def test_rest_with_broken_text_answers(served: Served, body: bytes) -> None:
    reply = posted(served, "/query", body)
    assert reply.status_code == 200, reply.text
