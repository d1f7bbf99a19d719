"""Traces of real processes, as a receiver on this machine decodes them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.client import Dialogue, outcome_of, talking, texts_of
from support.mcp_upstream import McpUpstream, mcp_upstream
from support.otlp import BY_SDK, BY_US, CLIENT, SERVER, Receiver, Span, receiving
from support.product import PROGRAM, Variables, product_environment

pytestmark = pytest.mark.either_mode

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
QUESTION = "how do I start an unmentionable widget"
LIBRARY = "/widgets/widget1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def asked() -> Iterator[McpUpstream]:
    with mcp_upstream() as upstream:
        yield upstream


@contextmanager
def traced(home: Path, asked: McpUpstream, receiver: Receiver, **more: str) -> Iterator[Dialogue]:
    """The product on stdio, whose traces go to `receiver` as if that were LangSmith."""
    variables: Variables = {
        "CONTEXT7_FABRIC_UPSTREAM": asked.url,
        "LANGSMITH_API_KEY": "lsv2_pt_secret",
        "LANGSMITH_PROJECT": "docs of ours",
        "LANGSMITH_ENDPOINT": receiver.url,
        **more,
    }
    with talking([PROGRAM], product_environment(home, variables)) as dialogue:
        yield dialogue


def query(dialogue: Dialogue, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
    more = {} if meta is None else {"_meta": meta}
    arguments = {"libraryId": LIBRARY, "query": QUESTION}
    return dialogue.ask("tools/call", name="query-docs", arguments=arguments, **more)


def names(spans: list[Span]) -> list[str]:
    return [span.name for span in spans]


class TestAMiss:
    def test_it_is_a_trace_of_the_tiers_and_the_call_upstream(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver) as dialogue:
            assert outcome_of(query(dialogue)) == "miss"
            receiver.wait_until(lambda: "tier upstream" in names(receiver.spans))
        (server,) = receiver.calls
        assert server.name == "tools/call query-docs"
        assert server.parent == ""
        below = receiver.below(server)
        sent = [span for span in below if span.kind == CLIENT and "call" in span.name]
        assert names(sent) == ["tools/call query-docs"]
        assert names([span for span in below if span.name.startswith("tier")]) == [
            "tier question",
            "tier upstream",
        ]
        assert all(server.begun <= span.begun <= span.ended for span in below)
        assert {span.trace for span in below} == {server.trace}

    def test_the_context_in_meta_is_its_parent_and_goes_on_to_upstream(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver) as dialogue:
            query(dialogue, {**CONTEXT, "baggage": "user=ann"})
            receiver.wait_for(1)
        (server,) = receiver.calls
        assert (server.trace, server.parent) == (TRACE, PARENT)
        (meta,) = asked.metas
        (sent,) = (span for span in receiver.spans if span.kind == CLIENT and "call" in span.name)
        assert meta["traceparent"] == f"00-{TRACE}-{sent.id}-01"
        assert "baggage" not in meta

    def test_a_trace_that_is_not_sampled_is_not_sent(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver) as dialogue:
            query(dialogue, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
            query(dialogue)
            receiver.wait_for(1)
        (hit,) = receiver.calls
        assert hit.attributes["context7_fabric.outcome"] == "hit"
        assert TRACE not in {span.trace for span in receiver.spans}


class TestAHit:
    def test_it_looks_the_same_whichever_lane_answers_it(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver) as dialogue:
            query(dialogue)
            query(dialogue, CONTEXT)
            query(dialogue)
            receiver.wait_for(3)
            receiver.wait_until(lambda: names(receiver.spans).count("tier question") == 3)
        _miss, by_sdk, by_express = receiver.calls
        assert (by_sdk.scope, by_express.scope) == (BY_SDK, BY_US)
        assert by_express.name == by_sdk.name == "tools/call query-docs"
        assert by_express.kind == by_sdk.kind
        assert set(by_express.attributes) == set(by_sdk.attributes)
        for span, number in ((by_sdk, "3"), (by_express, "4")):  # the greeting's is 1
            assert span.attributes["jsonrpc.request.id"] == number
            assert span.attributes["mcp.protocol.version"] == "2025-06-18"
        assert names(receiver.below(by_express)) == names(receiver.below(by_sdk))
        assert by_express.resource == by_sdk.resource

    def test_it_carries_langsmiths_names(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver, CONTEXT7_FABRIC_META="full") as dialogue:
            query(dialogue)
            answer = query(dialogue)["_meta"]["context7-fabric/answer"]
            receiver.wait_for(2)
        miss, hit = (span.attributes for span in receiver.calls)
        assert hit["langsmith.span.kind"] == "tool"
        assert hit["langsmith.metadata.cache_hit"] is True
        assert hit["langsmith.metadata.tier"] == "question"
        assert hit["langsmith.metadata.tokens_saved"] == answer["tokens_saved"]
        assert hit["langsmith.metadata.execution_id"] == answer["execution_id"]
        assert hit["gen_ai.tool.name"] == "query-docs"
        assert hit["gen_ai.operation.name"] == "execute_tool"
        assert miss["langsmith.metadata.cache_hit"] is False
        assert miss["langsmith.metadata.tier"] == "upstream"

    def test_it_goes_where_langsmith_takes_traces(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        foreign = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=of-another-receiver"}
        with traced(home, asked, receiver, **foreign) as dialogue:
            query(dialogue)
            receiver.wait_for(1)
        assert set(receiver.paths) == {"/otel/v1/traces"}
        assert receiver.headers[0]["x-api-key"] == "lsv2_pt_secret"
        assert receiver.headers[0]["langsmith-project"] == "docs of ours"
        assert "of-another-receiver" not in repr(receiver.headers)
        assert {span.resource["service.name"] for span in receiver.spans} == {"context7-fabric"}


class TestContent:
    def test_no_question_and_no_answer_leaves_unasked(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver, CONTEXT7_API_KEY="ctx7sk-secret") as dialogue:
            text = texts_of(query(dialogue))[0]
            query(dialogue)
            asked.refuses = True
            dialogue.call("resolve-library-id", libraryName="unmentionable", query=QUESTION)
            receiver.wait_for(3)
        failed = [span for span in receiver.spans if "error.type" in span.attributes]
        assert failed  # the SDK's description of it quotes the question
        for secret in ("unmentionable", text[:40], "ctx7sk-secret"):
            assert secret not in receiver.everything

    def test_a_word_where_a_tools_name_belongs_is_no_way_out(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver) as dialogue:
            number = dialogue.start("tools/call", name=QUESTION, arguments={})
            dialogue.process.out.wait_for(rf'"id": ?{number}.*error')
            receiver.wait_for(1)
        assert names(receiver.calls) == ["tools/call"]
        assert "unmentionable" not in receiver.everything

    def test_switched_on_it_is_the_runs_input_and_output(
        self, home: Path, asked: McpUpstream, receiver: Receiver
    ) -> None:
        with traced(home, asked, receiver, CONTEXT7_FABRIC_TRACE_CONTENT="on") as dialogue:
            arguments = {"libraryId": LIBRARY, "query": f"{QUESTION} with ghp_{'a1B2' * 9}"}
            text = texts_of(dialogue.call("query-docs", **arguments))[0]
            receiver.wait_for(1)
        (call,) = receiver.calls
        assert QUESTION in str(call.attributes["input.value"])
        assert "ghp_a1B2" not in receiver.everything
        assert call.attributes["output.value"] == text


def test_langsmith_gets_no_greetings_and_a_receiver_of_ones_own_does(
    home: Path, asked: McpUpstream, receiver: Receiver
) -> None:
    with receiving() as own:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": own.url, "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}
        with traced(home, asked, receiver, **variables) as dialogue:
            query(dialogue)
            receiver.wait_for(1)
            own.wait_for(1)
        assert "initialize" in names([span for span in own.spans if span.kind == SERVER])
        served = [span for span in receiver.spans if span.kind == SERVER]
        assert names(served) == ["tools/call query-docs"]
        assert [span.id for span in own.calls] == [span.id for span in receiver.calls]
        assert set(own.paths) == {"/v1/traces"}
        assert own.headers[0]["a"] == "b"
        assert "lsv2_pt_secret" not in repr(own.headers)
