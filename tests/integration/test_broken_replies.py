"""Text that strict parsers refuse, from upstream or from a terminal."""

import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support import misbehaving_upstream
from support.client import asked, call, outcome_of, result_of, texts_of
from support.mcp_upstream import McpUpstream, mcp_upstream
from support.product import (
    BY_ITSELF,
    PROGRAM,
    Served,
    product_at_port,
    product_environment,
    run_product,
)

LIBRARY = "/widgets/widget1"
DEEP = b"[" * 50_000
NO_EXACT_MATCH = 1


@pytest.fixture(scope="module")
def upstream() -> Iterator[McpUpstream]:
    with mcp_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: McpUpstream) -> Iterator[Served]:
    variables = {"CONTEXT7_FABRIC_UPSTREAM": upstream.url}
    env = product_environment(tmp_path_factory.mktemp("home"), variables)
    with product_at_port("http", env) as served:
        yield served


REPLIES = [
    (b"cut \\ud83c", "cut \ufffd"),
    (b"\\udf89\\ud83c twice", "\ufffd\ufffd twice"),
    (b"caf\xe9", "caf\ufffd"),
    (b"\xff\xfe first", "\ufffd\ufffd first"),
]


NOTHING = [b'"x":' + DEEP[:10_000], b'"x":' + b"{" * 500, b"nonsense"]


@pytest.fixture(params=["json", "events"])
def rewritten(
    request: pytest.FixtureRequest, upstream: McpUpstream
) -> Iterator[Callable[[bytes, bytes], None]]:
    """Replaces some bytes in the replies of upstream."""

    def rewrite(old: bytes, new: bytes) -> None:
        upstream.written = lambda body: body.replace(old, new)

    upstream.streams = request.param == "events"
    yield rewrite
    upstream.written, upstream.streams = bytes, False


@pytest.mark.parametrize(
    ("written", "text"), REPLIES, ids=[ascii(written)[2:-1] for written, _text in REPLIES]
)
def test_upstream_over_http_with_broken_text_is_understood(
    served: Served, rewritten: Callable[[bytes, bytes], None], written: bytes, text: str
) -> None:
    rewritten(b"checked against", written)
    result = _fresh_answer(served)
    assert outcome_of(result) == "miss"
    assert text in texts_of(result)[0]


@pytest.mark.parametrize("written", NOTHING, ids=["deep", "open", "no JSON"])
def test_upstream_over_http_with_an_unreadable_reply_is_an_error_at_once(
    served: Served, rewritten: Callable[[bytes, bytes], None], written: bytes
) -> None:
    assert outcome_of(_fresh_answer(served)) == "miss"
    rewritten(b'"content"', written)
    result = _fresh_answer(served, "/widgets/unread")
    assert outcome_of(result) == "error"
    assert "pydantic" not in json.dumps(result)
    assert "could not be read" in json.dumps(result)


QUESTIONS = count()


def _fresh_answer(served: Served, library: str = LIBRARY) -> dict[str, Any]:
    """The result of a question that was not asked before."""
    question = f"question {next(QUESTIONS)}"
    message = call("query-docs", libraryId=library, query=question)
    result: dict[str, Any] = result_of(asked(served, message=message))
    return result


@pytest.mark.parametrize(
    ("old", "written", "outcome", "text"),
    [
        ("How widgets work", b"cut \\ud83c, caf\xe9", "miss", "cut \ufffd, caf\ufffd"),
        ('"content"', NOTHING[0], "error", "could not be read"),
    ],
    ids=["broken", "deep"],
)
def test_upstream_as_a_command_with_broken_text_is_answered_at_once(
    tmp_path: Path, old: str, written: bytes, outcome: str, text: str
) -> None:
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": misbehaving_upstream.command(
            tmp_path, "--exchange", old, written.hex()
        ),
        "CONTEXT7_FABRIC_UPSTREAM_TIMEOUT": "10m",
    }
    result = _asked(product_environment(tmp_path, variables | BY_ITSELF))
    assert result["outcome"] == outcome
    assert text in result["text"]


def _asked(env: dict[str, str]) -> dict[str, Any]:
    done = run_product("docs", LIBRARY, "how", "--json", env=env)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([b"docs", LIBRARY.encode(), b"caf\xe9"], 0),
        ([b"docs", LIBRARY.encode(), b"\xed\xa0\xbc half"], 0),
        ([b"resolve", b"widget\xff", b"--question", b"\xfe"], NO_EXACT_MATCH),
        ([b"resolve", b"-"], NO_EXACT_MATCH),
    ],
    ids=ascii,
)
def test_a_command_with_words_that_are_no_utf_8_asks_what_is_left(
    tmp_path: Path, upstream: McpUpstream, words: list[bytes], code: int
) -> None:
    env = product_environment(tmp_path, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
    env["LC_ALL"] = "C.UTF-8"
    done = subprocess.run(
        [PROGRAM.encode(), *words],
        env=env,
        input=b"widg\xe9t\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    complaints = done.stderr.decode()
    assert "Traceback" not in complaints
    assert "cannot be reached" not in complaints
    assert done.returncode == code
    if code == NO_EXACT_MATCH:
        assert "No exact match; candidates: /widgets/widget1" in complaints
    else:
        assert done.stdout
