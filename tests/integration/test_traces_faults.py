"""Traces without a receiver, with invalid settings, or switched off."""

import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.client import Dialogue, outcome_of, talking
from support.mcp_upstream import McpUpstream, mcp_upstream
from support.otlp import Receiver, receiving
from support.processes import one_within
from support.product import BY_ITSELF, PROGRAM, product_environment

ARGUMENTS = {"libraryId": "/widgets/widget1", "query": "start"}
WARNED = "context7-fabric: WARNING: traces"
SDK = "opentelemetry.sdk"
WITHOUT_THE_EXTRA = (
    f"import sys; sys.modules[{SDK!r}] = None;"
    "from context7_fabric.__main__ import main; sys.exit(main())"
)


@pytest.fixture
def asked() -> Iterator[McpUpstream]:
    with mcp_upstream() as upstream:
        yield upstream


@pytest.fixture
def closed_port() -> Iterator[str]:
    """Address at which no server listens; the port stays reserved."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def hanging() -> Iterator[Receiver]:
    """Receiver that accepts all requests, and sends no reply once one holds a call."""
    with receiving() as receiver:
        receiver.hold()
        yield receiver


def environment(home: Path, asked: McpUpstream, **more: str) -> dict[str, str]:
    variables = {**BY_ITSELF, "CONTEXT7_FABRIC_UPSTREAM": asked.url, **more}
    return product_environment(home, variables)


def sent_to(url: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


def ask(dialogue: Dialogue) -> str:
    return outcome_of(dialogue.call("query-docs", **ARGUMENTS))


def seconds_to_end(dialogue: Dialogue, number: signal.Signals | None) -> float:
    begun = time.monotonic()
    if number is None:
        dialogue.process.close_stdin()
    else:
        dialogue.process.popen.send_signal(number)
    assert dialogue.process.wait() == 0
    return time.monotonic() - begun


def test_a_receiver_that_hangs_keeps_no_call_waiting(
    home: Path, asked: McpUpstream, hanging: Receiver
) -> None:
    with talking([PROGRAM], environment(home, asked, **sent_to(hanging.url))) as dialogue:
        assert ask(dialogue) == "miss"
        hanging.wait_for(1)
        taken = len(hanging.bodies)
        assert [ask(dialogue) for _ in range(3)] == ["hit"] * 3
        assert len(hanging.bodies) == taken  # the last batch is under way all the while


@pytest.mark.parametrize("ending", [None, signal.SIGTERM], ids=["stdin", "SIGTERM"])
class TestTheEnd:
    def test_it_does_not_wait_for_a_receiver_that_hangs(
        self, home: Path, asked: McpUpstream, hanging: Receiver, ending: signal.Signals | None
    ) -> None:
        def took() -> float:
            known = len(hanging.calls)
            with talking([PROGRAM], environment(home, asked, **sent_to(hanging.url))) as dialogue:
                ask(dialogue)
                hanging.wait_for(known + 1)
                return seconds_to_end(dialogue, ending)

        one_within(2, took)

    def test_it_does_not_wait_for_one_that_is_not_there(
        self, home: Path, asked: McpUpstream, closed_port: str, ending: signal.Signals | None
    ) -> None:
        def took() -> float:
            with talking([PROGRAM], environment(home, asked, **sent_to(closed_port))) as dialogue:
                ask(dialogue)
                return seconds_to_end(dialogue, ending)

        one_within(2, took)

    def test_what_waits_is_sent_first(
        self, home: Path, asked: McpUpstream, ending: signal.Signals | None
    ) -> None:
        with receiving() as receiver:
            env = environment(home, asked, **sent_to(receiver.url))
            with talking([PROGRAM], env) as dialogue:
                ask(dialogue)
                seconds_to_end(dialogue, ending)
            assert len(receiver.calls) == 1


def _distinct(receiver: Receiver) -> set[str]:
    """The calls that have arrived, each counted once: exporters send again what was not taken."""
    return {span.id for span in receiver.calls}


def test_an_outage_is_logged_once(home: Path, asked: McpUpstream, hanging: Receiver) -> None:
    gone = sent_to(hanging.url) | {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"}
    with talking([PROGRAM], environment(home, asked, **gone)) as dialogue:
        for batch in (1, 2, 3):  # a third is sent once the second has failed
            ask(dialogue)
            hanging.wait_until(lambda batch=batch: len(_distinct(hanging)) >= batch)  # type: ignore[misc]
        dialogue.process.err.wait_for(WARNED)
        assert dialogue.process.err.text.count("WARNING") == 1
        assert "Traceback" not in dialogue.process.err.text


class TestTheExtra:
    def test_without_it_one_line_says_what_to_install_and_all_else_works(
        self, home: Path, asked: McpUpstream, closed_port: str
    ) -> None:
        command = [sys.executable, "-c", WITHOUT_THE_EXTRA]
        with talking(command, environment(home, asked, **sent_to(closed_port))) as dialogue:
            assert ask(dialogue) == "miss"
            assert ask(dialogue) == "hit"
            warned = dialogue.process.err.wait_for(WARNED)
            assert "pip install '.[telemetry]' in a checkout" in warned.string
            assert dialogue.process.err.text.count("WARNING") == 1

    @pytest.mark.parametrize(
        ("variables", "imported"),
        [
            ({}, False),
            ({"LANGSMITH_API_KEY": "key", "LANGSMITH_TRACING": "false"}, False),
            ({"LANGSMITH_API_KEY": "key", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9"}, True),
        ],
        ids=["unasked", "switched off", "asked"],
    )
    def test_nothing_of_it_is_imported_where_traces_are_off(
        self, home: Path, asked: McpUpstream, variables: dict[str, str], imported: bool
    ) -> None:
        traced_environment = environment(home, asked, PYTHONPROFILEIMPORTTIME="1", **variables)
        with talking([PROGRAM], traced_environment) as dialogue:
            assert ask(dialogue) == "miss"
            assert (f" {SDK}" in "\n".join(dialogue.process.complaints())) is imported
