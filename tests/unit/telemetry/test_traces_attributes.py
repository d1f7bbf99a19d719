"""Attributes of spans, and what must not stand in them."""

from __future__ import annotations

import json

import pytest

from context7_fabric.models import HITS, Answer, Outcome, Tier
from context7_fabric.privacy.redaction import redact
from context7_fabric.telemetry.spans import of_answer, of_content, of_request, of_sdk


@pytest.mark.parametrize("outcome", Outcome)
def test_a_hit_is_what_the_statistics_count_as_one(outcome: Outcome) -> None:
    attributes = of_answer(Answer("text", outcome, Tier.QUESTION))
    assert attributes["langsmith.metadata.cache_hit"] is (outcome in HITS)
    assert attributes["context7_fabric.cache_hit"] == attributes["langsmith.metadata.cache_hit"]


def test_of_answer_that_was_never_upstreams_has_no_age() -> None:
    assert "context7_fabric.age_seconds" not in of_answer(Answer("", Outcome.MISS, Tier.UPSTREAM))
    aged = Answer("", Outcome.HIT, Tier.QUESTION, age_seconds=1.23456)
    assert of_answer(aged)["context7_fabric.age_seconds"] == 1.235


@pytest.mark.parametrize("number", ["7", "plain-word_1", "how do I", "x" * 65, ""])
def test_of_request_has_the_same_attributes_as_the_sdks_span(number: str) -> None:
    attributes = {"jsonrpc.request.id": number, "mcp.protocol.version": "2025-06-18"}
    by_sdk = of_sdk("tools/call query-docs", attributes)[1]
    assert of_request(number, "2025-06-18") == {
        key: by_sdk[key] for key in attributes if key in by_sdk
    }


def test_content_is_redacted_and_can_be_encoded() -> None:
    answer = Answer("half a pair: \ud83d", Outcome.HIT, Tier.QUESTION)
    attributes = of_content({"query": f"with ghp_{'a1B2' * 9} \udcff", "page": 2}, answer, redact)
    assert json.loads(str(attributes["input.value"])) == {
        "query": "with [api-key] \udcff",
        "page": "2",
    }
    assert "\n".join(map(str, attributes.values())).encode().decode()


class TestTheSdksSpans:
    def test_a_call_upstream_is_named_as_the_conventions_name_it(self) -> None:
        name, attributes = of_sdk(
            "MCP send tools/call query-docs", {"mcp.method.name": "tools/call"}
        )
        assert name == "tools/call query-docs"
        assert attributes["gen_ai.tool.name"] == "query-docs"
        assert attributes["gen_ai.operation.name"] == "execute_tool"
        assert attributes["langsmith.span.kind"] == "tool"

    def test_what_is_no_call_is_a_link_of_the_chain(self) -> None:
        name, attributes = of_sdk("initialize", {"mcp.protocol.version": "2025-06-18"})
        assert (name, attributes["langsmith.span.kind"]) == ("initialize", "chain")
        assert attributes["mcp.protocol.version"] == "2025-06-18"

    @pytest.mark.parametrize(
        "key",
        ["jsonrpc.request.id", "gen_ai.tool.name", "gen_ai.prompt.name", "mcp.protocol.version"],
    )
    def test_a_clients_words_stay_only_where_they_are_one(self, key: str) -> None:
        assert of_sdk("ping", {key: "plain-word_1"})[1][key] == "plain-word_1"
        assert key not in of_sdk("ping", {key: "how do I"})[1]
        assert key not in of_sdk("ping", {key: "x" * 65})[1]

    def test_a_name_with_a_question_in_it_loses_it(self) -> None:
        assert of_sdk("prompts/get how do I", {})[0] == "prompts/get"
        assert of_sdk("what? ping", {})[0].startswith("other")

    def test_an_attribute_that_is_not_known_stays_here(self) -> None:
        assert "exception.message" not in of_sdk("ping", {"exception.message": "word"})[1]
