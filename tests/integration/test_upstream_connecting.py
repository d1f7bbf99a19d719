"""An upstream that dies, starts slowly, says nothing, or ends at its start."""

import gc
import json
import os
import shlex
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.models import Answer, Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from support import misbehaving_upstream
from support.listener import serving
from support.processes import one_soon
from support.product import product_environment, run_product
from support.scripted import settings_for
from support.sessions import session_upstream

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

LIBRARY = "/widgets/widget1"
SHORT = "1s"
SOON = 12.0
"""Longest duration in seconds of what `SHORT` bounds, also on a busy machine."""


@asynccontextmanager
async def app_before(upstream: str, home: Path, **variables: str) -> AsyncIterator[App]:
    async with open_app(settings_for(home, UPSTREAM=upstream, **variables)) as app:
        yield app


async def ask(app: App, question: str = "How do widgets work?") -> Answer:
    return await app.services.query(Question(LIBRARY, question), Caller(app.principal))


async def answered(app: App, seconds: float) -> Answer:
    """Ask until there is an answer, as an agent would."""
    with anyio.fail_after(seconds):
        while (answer := await ask(app)).is_error:  # noqa: ASYNC110  # a caller that comes again
            await anyio.sleep(0.05)
    return answer


@contextmanager
def silent_port() -> Iterator[int]:
    """Port whose connections the kernel accepts and no program serves."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


async def silent_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Open an event stream for each request, and send nothing on it."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        await anyio.sleep_forever()

    if scope["type"] == "http":
        response = StreamingResponse(nothing(), media_type="text/event-stream")
        await response(scope, receive, send)


@pytest.fixture(params=["http", "https", "event stream", "command"])
def black_hole(request: pytest.FixtureRequest) -> Iterator[str]:
    """An upstream that takes connections and never answers."""
    if request.param == "command":
        yield "sh -c 'cat >/dev/null'"
    elif request.param == "event stream":
        with serving(silent_stream) as port:
            yield f"http://127.0.0.1:{port}/mcp"
    else:
        with silent_port() as port:
            yield f"{request.param}://127.0.0.1:{port}/mcp"
    # What a cancelled TLS handshake leaves open is closed here, and not in another test.
    gc.collect()


async def test_a_black_hole_keeps_a_call_for_its_time_out_and_the_next_one_not_at_all(
    home: Path, black_hole: str
) -> None:
    async with app_before(black_hole, home, UPSTREAM_TIMEOUT=SHORT) as app:
        started = time.monotonic()
        first = await ask(app, "first")
        took = time.monotonic() - started

        async def again() -> float:
            started = time.monotonic()
            assert (await ask(app, "second")).is_error
            return time.monotonic() - started

        await one_soon(0.9, again)
    assert first.is_error
    assert 0.9 < took < SOON


async def test_a_black_hole_is_not_waited_for_where_a_seed_has_the_name(
    home: Path, black_hole: str
) -> None:
    async with app_before(black_hole, home, PATIENCE="0.2s", UPSTREAM_TIMEOUT="50s") as app:
        with anyio.fail_after(30):
            answer = await app.services.resolve(Question("fastapi"), Caller(app.principal))
    assert (answer.outcome, answer.tier) == ("offline", "seed")
    assert "has not answered within 0.2 s" in (answer.note or "")


async def test_a_black_hole_is_not_waited_for_where_snippets_help_out(
    home: Path, tmp_path: Path, black_hole: str
) -> None:
    async with app_before(misbehaving_upstream.command(tmp_path), home) as app:
        assert (await ask(app)).outcome == "miss"
    async with app_before(black_hole, home, PATIENCE="0.2s", UPSTREAM_TIMEOUT="50s") as app:
        with anyio.fail_after(30):
            answer = await ask(app, "Are there widgets?")
    assert (answer.outcome, answer.tier) == ("offline", "snippets")


@pytest.mark.parametrize("deaths", [1, 2, 3])
async def test_calls_in_flight_outlive_a_child_that_dies_under_them(
    home: Path, tmp_path: Path, deaths: int
) -> None:
    command = misbehaving_upstream.command(tmp_path, "--die", str(deaths))
    answers: list[Answer] = []
    async with app_before(command, home) as app:

        async def one(number: int) -> None:
            answers.append(await ask(app, f"part {number}"))

        async with anyio.create_task_group() as asking:
            for number in range(8):
                asking.start_soon(one, number)
    assert [answer.outcome for answer in answers] == ["miss"] * 8


@pytest.mark.parametrize("deaths", [4, 6, 8])
async def test_after_more_deaths_the_first_answer_comes_soon(
    home: Path, tmp_path: Path, deaths: int
) -> None:
    command = misbehaving_upstream.command(tmp_path, "--die", str(deaths))
    async with app_before(command, home) as app:
        assert (await ask(app)).is_error
        await answered(app, 40)
    # A connection that is made ahead of the calls may be one more.
    assert misbehaving_upstream.log(tmp_path).count("start") - deaths in (1, 2)


@pytest.mark.parametrize("refused", [1, 40, 400])
async def test_a_url_that_comes_back_is_asked_again_soon(home: Path, refused: int) -> None:
    with session_upstream() as upstream:
        port = int(upstream.url.rpartition(":")[2].removesuffix("/mcp"))
    async with app_before(upstream.url, home) as app:
        for number in range(refused):
            assert (await ask(app, f"down {number}")).is_error
        assert (await app.services.call_gate.status()).opening is not None
        with session_upstream(port=port):
            back = time.monotonic()
            await answered(app, 40)
            took = time.monotonic() - back
    assert took < SOON


async def test_a_slow_start_goes_on_behind_the_call_that_gave_up(
    home: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = misbehaving_upstream.command(tmp_path, "--wait")
    async with app_before(command, home, UPSTREAM_TIMEOUT=SHORT) as app:
        failed = [await ask(app, f"part {number}") for number in range(3)]
        await anyio.to_thread.run_sync(gate.write_bytes, b"go")
        await answered(app, 40)
    assert all(answer.is_error for answer in failed)
    assert "still being started" in failed[0].text
    assert misbehaving_upstream.log(tmp_path).count("start") == 1


async def test_a_slow_start_is_ended_with_the_app(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    command = misbehaving_upstream.command(tmp_path, "--wait")
    async with app_before(command, home, UPSTREAM_TIMEOUT=SHORT) as app:
        assert (await ask(app)).is_error
        started = time.monotonic()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("script", "quoted"),
    [
        ("echo 'boom: no such module' >&2; exit 1", "boom: no such module"),
        ("printf 'one\\ntwo\\n' >&2; exit 0", "two"),
        ("printf '\\033[31mfatal\\033[0m: disk\\n' >&2; kill -9 $$", "fatal: disk"),
        ("exit 7", "it ended before it answered"),
    ],
)
async def test_a_command_that_ends_at_its_start_is_quoted(
    home: Path, script: str, quoted: str
) -> None:
    async with app_before(shlex.join(["sh", "-c", script]), home) as app:
        assert quoted in (await ask(app)).text


def test_doctor_and_docs_quote_a_command_that_ends_at_its_start(home: Path) -> None:
    upstream = shlex.join(["sh", "-c", "echo 'boom: no such module' >&2; exit 1"])
    environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream})
    checked = run_product("doctor", "--json", env=environment)
    assert "boom: no such module" in json.loads(checked.stdout)["upstream"]["told"]
    asked = run_product("docs", LIBRARY, "How?", env=environment)
    assert "cannot be reached: it ended before it answered: boom: no such module" in asked.stderr


@pytest.mark.parametrize("name", ["no-such-program", "/nowhere/at-all", "./not here"])
async def test_a_command_that_is_not_there_is_named(home: Path, name: str) -> None:
    async with app_before(shlex.join([name, "--flag"]), home) as app:
        assert f"command not found: {name}" in (await ask(app)).text


@pytest.mark.parametrize(
    "reply",
    [
        {"content": [{"type": "text", "text": misbehaving_upstream.SNIPPET}], "isError": None},
        {"content": [{"type": "hologram"}, {"type": "text", "text": misbehaving_upstream.SNIPPET}]},
        {"content": [None, {"type": "text", "text": misbehaving_upstream.SNIPPET, "_meta": None}]},
    ],
)
async def test_a_reply_with_odd_members_is_read(
    home: Path, tmp_path: Path, reply: dict[str, object]
) -> None:
    command = misbehaving_upstream.command(tmp_path, "--reply", json.dumps(reply))
    async with app_before(command, home) as app:
        answer = await ask(app)
    assert (answer.outcome, answer.text) == ("miss", misbehaving_upstream.SNIPPET)


@pytest.mark.parametrize(
    "words",
    [("docs", LIBRARY, "How?"), ("resolve", "no-such-widget"), ("doctor",)],
    ids=lambda words: words[0],
)
def test_a_command_that_waits_says_so_on_a_terminal_and_not_in_a_pipe(
    home: Path, words: tuple[str, ...]
) -> None:
    with silent_port() as port:
        variables = {
            "CONTEXT7_FABRIC_UPSTREAM": f"http://127.0.0.1:{port}/mcp",
            "CONTEXT7_FABRIC_UPSTREAM_TIMEOUT": "3s",
        }
        environment = product_environment(home, variables)
        piped = run_product(*words, env=environment)
        ours, theirs = os.openpty()
        try:
            run_product(*words, env=environment, stderr=theirs)
            on_terminal = os.read(ours, 65536).decode()
        finally:
            os.close(theirs)
            os.close(ours)
    assert "Asking Context7 …" not in piped.stderr
    assert on_terminal.startswith("Asking Context7 …")
